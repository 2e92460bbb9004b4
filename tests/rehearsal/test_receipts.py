"""Receipts are stored, read back and ordered; an unreadable document opens no gate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.rehearsal.receipts import Receipt, load_receipts, prefix_of, save_receipt
from orderops.rehearsal.report import Impact, MigrationReport, Report, Verdict
from support.broken_documents import NOT_JSON

FORM = 1

SAFE = Verdict(Impact.SAFE, "SAFE: no query waits more than 50 ms")
MIGRATIONS = tuple(
    MigrationReport(
        version, "step", f"V{version:03}__step.sql", f"forwards {version}", f"back {version}", SAFE, f"schema {version}"
    )
    for version in (7, 8)
)
REPORT = Report(
    started=datetime(2026, 11, 20, 8, tzinfo=UTC),
    seconds=90.0,
    tool_version="1.0",
    server_version="16.4",
    schema_before="schema 6",
    schema_after="schema 8",
    verdict=SAFE,
    migrations=MIGRATIONS,
)


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def kept(bucket: Bucket, report: Report = REPORT, environment: str = "prod") -> Receipt:
    return save_receipt(bucket, environment, report, who="ada", copy={"name": "a copy"})


def test_an_environment_without_rehearsals_has_no_receipts(bucket: Bucket) -> None:
    assert load_receipts(bucket, "prod").readable == []


def test_a_receipt_is_read_back_as_it_was_stored(bucket: Bucket) -> None:
    made = kept(bucket)

    assert load_receipts(bucket, "prod").readable == [made]
    assert (made.who, made.major, made.verdict) == ("ada", 16, SAFE.sentence)
    assert made.ended == REPORT.started + timedelta(seconds=90)
    assert made.name == "2026-11-20T080130Z-schema 6"
    document = bucket.read(made.key)
    assert document and Report.from_dict(document.value["report"]) == REPORT


def test_a_receipt_knows_the_schema_before_and_after_each_migration(bucket: Bucket) -> None:
    made = kept(bucket)

    assert made.schema == "schema 6"
    migrations = [
        (migration.version, migration.checksum, migration.undo_checksum, migration.before, migration.after)
        for migration in made.migrations
    ]
    assert migrations == [
        (7, "forwards 7", "back 7", "schema 6", "schema 7"),
        (8, "forwards 8", "back 8", "schema 7", "schema 8"),
    ]


def test_a_receipt_knows_which_migration_failed(bucket: Bucket) -> None:
    failed = (MIGRATIONS[0], replace(MIGRATIONS[1], failed="no such table"))

    assert [migration.failed for migration in kept(bucket, replace(REPORT, migrations=failed)).migrations] == [
        False,
        True,
    ]


def test_receipts_of_one_environment_are_sorted_newest_first(bucket: Bucket) -> None:
    reports = [replace(REPORT, started=REPORT.started + timedelta(hours=hours)) for hours in (1, 0, 2)]
    made = [kept(bucket, report) for report in reports]
    kept(bucket, environment="staging")

    assert load_receipts(bucket, "prod").readable == [made[2], made[0], made[1]]


def document(**changed: Any) -> bytes:
    """A receipt in which this is another."""
    return json.dumps(
        {"who": "ada", "ended": "2026-11-22T08:00:00+00:00", "report": REPORT.to_dict()} | changed
    ).encode()


UNREADABLE = {
    **NOT_JSON,
    "half a receipt": document()[:200],
    "an empty one": b"{}",
    "a word for a report": document(report="SAFE"),
    "a later form": document(report={**REPORT.to_dict(), "form": FORM + 1}),
    "no list of migrations": document(report={**REPORT.to_dict(), "migrations": 3}),
    "no server": document(report={**REPORT.to_dict(), "server_version": ""}),
    "no end": document(ended=None),
    "an end without a zone": document(ended="2026-11-22T08:00:00"),
    "a number for the operator": document(who=1),
    "a word for the copy": document(copy="a copy"),
    "a word for the time of the copy": document(copy={"as_of": "yesterday"}),
    "no end of seconds": document(report={**REPORT.to_dict(), "seconds": 1e400}),
    "a newer form": document(form=2),
}


@pytest.mark.parametrize("left", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_receipt_is_left_out_and_named(bucket: Bucket, aws: Aws, left: bytes) -> None:
    made = kept(bucket)
    key = f"{prefix_of('prod')}2026-11-22T080000Z-schema 6.json"
    aws.s3.put_object(Bucket=bucket.name, Key=key, Body=left)

    found = load_receipts(bucket, "prod")

    assert found.readable == [made]
    [broken] = found.unreadable
    assert broken.message.startswith(f"s3://{bucket.name}/{key} ")
    assert f"show it: aws s3 cp 's3://{bucket.name}/{key}' -" in broken.hint
