"""Restore points: when migrations and releases changed the system, inside the restore window or outside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from orderops.frozen import Frozen
from orderops.migrations.ledger.table import AttemptAction, AttemptState, History
from orderops.restore.point_in_time import last_second_before
from orderops.restore.timestamps import utc
from orderops.restore.window import RestoreWindow
from orderops.runs.history import RunOutcome

NOT_POINTS = ("migrate", "restore")
"""Commands that are no release; migrations are listed from the ledger instead."""


class RestorePoint(Frozen):
    """A change of the system, and how to restore the state just before it."""

    began: datetime
    what: str
    at: str
    """The value for `--at`."""
    in_window: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `--json` prints."""
        return {"began": self.began.isoformat(), "what": self.what, "at": self.at, "in_window": self.in_window}


def points(
    window: RestoreWindow, histories: Mapping[int, History], runs: Iterable[Mapping[str, Any]]
) -> list[RestorePoint]:
    """Return the restore points of a ledger and of the run records, newest first."""
    unsorted = [*_migrations(window, histories), *_releases(window, runs)]
    return sorted(unsorted, key=lambda point: point.began, reverse=True)


def _migrations(window: RestoreWindow, histories: Mapping[int, History]) -> Iterable[RestorePoint]:
    verbs: dict[str, str] = {AttemptAction.APPLY: "apply", AttemptAction.UNDO: "undo"}
    for version, history in histories.items():
        for attempt in history.attempts:
            verb = verbs.get(attempt.action)
            done = attempt.state == AttemptState.DONE
            if verb is None or not (done or attempt.partial):
                continue
            before = last_second_before(attempt.started)
            # "before V7" means the attempt that counts now; an earlier one is reached by its time.
            at = f'"before V{version}"' if history.applied is attempt else utc(before)
            interrupted = "" if done else ", interrupted"
            what = f"{verb} V{version:03} {attempt.description}{interrupted}"
            yield RestorePoint(attempt.started, what, at, before in window)


def _releases(window: RestoreWindow, runs: Iterable[Mapping[str, Any]]) -> Iterable[RestorePoint]:
    for run in runs:
        # Also runs that failed: they may have changed something before.
        if str(run["command"]).startswith(NOT_POINTS) or run["outcome"] == RunOutcome.UNREADABLE:
            continue
        began = datetime.fromisoformat(run["started"])
        before = last_second_before(began)
        outcome = "" if run["outcome"] == "done" else f", {run['outcome']}"
        yield RestorePoint(began, f"{run['command']} by {run['who']}{outcome}", utc(before), before in window)
