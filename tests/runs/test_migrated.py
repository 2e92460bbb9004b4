"""Whether the record shows that a database was migrated since it was created."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.runs.change_guard import ChangeGuard
from orderops.runs.run import Runs

DATABASE = "rds-instance/orderops-dev-database"
CREATED = {"address": DATABASE, "action": "create"}
OTHER = {"address": "sqs-queue/orderops-dev-orders", "action": "create"}
MIGRATION = {"migration": "V001__create_users.sql", "action": "apply"}


def run(command: str, *steps: dict[str, Any], outcome: str = "done") -> dict[str, Any]:
    return {"command": command, "outcome": outcome, "steps": list(steps)}


FIRST_UP = run("up", OTHER, CREATED)
APPLIED = run("migrate apply", MIGRATION)


@pytest.mark.parametrize(
    ("runs", "migrated"),
    [
        pytest.param([], True, id="nothing is known of an adopted database"),
        pytest.param([run("up", OTHER)], True, id="the database was there before"),
        pytest.param([FIRST_UP], False, id="created"),
        pytest.param([run("infra apply", CREATED), run("up", OTHER)], False, id="created by an earlier run"),
        pytest.param([run("up", CREATED, outcome="interrupted")], False, id="created by a run that was interrupted"),
        pytest.param([FIRST_UP, APPLIED, *[run("up", OTHER)] * 40], True, id="migrated long ago"),
        pytest.param([FIRST_UP, run("migrate apply", outcome="failed")], False, id="the first migration failed"),
        pytest.param([FIRST_UP, run("migrate apply", MIGRATION, outcome="failed")], True, id="a later one failed"),
        pytest.param([run("up", CREATED, MIGRATION)], True, id="migrated by the run that created it"),
        pytest.param([FIRST_UP, run("migrate baseline")], True, id="marked as migrated"),
        pytest.param([FIRST_UP, run("migrate rehearsal")], False, id="rehearsed only"),
        pytest.param([FIRST_UP, APPLIED, run("down"), FIRST_UP], False, id="created again"),
    ],
)
def test_the_newest_step_about_the_database_decides(aws: Aws, runs: list[dict[str, Any]], migrated: bool) -> None:
    bucket = Bucket(aws)
    for number, document in enumerate(runs):
        at = f"2026-11-{number // 24 + 1:02}T{number % 24:02}:00:00.000Z"
        value = {"run": f"{number:08}", "who": "ada", "host": "laptop", "started": at, **document}
        bucket.write(f"dev/runs/{at.replace(':', '')}-{number:08}.json", value, over=None)

    assert Runs(aws, "dev", ChangeGuard()).migrated(DATABASE) is migrated
