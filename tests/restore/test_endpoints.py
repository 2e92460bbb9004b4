"""Just before a migration is before the first of the attempts by which it is in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.errors import OrderopsError
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History
from orderops.restore.endpoints import start_of
from orderops.restore.point_in_time import last_second_before

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
APPLY, UNDO, BASELINE, FORGET = AttemptAction.APPLY, AttemptAction.UNDO, AttemptAction.BASELINE, AttemptAction.FORGET
DONE, FAILED, RUNNING = AttemptState.DONE, AttemptState.FAILED, AttemptState.RUNNING
Rows = list[tuple[AttemptAction, AttemptState] | tuple[AttemptAction, AttemptState, str]]


def attempt(hour: int, action: AttemptAction, state: AttemptState, done: str = "") -> Attempt:
    """One at so many hours after noon."""
    values: dict[str, Any] = dict.fromkeys(Attempt.__dataclass_fields__)
    started = NOON + timedelta(hours=hour, microseconds=250_000)
    given = {"action": action, "state": state, "done": [done] if done else [], "started": started}
    return Attempt(**{**values, "id": hour, "version": 7, **given})


def standing(rows: Rows) -> History:
    return History([attempt(hour, *row) for hour, row in enumerate(rows)])


APPLIED: dict[str, tuple[Rows, int]] = {
    "applied": ([(APPLY, DONE)], 0),
    "undone and applied again": ([(APPLY, DONE), (UNDO, DONE), (APPLY, DONE)], 2),
    "cut and gone on with": ([(APPLY, RUNNING, "first half"), (APPLY, DONE)], 0),
    "cut twice and gone on with": ([(APPLY, FAILED, "half"), (APPLY, RUNNING, "half"), (APPLY, DONE)], 0),
    "failed, mended and applied": ([(APPLY, FAILED), (APPLY, DONE)], 1),
    "partly applied": ([(APPLY, FAILED, "first half")], 0),
    "applied again and cut": ([(APPLY, DONE), (UNDO, DONE), (APPLY, FAILED, "first half")], 2),
    "marked as pending and applied": ([(APPLY, DONE), (FORGET, DONE), (APPLY, DONE)], 2),
    "marked as applied, undone and applied": ([(BASELINE, DONE), (UNDO, DONE), (APPLY, DONE)], 2),
}


@pytest.mark.parametrize("case", APPLIED)
def test_it_began_when(case: str) -> None:
    rows, hour = APPLIED[case]

    assert start_of({7: standing(rows)}, 7) == NOON + timedelta(hours=hour, microseconds=250_000)


NOT_THERE: dict[str, tuple[Rows, str]] = {
    "failed and left nothing": ([(APPLY, FAILED)], "is not in this database"),
    "undone": ([(APPLY, DONE), (UNDO, DONE)], "is not in this database"),
    "marked as pending": ([(APPLY, DONE), (FORGET, DONE)], "is not in this database"),
    "marked as applied": ([(BASELINE, DONE)], "was not applied here but marked as applied"),
    "its file accepted afterwards": ([(APPLY, DONE), (BASELINE, DONE)], "was not applied here but marked as applied"),
}


@pytest.mark.parametrize("case", NOT_THERE)
def test_there_is_no_moment_before_one_that_is(case: str) -> None:
    rows, why = NOT_THERE[case]

    with pytest.raises(OrderopsError, match=f"V7 {why}"):
        start_of({7: standing(rows)}, 7)


def test_one_that_the_ledger_does_not_know_is_refused_with_those_that_it_knows() -> None:
    known = {version: standing([(APPLY, DONE)]) for version in (0, 1, 2)}

    with pytest.raises(OrderopsError, match="the ledger knows no V7: it knows V1, V2"):
        start_of(known, 7)


def test_without_a_ledger_none_is_known() -> None:
    with pytest.raises(OrderopsError, match="the ledger knows no V7: it knows none"):
        start_of({}, 7)


@pytest.mark.parametrize(
    ("began", "moment"),
    [
        (NOON + timedelta(microseconds=250_000), NOON),
        (NOON + timedelta(microseconds=1), NOON),
        (NOON, NOON - timedelta(seconds=1)),
    ],
    ids=["in a second", "at its beginning", "on the second"],
)
def test_before_it_is_the_last_whole_second_in_which_nothing_of_it_had_begun(began: datetime, moment: datetime) -> None:
    assert last_second_before(began) == moment
