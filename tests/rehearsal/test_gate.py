"""The gate opens for exactly the migrations of a valid receipt."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.frozen import field_names, replace
from orderops.migrations.ledger.status import MigrationStatus, Status
from orderops.migrations.ledger.table import Attempt, AttemptAction, History
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.rehearsal.gate import DatabaseState, NotRehearsed, expectations, matching_receipt, unrehearsed
from orderops.rehearsal.receipts import Receipt, RehearsedMigration

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = DatabaseState("schema 0", 16, NOW)


def migration(version: int, text: str = "select 1;\n", back: str = "select 2;\n") -> Migration:
    names = [Path(f"{letter}{version:03}__step.sql") for letter in "VU"]
    return Migration(version, "step", SqlFile(names[0], text), SqlFile(names[1], back))


def line(
    version: int, stand: Status = Status.PENDING, standing: History | None = None, **texts: str
) -> MigrationStatus:
    return MigrationStatus(version, "step", stand, migration(version, **texts), standing)


def rehearsed(version: int) -> RehearsedMigration:
    files = migration(version)
    schemas = f"schema {version - 1}", f"schema {version}"
    return RehearsedMigration(version, files.checksum, files.back.checksum, 1.5 * version, *schemas, failed=False)


RECEIPT = Receipt(
    "prod/rehearsals/2026-11-20T080000Z-schema 0.json",
    NOW - timedelta(days=3),
    "ada",
    16,
    "SAFE: no query waits more than 50 ms",
    [rehearsed(1), rehearsed(2), rehearsed(3)],
)
ALL = [line(1), line(2), line(3)]


def opened(wanted: list[MigrationStatus], *receipts: Receipt, here: DatabaseState = HERE) -> Receipt:
    return matching_receipt(receipts or (RECEIPT,), wanted, here, max_days=7, options="--env prod")


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [(ALL, "schema 0"), (ALL[:1], "schema 0"), (ALL[1:], "schema 1"), (ALL[2:], "schema 2")],
    ids=["all of it", "the first of it", "the rest, after the first", "the last"],
)
def test_a_receipt_opens_the_gate(wanted: list[MigrationStatus], schema: str) -> None:
    assert opened(wanted, here=replace(HERE, schema=schema)) is RECEIPT


CLOSED: dict[str, tuple[list[MigrationStatus], Receipt, DatabaseState, str]] = {
    "another migration": ([line(4)], RECEIPT, HERE, "is for V001, V002, V003"),
    "one that was left out": ([line(1), line(3)], RECEIPT, HERE, "is for V001, V002, V003"),
    "one more": ([*ALL, line(4)], RECEIPT, HERE, "is for V001, V002, V003"),
    "another file": ([line(1, text="select 3;\n")], RECEIPT, HERE, "is for another version of V001__step.sql"),
    "another way back": ([line(1, back="select 3;\n")], RECEIPT, HERE, "is for another version of U001__step.sql"),
    "an old receipt": (
        ALL,
        dataclasses.replace(RECEIPT, ended=NOW - timedelta(days=8)),
        HERE,
        "is 8 days old; at most 7 days are accepted",
    ),
    "another major version": (ALL, RECEIPT, replace(HERE, major=17), "is for PostgreSQL 16, and this is 17"),
    "another schema": (ALL, RECEIPT, replace(HERE, schema="drifted"), "is for another schema than the current one"),
    "a failed rehearsal": (
        ALL,
        dataclasses.replace(
            RECEIPT, migrations=[rehearsed(1), dataclasses.replace(rehearsed(2), failed=True), rehearsed(3)]
        ),
        HERE,
        "says that V002 fails",
    ),
    "nothing rehearsed": (ALL, dataclasses.replace(RECEIPT, migrations=[]), HERE, "is for no migration"),
}


@pytest.mark.parametrize("case", CLOSED)
def test_the_gate_stays_closed(case: str) -> None:
    wanted, receipt, here, why = CLOSED[case]

    with pytest.raises(NotRehearsed) as refused:
        opened(wanted, receipt, here=here)

    assert why in refused.value.message
    assert "nothing was applied" in refused.value.message
    assert refused.value.hint.splitlines() == [
        "rehearse first: orderops migrate rehearsal --env prod",
        'or bypass the gate, on record: orderops migrate apply --env prod --without-rehearsal --reason "…"',
    ]


def test_a_missing_receipt_is_named_as_the_reason() -> None:
    with pytest.raises(NotRehearsed, match="there is none; nothing was applied"):
        matching_receipt([], ALL, HERE, max_days=7, options="--env prod")


def test_an_older_valid_receipt_opens_the_gate() -> None:
    other = dataclasses.replace(RECEIPT, key="later", migrations=[rehearsed(3)])

    assert opened(ALL, other, RECEIPT) is RECEIPT


def test_the_newest_rehearsal_of_these_files_decides() -> None:
    failed = dataclasses.replace(
        RECEIPT, key="prod/rehearsals/later.json", migrations=[dataclasses.replace(rehearsed(1), failed=True)]
    )

    with pytest.raises(NotRehearsed, match="later says that V001 fails; nothing was applied"):
        opened(ALL[:1], failed, RECEIPT)


def test_a_receipt_dated_in_the_future_opens_no_gate() -> None:
    with pytest.raises(NotRehearsed, match=r", is dated in the future by this machine's clock; nothing"):
        opened(ALL, dataclasses.replace(RECEIPT, ended=NOW + timedelta(days=300)))


@pytest.mark.parametrize("ended", [NOW - timedelta(days=7), NOW + timedelta(hours=1)], ids=["7 days old", "1 h ahead"])
def test_the_accepted_ages_of_a_receipt_include_their_limits(ended: datetime) -> None:
    assert opened(ALL, dataclasses.replace(RECEIPT, ended=ended)).ended == ended


def test_a_closed_gate_explains_the_newest_receipt_and_names_all_files() -> None:
    newest = dataclasses.replace(RECEIPT, key="prod/rehearsals/newest.json", migrations=[rehearsed(3)])
    older = dataclasses.replace(RECEIPT, key="prod/rehearsals/older.json", major=17)

    with pytest.raises(NotRehearsed) as refused:
        opened(ALL[:2], newest, older)

    assert refused.value.message == (
        "V001__step.sql, V002__step.sql: no valid rehearsal receipt: the last one, newest, is for V003; "
        "nothing was applied"
    )


def attempt(**changes: Any) -> Attempt:
    values = dict.fromkeys(field_names(Attempt))
    given = {
        "id": 1,
        "version": 1,
        "action": AttemptAction.APPLY,
        "state": "failed",
        "done": ["a digest"],
        "statements": 2,
    }
    return Attempt(**{**values, **given, **changes})


def test_an_interrupted_migration_continues_under_its_receipt() -> None:
    begun = History([attempt(receipt=f"rehearsed: {RECEIPT.name}")])
    half_way = replace(HERE, schema="that nobody saw")

    assert opened([line(1, Status.PARTLY, begun)], here=half_way) is RECEIPT
    for other in (
        attempt(receipt="rehearsed: another"),
        attempt(receipt=None),
        attempt(receipt=f"rehearsed: {RECEIPT.name}", done=[]),
    ):
        with pytest.raises(NotRehearsed):
            opened([line(1, Status.PARTLY, History([other]))], here=half_way)


def test_the_ledger_records_the_prediction_or_the_reason_for_none() -> None:
    expected = expectations(RECEIPT, ALL[1:])

    assert {version: expectation.predicted for version, expectation in expected.items()} == {
        2: timedelta(seconds=3),
        3: timedelta(seconds=4.5),
    }
    assert expected[2].receipt == "rehearsed: 2026-11-20T080000Z-schema 0"
    assert unrehearsed(ALL[:1], "it burns")[1].receipt == "without a rehearsal: it burns"


def test_a_receipt_survives_the_trip_to_a_remote_job() -> None:
    assert Receipt.from_dict(RECEIPT.to_dict()) == RECEIPT
