"""The verdict on an environment: the component that is the root cause, and the next command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from orderops.aws.documents import BrokenDocument
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.releases import ServiceRelease
from orderops.infra.readiness import ReadyAnswer
from orderops.restore.drill_record import Drill
from orderops.runs.lease import LeaseHolder


class HealthVerdict(StrEnum):
    """The verdict on the whole environment."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


@dataclass(frozen=True)
class Health:
    """One verdict with one root cause and one next command."""

    environment: str
    verdict: HealthVerdict
    cause: str
    next: str
    urls: Mapping[str, str]
    components: tuple[ComponentStatus, ...]
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

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        parts = [{"name": part.name, "state": str(part.state), "detail": part.detail} for part in self.components]
        pending = [{"name": part.name, **change.to_dict()} for part in self.components for change in part.pending]
        return {
            "environment": self.environment,
            "verdict": str(self.verdict),
            "cause": self.cause,
            "next": self.next,
            "urls": dict(self.urls),
            "components": parts,
            "releases": [release.to_dict(self.environment) for release in self.releases],
            "readiness": self.ready.to_dict() if self.ready else None,
            "runs": [asdict(run) for run in self.runs],
            "pending": pending,
            "proven_restore": self.proven.to_dict() if self.proven else None,
            "unreadable": [document.to_dict() for document in self.unreadable],
        }


def judge(environment: str, components: tuple[ComponentStatus, ...], urls: Mapping[str, str]) -> Health:
    """The verdict on components in the order of their dependencies: the first that is not OK is the cause."""
    vital = [component for component in components if component.name not in ("alarms", "laptop")]
    if all(component.state is ComponentState.ABSENT for component in vital):
        return Health(
            environment,
            HealthVerdict.ABSENT,
            "it does not exist",
            with_environment("orderops up", environment),
            {},
            components,
        )
    well = (ComponentState.OK, ComponentState.UNKNOWN)
    impaired = [component for component in components if component.state not in well]
    if not impaired:
        return Health(environment, HealthVerdict.HEALTHY, "", "", urls, components)
    down = [component for component in impaired if component.state in (ComponentState.DOWN, ComponentState.ABSENT)]
    first = (down or impaired)[0]
    verdict = HealthVerdict.DOWN if down else HealthVerdict.DEGRADED
    cause = f"{first.name} is {first.state}: {first.detail}"
    return Health(
        environment,
        verdict,
        cause,
        with_environment(first.next_command or "orderops up", environment),
        urls,
        components,
    )


def with_environment(command: str, environment: str) -> str:
    """The command with its environment; named even if it is the default, since ORDEROPS_ENV may say another."""
    whole = not command.startswith("orderops ") or command.startswith("orderops local ")
    return command if whole else f"{command} --env {environment}"
