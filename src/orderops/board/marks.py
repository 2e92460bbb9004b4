"""Releases and migrations on record, to be marked on charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from orderops.aws.documents import Bucket
from orderops.frozen import Frozen
from orderops.runs.history import RunOutcome, runs

MOST_RUNS = 60
"""Runs that are read; a chart with more marks shows nothing."""
SERVICE = "ecs-service/"
RELEASED = ("create", "update", "restarted")


class ChangeMark(Frozen):
    """A release or a migration: when, what, by whom, and how its run ended."""

    at: datetime
    kind: str
    what: str
    who: str
    outcome: str
    command: str


def marks_since(bucket: Bucket, environment: str, since: datetime) -> tuple[ChangeMark, ...]:
    """The releases and migrations since a time, oldest first."""
    found = [mark for run in runs(bucket, environment, last=MOST_RUNS) for mark in _marks(run) if mark.at >= since]
    return tuple(sorted(found, key=lambda mark: mark.at))


def _marks(run: Mapping[str, Any]) -> Iterator[ChangeMark]:
    """One mark for all services that a run released, and one for all migrations that it ran."""
    if run["outcome"] == RunOutcome.UNREADABLE:
        return
    steps = run["steps"]
    released = [step for step in steps if _is_release(step)]
    migrated = [step for step in steps if step.get("migration")]
    if released:
        yield _mark(run, "release", released, (str(step["address"]).removeprefix(SERVICE) for step in released))
    if migrated:
        yield _mark(run, "migration", migrated, (str(step["migration"]).partition("__")[0] for step in migrated))


def _is_release(step: Mapping[str, Any]) -> bool:
    return str(step.get("address", "")).startswith(SERVICE) and step.get("action") in RELEASED


def _mark(run: Mapping[str, Any], kind: str, steps: list[Mapping[str, Any]], names: Iterable[str]) -> ChangeMark:
    at = datetime.fromisoformat(str(steps[0].get("at") or run["started"]))
    what = ", ".join(dict.fromkeys(names))
    return ChangeMark(at, kind, what, str(run["who"]), str(run["outcome"]), str(run["command"]))
