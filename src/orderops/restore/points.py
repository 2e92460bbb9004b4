"""The moments worth going back to: what was migrated and released when, in the window or out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orderops.migrations.ledger.table import Action, Standing, State
from orderops.restore.point_in_time import before
from orderops.restore.timestamps import utc
from orderops.restore.window import Window

NOT_POINTS = ("migrate", "restore")
"""Commands whose runs are no release."""


@dataclass(frozen=True)
class Point:
    """Something that changed the system, and the last moment before it."""

    began: datetime
    what: str
    at: str
    """What to give `--at` to come out just before it."""
    inside: bool

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {"began": self.began.isoformat(), "what": self.what, "at": self.at, "in_window": self.inside}


def points(window: Window, standings: Mapping[int, Standing], runs: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Newest first."""
    return sorted(
        [*_migrations(window, standings), *_releases(window, runs)], key=lambda each: each.began, reverse=True
    )


def _migrations(window: Window, standings: Mapping[int, Standing]) -> Iterable[Point]:
    for version, standing in standings.items():
        for attempt in standing.attempts:
            if attempt.action in (Action.APPLY, Action.UNDO) and (attempt.state == State.DONE or attempt.partial):
                verb = {Action.APPLY: "apply", Action.UNDO: "undo"}[Action(attempt.action)]
                left = "" if attempt.state == State.DONE else ", cut"
                last = standing.applied is attempt
                at = f'"before V{version}"' if last else utc(before(attempt.started))
                inside = before(attempt.started) in window
                yield Point(attempt.started, f"{verb} V{version:03} {attempt.description}{left}", at, inside)


def _releases(window: Window, runs: Iterable[Mapping[str, Any]]) -> Iterable[Point]:
    for run in runs:
        if str(run["command"]).startswith(NOT_POINTS):
            continue
        began = datetime.fromisoformat(run["started"])
        ended = "" if run["outcome"] == "done" else f", {run['outcome']}"
        yield Point(began, f"{run['command']} by {run['who']}{ended}", utc(before(began)), before(began) in window)
