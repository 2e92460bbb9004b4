"""What the service answers, compared with what it says in /openapi.json, by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from orderops.local.rds.postgres import PostgresServer
from support.order_app import OrderApp
from support.order_database import order_database

# Nothing of a path without parameters can be wrong.
FIXED = [(path, "GET") for path in ("/", "/health", "/ready", "/version", "/users", "/openapi.json")]
OPEN = [("/orders", "GET"), ("/orders", "POST"), ("/orders/{id}", "GET")]
CASES = [
    *((*operation, GenerationMode.POSITIVE, 1) for operation in FIXED),
    *((*operation, mode, 30) for operation in OPEN for mode in GenerationMode),
]


@pytest.fixture(scope="module")
def app(server: PostgresServer) -> Iterator[OrderApp]:
    with order_database(server) as database:
        yield OrderApp(database, {"DEMONSTRATION": "on"})


@pytest.fixture(scope="module")
def schema(app: OrderApp) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", app.asgi)


def test_every_path_is_tried(schema: schemathesis.BaseSchema) -> None:
    described = {(path, method.upper()) for path in schema for method in schema[path]}

    assert described == {*FIXED, *OPEN}


@pytest.mark.parametrize(("path", "method", "mode", "examples"), CASES)
def test_every_answer_is_one_that_is_described(
    schema: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode, examples: int
) -> None:
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def conform(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate()

    conform()
