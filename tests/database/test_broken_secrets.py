"""The secrets of a database: a broken one is an error that names it, and never repeats its value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.database.connection import Login, login_from_secret
from orderops.errors import OrderopsError

POINTER, CREDENTIALS = "orderops/dev/database", "rds/db-1"
ENDPOINT = {"host": "db.example", "port": 5432, "dbname": "orders", "credentials": CREDENTIALS}
WORD = "Swordfish-81"
LOGIN = {"username": "ana", "password": WORD}


def opened(aws: Aws, pointer: Any, credentials: Any) -> Login:
    for name, value in ((POINTER, pointer), (CREDENTIALS, credentials)):
        text = value if isinstance(value, (str, bytes)) else json.dumps(value)
        kind = "SecretBinary" if isinstance(text, bytes) else "SecretString"
        aws.secretsmanager.create_secret(Name=name, **{kind: text})
    return login_from_secret(aws, POINTER)


def test_keys_that_other_tools_add_are_ignored_and_digits_are_a_port(aws: Aws) -> None:
    login = opened(aws, ENDPOINT | {"port": "5433", "engine": "postgres"}, LOGIN | {"engine": "postgres"})

    assert (login.host, login.port, login.sslmode, login.password) == ("db.example", 5433, "verify-full", WORD)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "db.example",
        "[]",
        "[" * 50_000,
        b"\xff\xfe",
        {key: value for key, value in ENDPOINT.items() if key != "host"},
        {key: value for key, value in ENDPOINT.items() if key != "credentials"},
        ENDPOINT | {"host": None},
        ENDPOINT | {"port": "many"},
        ENDPOINT | {"port": 99_999},
    ],
    ids=["nothing", "text", "a list", "no end", "bytes", "no host", "no credentials", "null", "a word", "no port"],
)
def test_a_broken_pointer_is_an_error_with_its_name(aws: Aws, value: Any) -> None:
    # Secrets Manager refuses an empty string: a line break is as empty.
    with pytest.raises(OrderopsError, match=f"the secret {POINTER} ") as refused:
        opened(aws, value or "\n", LOGIN)

    assert "orderops infra apply --env" in refused.value.hint


@pytest.mark.parametrize(
    "value",
    [WORD, json.dumps(WORD), {"password": WORD}, {"username": "ana", "password": [WORD]}, f'{{"password": "{WORD}"'],
    ids=["bare", "a string", "no user", "a list", "half"],
)
def test_a_broken_secret_with_a_password_is_named_and_not_shown(aws: Aws, value: Any) -> None:
    with pytest.raises(OrderopsError, match=f"the secret {CREDENTIALS} ") as refused:
        opened(aws, ENDPOINT, value)

    assert WORD not in refused.value.message + refused.value.hint
    assert f"aws secretsmanager rotate-secret --secret-id {CREDENTIALS}" in refused.value.hint
