"""What a drill measured is kept, and the latest is told."""

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
    findings=("table carts is not in the copy",),
)
LATER = replace(DRILL, started=DRILL.started + timedelta(days=1), findings=())


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def test_without_any_there_is_none(bucket: Bucket) -> None:
    assert last_drill(bucket, "prod") is None


def test_it_is_read_back_as_it_was_kept(bucket: Bucket) -> None:
    save_drill(bucket, "prod", DRILL)

    assert last_drill(bucket, "prod") == DRILL


def test_the_latest_is_told_of_its_environment(bucket: Bucket) -> None:
    for environment, drill in (("prod", LATER), ("prod", DRILL), ("staging", DRILL)):
        save_drill(bucket, environment, drill)

    assert last_drill(bucket, "prod") == LATER
    assert last_drill(bucket, "staging") == DRILL


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"started": "yesterday"}', b'{"form": 9}'])
def test_one_that_cannot_be_read_is_left_out(bucket: Bucket, aws: Aws, left: bytes) -> None:
    save_drill(bucket, "prod", DRILL)
    key = f"{prefix_of('prod')}2026-11-22T080000Z.json"
    aws.s3.put_object(Bucket=bucket.name, Key=key, Body=left)

    assert last_drill(bucket, "prod") == DRILL
