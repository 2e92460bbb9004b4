"""What is left for the weekly review, by what a service answers to GET /ready."""

from __future__ import annotations

import pytest

from orderops.health.notes import Note, green_databases, schema_owners
from orderops.infra.readiness import OwnedSchema, ReadyAnswer, ReadyState

GRANT, INFO = "orderops migrate grant", "orderops migrate info"


@pytest.mark.parametrize(
    ("schema", "notes"),
    [
        pytest.param(None, [], id="not said"),
        pytest.param(OwnedSchema(True, 0), [], id="the owner's"),
        pytest.param(
            OwnedSchema(False, 3),
            [Note("the schema belongs to the user that logs in for migrations", GRANT)],
            id="not handed over",
        ),
        pytest.param(
            OwnedSchema(True, 1), [Note("1 table belongs to another role than orderops_owner", INFO)], id="one"
        ),
        pytest.param(
            OwnedSchema(True, 2), [Note("2 tables belong to another role than orderops_owner", INFO)], id="some"
        ),
    ],
)
def test_a_schema_that_belongs_to_another_role_is_a_note(schema: OwnedSchema | None, notes: list[Note]) -> None:
    assert list(schema_owners(ReadyAnswer(ReadyState.READY, "every dependency answers", schema=schema))) == notes


def test_a_green_instance_is_noted_until_it_took_the_place_of_the_database() -> None:
    [note] = green_databases("orderops-dev-database-green-abc123")

    assert note.what.startswith("orderops-dev-database-green-abc123 stands beside the database")
    assert note.to_dict("dev")["next"] == "orderops database upgrade --to VERSION --blue-green --env dev"
    assert list(green_databases("")) == []


def test_nothing_is_noted_where_nothing_answers() -> None:
    assert list(schema_owners(None)) == []
