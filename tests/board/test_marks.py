"""Releases and migrations of the record, as marks on charts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.board.marks import marks_since
from orderops.health.changes import changing_run

START = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


def record(bucket: Bucket, started: str, *steps: dict[str, Any], command: str = "up --env dev") -> None:
    run = {"run": started[-4:], "command": command, "who": "arn:aws:iam::1:user/ana", "host": "h", "started": started}
    bucket.put(
        f"dev/runs/{started.replace(':', '')}-{started[-4:]}.json", {**run, "outcome": "done", "steps": list(steps)}
    )


def test_a_run_that_released_and_one_that_migrated_are_marked_when_they_did(aws: Aws) -> None:
    bucket = Bucket(aws)
    record(
        bucket,
        "2026-11-28T05:00:00.001Z",
        {"at": "2026-11-28T05:00:09.000Z", "address": "sqs-queue/orders", "action": "create"},
        {"at": "2026-11-28T05:02:00.000Z", "address": "ecs-service/orders", "action": "update"},
        {"at": "2026-11-28T05:02:01.000Z", "address": "ecs-service/worker", "action": "update"},
    )
    record(
        bucket,
        "2026-11-28T06:00:00.002Z",
        {"at": "2026-11-28T06:00:01.000Z", "migration": "V007__add_status.sql", "action": "apply"},
    )
    record(bucket, "2026-11-28T07:00:00.003Z", {"address": "sqs-queue/orders", "action": "update"})

    marks = marks_since(bucket, "dev", START)

    assert [(mark.kind, mark.what, f"{mark.at:%H:%M}") for mark in marks] == [
        ("release", "orders, worker", "05:02"),
        ("migration", "V007", "06:00"),
    ]


def test_a_text_about_an_incident_is_no_change_before_a_fault() -> None:
    steps = ({"action": "incident opened"},)
    run = {"outcome": "done", "started": "2026-11-28T05:00:00.001Z", "who": "ana", "steps": steps}
    runs = [{**run, "command": "board incident open --env dev"}, {**run, "command": "up --env dev"}]

    change = changing_run(runs, datetime(2026, 11, 28, 6, 0, tzinfo=UTC))

    assert change
    assert change.what == "up --env dev"


def test_older_runs_and_broken_records_make_no_mark(aws: Aws) -> None:
    bucket = Bucket(aws)
    record(bucket, "2026-11-27T05:00:00.001Z", {"address": "ecs-service/orders", "action": "update"})
    bucket.put("dev/runs/2026-11-28T050000.002Z-0002.json", {"no": "record"})

    assert marks_since(bucket, "dev", START) == ()
