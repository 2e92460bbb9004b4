"""The moments worth going back to: what was migrated and released when, in the window or out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderops.migrations.ledger.table import AttemptAction, AttemptState, History
from orderops.restore.point_in_time import last_second_before
from orderops.restore.timestamps import utc
from orderops.restore.window import RestoreWindow

NOT_POINTS = ("migrate", "restore")
"""Commands whose runs are no release."""


@dataclass(frozen=True)
class RestorePoint:
    """Something that changed the system, and the last moment before it."""

    began: datetime
    what: str
    at: str
    """What to give `--at` to come out just before it."""
    in_window: bool

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"began": self.began.isoformat(), "what": self.what, "at": self.at, "in_window": self.in_window}


def points(
    window: RestoreWindow, histories: Mapping[int, History], runs: Iterable[Mapping[str, Any]]
) -> list[RestorePoint]:
    """Newest first."""
    return sorted(
        [*_migrations(window, histories), *_releases(window, runs)], key=lambda each: each.began, reverse=True
    )


def _migrations(window: RestoreWindow, standings: Mapping[int, History]) -> Iterable[RestorePoint]:
    for version, standing in standings.items():
        for attempt in standing.attempts:
            if attempt.action in (AttemptAction.APPLY, AttemptAction.UNDO) and (
                attempt.state == AttemptState.DONE or attempt.partial
            ):
                verb = {AttemptAction.APPLY: "apply", AttemptAction.UNDO: "undo"}[AttemptAction(attempt.action)]
                left = "" if attempt.state == AttemptState.DONE else ", cut"
                last = standing.applied is attempt
                at = f'"before V{version}"' if last else utc(last_second_before(attempt.started))
                inside = last_second_before(attempt.started) in window
                yield RestorePoint(attempt.started, f"{verb} V{version:03} {attempt.description}{left}", at, inside)


def _releases(window: RestoreWindow, runs: Iterable[Mapping[str, Any]]) -> Iterable[RestorePoint]:
    for run in runs:
        if str(run["command"]).startswith(NOT_POINTS):
            continue
        began = datetime.fromisoformat(run["started"])
        ended = "" if run["outcome"] == "done" else f", {run['outcome']}"
        yield RestorePoint(
            began,
            f"{run['command']} by {run['who']}{ended}",
            utc(last_second_before(began)),
            last_second_before(began) in window,
        )
