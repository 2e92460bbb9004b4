"""The start of a migration is that of the first attempt that is still effective in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.errors import OrderopsError
from orderops.frozen import field_names
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History
from orderops.restore.endpoints import start_of
from orderops.restore.point_in_time import last_second_before

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
APPLY, UNDO, BASELINE, FORGET = AttemptAction.APPLY, AttemptAction.UNDO, AttemptAction.BASELINE, AttemptAction.FORGET
DONE, FAILED, RUNNING = AttemptState.DONE, AttemptState.FAILED, AttemptState.RUNNING
Rows = list[tuple[AttemptAction, AttemptState] | tuple[AttemptAction, AttemptState, str]]


def attempt(hour: int, action: AttemptAction, state: AttemptState, done: str = "") -> Attempt:
    """An attempt that started so many hours after noon."""
    values: dict[str, Any] = dict.fromkeys(field_names(Attempt))
    started = NOON + timedelta(hours=hour, microseconds=250_000)
    given = {"action": action, "state": state, "done": [done] if done else [], "started": started}
    return Attempt(**{**values, "id": hour, "version": 7, **given})


def history(rows: Rows) -> History:
    return History([attempt(hour, *row) for hour, row in enumerate(rows)])


APPLIED: dict[str, tuple[Rows, int]] = {
    "applied": ([(APPLY, DONE)], 0),
    "undone and applied again": ([(APPLY, DONE), (UNDO, DONE), (APPLY, DONE)], 2),
    "interrupted and completed": ([(APPLY, RUNNING, "first half"), (APPLY, DONE)], 0),
    "interrupted twice and completed": ([(APPLY, FAILED, "half"), (APPLY, RUNNING, "half"), (APPLY, DONE)], 0),
    "failed, fixed and applied": ([(APPLY, FAILED), (APPLY, DONE)], 1),
    "partly applied": ([(APPLY, FAILED, "first half")], 0),
    "applied again and interrupted": ([(APPLY, DONE), (UNDO, DONE), (APPLY, FAILED, "first half")], 2),
    "marked as pending and applied": ([(APPLY, DONE), (FORGET, DONE), (APPLY, DONE)], 2),
    "marked as applied, undone and applied": ([(BASELINE, DONE), (UNDO, DONE), (APPLY, DONE)], 2),
}


@pytest.mark.parametrize("case", APPLIED)
def test_the_start_is_that_of_the_first_effective_attempt(case: str) -> None:
    rows, hour = APPLIED[case]

    assert start_of({7: history(rows)}, 7) == NOON + timedelta(hours=hour, microseconds=250_000)


WITHOUT_START: dict[str, tuple[Rows, str]] = {
    "failed without an effect": ([(APPLY, FAILED)], "is not applied to this database"),
    "undone": ([(APPLY, DONE), (UNDO, DONE)], "is not applied to this database"),
    "marked as pending": ([(APPLY, DONE), (FORGET, DONE)], "is not applied to this database"),
    "marked as applied": ([(BASELINE, DONE)], "was marked as applied, not applied by orderops"),
    "its file accepted afterwards": (
        [(APPLY, DONE), (BASELINE, DONE)],
        "was marked as applied, not applied by orderops",
    ),
}


@pytest.mark.parametrize("case", WITHOUT_START)
def test_a_migration_without_a_known_start_is_an_error(case: str) -> None:
    rows, problem = WITHOUT_START[case]

    with pytest.raises(OrderopsError, match=f"V7 {problem}"):
        start_of({7: history(rows)}, 7)


def test_an_unknown_version_is_an_error_with_the_known_ones() -> None:
    known = {version: history([(APPLY, DONE)]) for version in (0, 1, 2)}

    with pytest.raises(OrderopsError, match="the ledger has no V7; it has: V1, V2"):
        start_of(known, 7)


def test_an_empty_ledger_knows_no_version() -> None:
    with pytest.raises(OrderopsError, match="the ledger has no V7; it has: none"):
        start_of({}, 7)


@pytest.mark.parametrize(
    ("began", "moment"),
    [
        (NOON + timedelta(microseconds=250_000), NOON),
        (NOON + timedelta(microseconds=1), NOON),
        (NOON, NOON - timedelta(seconds=1)),
    ],
    ids=["in a second", "just after a second", "on a second"],
)
def test_the_second_before_a_start_is_the_last_whole_one(began: datetime, moment: datetime) -> None:
    assert last_second_before(began) == moment
