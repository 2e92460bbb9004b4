"""Drills are stored with their measurements, and the newest is read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.restore.drill_record import Drill, last_drill, prefix_of, save_drill

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
    assert last_drill(bucket, "prod") is None


def test_a_drill_is_read_back_as_it_was_stored(bucket: Bucket) -> None:
    save_drill(bucket, "prod", DRILL)

    assert last_drill(bucket, "prod") == DRILL


def test_the_newest_drill_of_its_environment_is_the_last(bucket: Bucket) -> None:
    for environment, drill in (("prod", LATER), ("prod", DRILL), ("staging", DRILL)):
        save_drill(bucket, environment, drill)

    assert last_drill(bucket, "prod") == LATER
    assert last_drill(bucket, "staging") == DRILL


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"started": "yesterday"}', b'{"form": 9}'])
def test_an_unreadable_document_is_skipped(bucket: Bucket, aws: Aws, document: bytes) -> None:
    save_drill(bucket, "prod", DRILL)
    key = f"{prefix_of('prod')}2026-11-22T080000Z.json"
    aws.s3.put_object(Bucket=bucket.name, Key=key, Body=document)

    assert last_drill(bucket, "prod") == DRILL
