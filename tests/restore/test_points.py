"""The moments worth going back to: before what was migrated and released, as far as the window reaches."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History
from orderops.restore.points import RestorePoint, points
from orderops.restore.timestamps import utc
from orderops.restore.window import RestoreWindow
from support.recorded_history import YESTERDAY

WINDOW = RestoreWindow(YESTERDAY - timedelta(days=2), YESTERDAY + timedelta(days=1))
SECOND = timedelta(seconds=1)


def attempt(action: AttemptAction, state: AttemptState, started: datetime, done: list[str] | None = None) -> Attempt:
    values: dict[str, Any] = dict.fromkeys(Attempt.__dataclass_fields__)
    told = {"action": action, "state": state, "started": started, "done": done or [], "description": "add carts"}
    return Attempt(**{**values, "version": 7, **told})


def standing(*attempts: Attempt) -> dict[int, History]:
    return {7: History(attempts)}


def run(command: str, began: datetime, outcome: str = "done") -> dict[str, Any]:
    return {"command": command, "started": began.isoformat(), "outcome": outcome, "who": "ada"}


def one(found: list[RestorePoint]) -> RestorePoint:
    [point] = found
    return point


def test_a_migration_is_gone_back_before_by_its_version() -> None:
    point = one(points(WINDOW, standing(attempt(AttemptAction.APPLY, AttemptState.DONE, YESTERDAY)), []))

    assert (point.what, point.at, point.in_window) == ("apply V007 add carts", '"before V7"', True)


def test_a_migration_that_was_undone_is_gone_back_before_by_the_time() -> None:
    later = YESTERDAY + timedelta(hours=1)
    attempts = standing(
        attempt(AttemptAction.APPLY, AttemptState.DONE, YESTERDAY),
        attempt(AttemptAction.UNDO, AttemptState.DONE, later),
    )

    undone, applied = points(WINDOW, attempts, [])

    assert (undone.what, undone.at) == ("undo V007 add carts", utc(later - SECOND))
    assert (applied.what, applied.at) == ("apply V007 add carts", utc(YESTERDAY - SECOND))


def test_a_cut_migration_that_did_a_part_is_one_and_says_so() -> None:
    cut = attempt(AttemptAction.APPLY, AttemptState.FAILED, YESTERDAY, ["a digest"])

    assert one(points(WINDOW, standing(cut), [])).what == "apply V007 add carts, cut"


@pytest.mark.parametrize(
    "left",
    [
        attempt(AttemptAction.APPLY, AttemptState.FAILED, YESTERDAY),
        attempt(AttemptAction.FORGET, AttemptState.DONE, YESTERDAY),
    ],
    ids=["failed and left nothing", "only marked"],
)
def test_what_changed_nothing_is_none(left: Attempt) -> None:
    assert points(WINDOW, standing(left), []) == []


@pytest.mark.parametrize("command", ["up --env dev", "service deploy --env dev", "infra apply --env dev"])
def test_a_run_that_changes_what_runs_is_one(command: str) -> None:
    point = one(points(WINDOW, {}, [run(command, YESTERDAY)]))

    assert (point.what, point.at) == (f"{command} by ada", utc(YESTERDAY - SECOND))


def test_a_run_that_did_not_end_well_is_one_and_says_so() -> None:
    assert one(points(WINDOW, {}, [run("up --env dev", YESTERDAY, "killed")])).what == "up --env dev by ada, killed"


@pytest.mark.parametrize("command", ["migrate apply --env dev", "restore promote --env dev", "restore drill --env dev"])
def test_a_run_that_is_told_otherwise_or_releases_nothing_is_none(command: str) -> None:
    assert points(WINDOW, {}, [run(command, YESTERDAY)]) == []


@pytest.mark.parametrize(
    ("began", "inside"),
    [
        (WINDOW.earliest + SECOND, True),
        (WINDOW.earliest, False),
        (WINDOW.latest + SECOND, True),
        (WINDOW.latest + 2 * SECOND, False),
    ],
    ids=["the first", "too old", "the last", "too recent"],
)
def test_it_is_in_the_window_when_the_second_before_it_is(began: datetime, inside: bool) -> None:
    assert one(points(WINDOW, {}, [run("up", began)])).in_window is inside


def test_the_newest_comes_first() -> None:
    runs = [run("up", YESTERDAY - timedelta(hours=hours)) for hours in (2, 0, 1)]

    assert [point.began for point in points(WINDOW, {}, runs)] == sorted(
        (YESTERDAY - timedelta(hours=hours) for hours in range(3)), reverse=True
    )


def test_machines_read_the_same() -> None:
    told = one(points(WINDOW, {}, [run("up", YESTERDAY)])).to_dict()

    assert told == {
        "began": YESTERDAY.isoformat(),
        "what": "up by ada",
        "at": utc(YESTERDAY - SECOND),
        "in_window": True,
    }
