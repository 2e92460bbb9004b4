"""The last change before a fault began: who did it, what, when and with which tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orderops.infra.workspace import Workspace
from orderops.runs.history import RunOutcome, in_seconds

# Runs that changed nothing are on record too.
SEARCHED = 10


@dataclass(frozen=True)
class LastChange:
    """A change of the environment."""

    at: str
    """Time, ISO 8601 in UTC."""
    who: str
    what: str
    tool: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


def last_run(workspace: Workspace, before: datetime | None) -> LastChange | None:
    """The newest run of orderops that changed something and began before this time; None if none is on record."""
    return changing_run(workspace.runs.history(last=SEARCHED), before)


def changing_run(runs: Iterable[Mapping[str, Any]], before: datetime | None) -> LastChange | None:
    """The first of these runs, the newest first, that changed something and began before this time."""
    limit = in_seconds(before or datetime.now(UTC))
    for run in runs:
        if run["outcome"] == RunOutcome.UNREADABLE or not run["steps"] or run["started"] > limit:
            continue
        outcome = "" if run["outcome"] == RunOutcome.DONE else f", {run['outcome']}"
        return LastChange(f"{run['started'][:19]}Z", run["who"], f"{run['command']}{outcome}", "orderops")
    return None
