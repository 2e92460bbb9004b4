"""Drills are stored with their measurements, and the newest is read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.frozen import replace
from orderops.restore.drill_record import Drill, drills, prefix_of, save_drill
from support.broken_documents import NOT_JSON

DRILL = Drill(
    started=datetime(2026, 11, 20, 8, tzinfo=UTC),
    moment=datetime(2026, 11, 20, 7, 55, tzinfo=UTC),
    recovery=timedelta(minutes=7, seconds=34.5),
    lost=timedelta(minutes=5),
    source="orderops-prod-database",
    who="ada",
    tables=3,
    rows=1_200_000,
    findings=("table carts is missing",),
)
LATER = replace(DRILL, started=DRILL.started + timedelta(days=1), findings=())


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def test_an_environment_without_drills_has_no_last_drill(bucket: Bucket) -> None:
    assert drills(bucket, "prod").last is None


def test_a_drill_is_read_back_as_it_was_stored(bucket: Bucket) -> None:
    save_drill(bucket, "prod", DRILL)

    assert drills(bucket, "prod").last == DRILL


def test_the_newest_drill_of_its_environment_is_the_last(bucket: Bucket) -> None:
    for environment, drill in (("prod", LATER), ("prod", DRILL), ("staging", DRILL)):
        save_drill(bucket, environment, drill)

    assert drills(bucket, "prod").last == LATER
    assert drills(bucket, "staging").last == DRILL


def document(**changed: Any) -> bytes:
    return json.dumps(DRILL.to_dict() | changed).encode()


BROKEN = {
    **NOT_JSON,
    "another document": b'{"started": "yesterday"}',
    "a newer form": document(form=2),
    "a start without a zone": document(started="2026-11-22T08:00:00"),
    "a word for the recovery time": document(recovery_seconds="long"),
    "an endless recovery time": document(recovery_seconds=1e400),
    "a recovery time of ages": document(recovery_seconds=1e300),
    "a word for the findings": document(findings="none"),
    "half a table": document(tables=1.5),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_drill_is_named_and_hides_no_other(bucket: Bucket, aws: Aws, body: bytes) -> None:
    save_drill(bucket, "prod", DRILL)
    key = f"{prefix_of('prod')}2026-11-22T080000Z.json"
    aws.s3.put_object(Bucket=bucket.name, Key=key, Body=body)

    found = drills(bucket, "prod")

    assert found.last == DRILL
    assert [broken.message.startswith(f"s3://{bucket.name}/{key} ") for broken in found.unreadable] == [True]
