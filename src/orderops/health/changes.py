"""The last change before a fault began: who did it, what, when and with which tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orderops.frozen import Frozen, as_dict
from orderops.infra.readiness import asked_service
from orderops.infra.workspace import Workspace
from orderops.runs.history import RunOutcome, in_seconds
from orderops.trail.lookup import Trail
from orderops.trail.subject import TrailSubject

# Runs that changed nothing are on record too.
SEARCHED = 10
OURS = "orderops"
WRITING = "board incident"
"""Runs that write for customers, and change nothing of the environment."""


class LastChange(Frozen):
    """A change of the environment."""

    at: str
    """Time, ISO 8601 in UTC."""
    who: str
    what: str
    tool: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return as_dict(self)


def last_run(workspace: Workspace, before: datetime | None) -> LastChange | None:
    """The newest run of orderops that changed something and began before this time; None if none is on record."""
    return changing_run(workspace.runs.history(last=SEARCHED), before)


def changing_run(runs: Iterable[Mapping[str, Any]], before: datetime | None) -> LastChange | None:
    """The first of these runs, the newest first, that changed something and began before this time."""
    limit = in_seconds(before or datetime.now(UTC))
    for run in runs:
        if run["outcome"] == RunOutcome.UNREADABLE or not run["steps"] or run["started"] > limit:
            continue
        if run["command"].startswith(WRITING):
            continue
        outcome = "" if run["outcome"] == RunOutcome.DONE else f", {run['outcome']}"
        return LastChange(f"{run['started'][:19]}Z", run["who"], f"{run['command']}{outcome}", OURS)
    return None


def last_call(workspace: Workspace, component: str, instance: str | None, before: datetime | None) -> LastChange | None:
    """The newest call by another tool that changed the component before this time, as CloudTrail knows it.

    CloudTrail is up to 15 minutes late. `instance` is the identifier of the primary database instance.
    """
    trail, limit = Trail(workspace.aws, quick=True), before or datetime.now(UTC)
    for subject in _subjects(workspace, component, instance):
        for event in trail.last_changes(subject).changes:
            if not event.ours and event.time <= limit:
                return LastChange(in_seconds(event.time), event.who, f"{event.event} of {subject.names[0]}", event.tool)
    return None


def newer(first: LastChange | None, second: LastChange | None) -> LastChange | None:
    """The later of two changes; None if there is neither."""
    return max(filter(None, (first, second)), key=lambda change: change.at, default=None)


def _subjects(workspace: Workspace, component: str, instance: str | None) -> Iterator[TrailSubject]:
    """The resource that a component consists of."""
    sort, _, key = component.partition(" ")
    stack = workspace.stack
    if sort in ("readiness", "page"):
        sort, key = "service", asked_service(workspace.environment) or ""
    match sort:
        case "database" if instance:
            yield TrailSubject("rds-instance", (instance,))
        case "replica":
            yield from (
                TrailSubject(replica.kind, (replica.name,)) for replica in stack.replicas if str(replica.number) == key
            )
        case "queue" if key in stack.services:
            yield TrailSubject("sqs-queue", (stack.services[key].queue.name,))
        case "service" if key in stack.services:
            yield TrailSubject("ecs-service", (workspace.environment.service_name(key),))
        case "balancer":
            yield TrailSubject("elbv2-load-balancer", (stack.balancer.name,))
