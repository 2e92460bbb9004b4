"""Restore points: the seconds before migrations and releases, inside the window or outside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orderops.frozen import field_names
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History
from orderops.restore.points import RestorePoint, points
from orderops.restore.timestamps import utc
from orderops.restore.window import RestoreWindow
from support.recorded_history import YESTERDAY

WINDOW = RestoreWindow(YESTERDAY - timedelta(days=2), YESTERDAY + timedelta(days=1))
SECOND = timedelta(seconds=1)


def attempt(action: AttemptAction, state: AttemptState, started: datetime, done: list[str] | None = None) -> Attempt:
    values: dict[str, Any] = dict.fromkeys(field_names(Attempt))
    given = {"action": action, "state": state, "started": started, "done": done or [], "description": "add carts"}
    return Attempt(**{**values, "version": 7, **given})


def ledger(*attempts: Attempt) -> dict[int, History]:
    return {7: History(attempts)}


def run(command: str, began: datetime, outcome: str = "done") -> dict[str, Any]:
    return {"command": command, "started": began.isoformat(), "outcome": outcome, "who": "ada"}


def only(found: list[RestorePoint]) -> RestorePoint:
    [point] = found
    return point


def test_a_migrations_point_is_named_by_its_version() -> None:
    point = only(points(WINDOW, ledger(attempt(AttemptAction.APPLY, AttemptState.DONE, YESTERDAY)), []))

    assert (point.what, point.at, point.in_window) == ("apply V007 add carts", '"before V7"', True)


def test_the_point_of_an_undone_migration_is_named_by_its_time() -> None:
    later = YESTERDAY + timedelta(hours=1)
    attempts = ledger(
        attempt(AttemptAction.APPLY, AttemptState.DONE, YESTERDAY),
        attempt(AttemptAction.UNDO, AttemptState.DONE, later),
    )

    undone, applied = points(WINDOW, attempts, [])

    assert (undone.what, undone.at) == ("undo V007 add carts", utc(later - SECOND))
    assert (applied.what, applied.at) == ("apply V007 add carts", utc(YESTERDAY - SECOND))


def test_an_interrupted_migration_with_an_effect_is_a_point() -> None:
    interrupted = attempt(AttemptAction.APPLY, AttemptState.FAILED, YESTERDAY, ["a digest"])

    assert only(points(WINDOW, ledger(interrupted), [])).what == "apply V007 add carts, interrupted"


@pytest.mark.parametrize(
    "unchanged",
    [
        attempt(AttemptAction.APPLY, AttemptState.FAILED, YESTERDAY),
        attempt(AttemptAction.FORGET, AttemptState.DONE, YESTERDAY),
    ],
    ids=["failed without an effect", "only marked"],
)
def test_an_attempt_without_an_effect_is_no_point(unchanged: Attempt) -> None:
    assert points(WINDOW, ledger(unchanged), []) == []


@pytest.mark.parametrize("command", ["up --env dev", "service deploy --env dev", "infra apply --env dev"])
def test_a_run_that_can_release_is_a_point(command: str) -> None:
    point = only(points(WINDOW, {}, [run(command, YESTERDAY)]))

    assert (point.what, point.at) == (f"{command} by ada", utc(YESTERDAY - SECOND))


def test_an_unfinished_run_is_a_point_with_its_outcome() -> None:
    assert only(points(WINDOW, {}, [run("up --env dev", YESTERDAY, "killed")])).what == "up --env dev by ada, killed"


@pytest.mark.parametrize("command", ["migrate apply --env dev", "restore promote --env dev", "restore drill --env dev"])
def test_a_run_that_releases_nothing_is_no_point(command: str) -> None:
    assert points(WINDOW, {}, [run(command, YESTERDAY)]) == []


@pytest.mark.parametrize(
    ("began", "in_window"),
    [
        (WINDOW.earliest + SECOND, True),
        (WINDOW.earliest, False),
        (WINDOW.latest + SECOND, True),
        (WINDOW.latest + 2 * SECOND, False),
    ],
    ids=["the first", "too old", "the last", "too recent"],
)
def test_a_point_is_in_the_window_if_the_second_before_it_is(began: datetime, in_window: bool) -> None:
    assert only(points(WINDOW, {}, [run("up", began)])).in_window is in_window


def test_points_are_sorted_newest_first() -> None:
    runs = [run("up", YESTERDAY - timedelta(hours=hours)) for hours in (2, 0, 1)]

    assert [point.began for point in points(WINDOW, {}, runs)] == sorted(
        (YESTERDAY - timedelta(hours=hours) for hours in range(3)), reverse=True
    )


def test_the_json_record_has_the_same_content() -> None:
    record = only(points(WINDOW, {}, [run("up", YESTERDAY)])).to_dict()

    assert record == {
        "began": YESTERDAY.isoformat(),
        "what": "up by ada",
        "at": utc(YESTERDAY - SECOND),
        "in_window": True,
    }
