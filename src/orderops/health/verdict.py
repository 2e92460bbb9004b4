"""The verdict on an environment: its root cause, how soon to act, and the next command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

from orderops.aws.documents import BrokenDocument
from orderops.frozen import Frozen
from orderops.health.cause import root_cause, suspected
from orderops.health.changes import LastChange
from orderops.health.component import GONE, ComponentState, ComponentStatus
from orderops.health.notes import Note
from orderops.health.pages import CustomerView
from orderops.health.releases import ServiceRelease
from orderops.health.secrets import SecretAge
from orderops.infra.readiness import ReadyAnswer
from orderops.restore.drill_record import Drill
from orderops.runs.history import in_seconds
from orderops.runs.lease import LeaseHolder

EXIT_CODES = {"P0": 10, "P1": 11, "P2": 12}
APART = ("alarms", "laptop", "schedules")
"""Components that exist without the environment, or serve nobody."""


class HealthVerdict(StrEnum):
    """The verdict on the whole environment."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


class Health(Frozen):
    """One verdict with one root cause and one next command."""

    environment: str
    verdict: HealthVerdict
    cause: str
    next: str
    urls: Mapping[str, str]
    components: tuple[ComponentStatus, ...]
    priority: str | None = None
    """How soon to act on the cause and all that it explains."""
    component: str = ""
    """The component that is the cause."""
    since: datetime | None = None
    """When it began, as far as alarms and components say."""
    waiting: Sequence[str] = ()
    """Components whose faults the cause explains."""
    change: LastChange | None = None
    """The last change before it."""
    page: CustomerView | None = None
    """What a customer sees."""
    notes: tuple[Note, ...] = ()
    denied: tuple[str, ...] = ()
    """Calls that the credentials may not make."""
    proven: Drill | None = None
    """The last restore drill."""
    runs: tuple[LeaseHolder, ...] = ()
    """The runs that change the environment now."""
    unreadable: tuple[BrokenDocument, ...] = ()
    """Leases that cannot be read, and drills newer than the one shown."""
    ready: ReadyAnswer | None = None
    """What the service answers through the load balancer."""
    releases: tuple[ServiceRelease, ...] = ()
    """What runs of each service."""
    secrets: tuple[SecretAge, ...] = ()
    """The declared secrets, the one with the oldest value first."""
    green: str = ""
    """The green instance of a blue/green deployment of the database; "" if there is none."""
    login: str = ""
    """How the services log in to the database: `iam`, `password`, or `master`, as the master user."""
    restorable: datetime | None = None
    """The last moment of the primary database that could be restored now."""

    @property
    def exit_code(self) -> int:
        """0 if healthy, by the worst priority if not, and 3 for what has none: it is absent, or only starts."""
        return 0 if self.verdict is HealthVerdict.HEALTHY else EXIT_CODES.get(self.priority or "", 3)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        parts = [self._part(component) for component in self.components]
        pending = [{"name": part.name, **change.to_dict()} for part in self.components for change in part.pending]
        return {
            "environment": self.environment,
            "verdict": str(self.verdict),
            "priority": str(self.priority) if self.priority else None,
            "cause": self.cause,
            "cause_component": self.component or None,
            "since": _second(self.since),
            "last_change": _document(self.change),
            "next": self.next,
            "notes": [note.to_dict(self.environment) for note in self.notes],
            "page": _document(self.page),
            "urls": dict(self.urls),
            "components": parts,
            "releases": [release.to_dict(self.environment) for release in self.releases],
            "secrets": [secret.to_dict() for secret in self.secrets],
            "login": self.login or None,
            "readiness": _document(self.ready),
            "runs": [asdict(run) for run in self.runs],
            "pending": pending,
            "restorable_until": _second(self.restorable),
            "proven_restore": _document(self.proven),
            "unreadable": [document.to_dict() for document in self.unreadable],
            "denied": list(self.denied),
        }

    def _part(self, component: ComponentStatus) -> dict[str, Any]:
        urgency = component.urgency
        return {
            "name": component.name,
            "state": str(component.state),
            "detail": component.detail,
            "priority": str(urgency) if urgency else None,
            "waits_on": self.component if component.name in self.waiting else None,
        }


def _second(moment: datetime | None) -> str | None:
    return in_seconds(moment) if moment else None


def _document(part: LastChange | CustomerView | ReadyAnswer | Drill | None) -> dict[str, Any] | None:
    return part.to_dict() if part else None


def judge(environment: str, components: tuple[ComponentStatus, ...], urls: Mapping[str, str]) -> Health:
    """The verdict on components: the fault that explains the most urgent others is the cause."""
    vital = [component for component in components if component.name not in APART]
    there = [component for component in vital if component.state is not ComponentState.ABSENT]
    # What cannot be read says nothing against it, unless that is everything.
    if len(there) < len(vital) and all(component.denied for component in there):
        command = with_environment("orderops up", environment)
        return Health(environment, HealthVerdict.ABSENT, "it does not exist", command, {}, components)
    components = suspected(components)
    root = root_cause(components)
    if root is None:
        return Health(environment, HealthVerdict.HEALTHY, "", "", urls, components)
    first = root.component
    gone = any(component.state in GONE for component in components if component.name not in APART)
    return Health(
        environment,
        HealthVerdict.DOWN if gone else HealthVerdict.DEGRADED,
        f"{first.name} is {first.state}: {first.detail}",
        with_environment(first.next_command or "orderops up", environment),
        urls,
        components,
        root.priority,
        first.name,
        first.since,
        root.waiting,
    )


def with_environment(command: str, environment: str) -> str:
    """The command with its environment; named even if it is the default, since ORDEROPS_ENV may say another."""
    whole = not command.startswith("orderops ") or command.startswith("orderops local ")
    return command if whole else f"{command} --env {environment}"
