"""The health of the read replicas: whether each replicates from the database, and how far behind it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from orderops.aws.ownership import ADDRESS, Ownership
from orderops.engine.resource import Observed, State
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.database import CHANGING
from orderops.health.laptop import catching_up, exact_lag, explaining_replica
from orderops.health.measured import Measured
from orderops.infra.alert_rule import Priority
from orderops.infra.workspace import Workspace
from orderops.resources.rds_read_replica import SOURCE, RdsReadReplica
from orderops.restore.instances import Instance
from orderops.text.durations import in_words

LATE = 60.0
"""Seconds."""
LATE_WHEN_IDLE = 360.0
"""Seconds. Without commits, RDS's measure climbs to the five minutes between two writes of RDS itself."""
IDLE_WRITES = 5.0
"""Writes a second up to which a database may be idle."""


def read_replicas(workspace: Workspace) -> dict[str, Observed]:
    """The declared read replicas that exist, by address."""
    declared = {replica.address for replica in workspace.stack.replicas}
    if not declared:
        return {}
    found = list(RdsReadReplica.listing(workspace.aws, Ownership(workspace.environment.name)))
    # By the tag: after a promotion, the name of a replica can be that of the database.
    by_tag = {
        (observed.tags or {}).get(ADDRESS, ""): observed for observed in found if observed.state is not State.GOING
    }
    return {address: observed for address, observed in by_tag.items() if address in declared}


def replica_status(
    workspace: Workspace,
    replica: RdsReadReplica,
    observed: Observed | None,
    primary: Instance | None,
    measured: Measured,
) -> ComponentStatus:
    """The component for a read replica. Without one, the database answers all reads, which is urgent for nobody."""
    label = f"replica {replica.number}"
    if observed is None:
        state = ComponentState.DEGRADED if primary else ComponentState.ABSENT
        return ComponentStatus(label, state, "no instance", "orderops up", priority=Priority.P2)
    lag = measured.lags.get(observed.name)
    detail = "; ".join(_described(observed, lag))
    words, command = _fault(workspace, observed, primary, measured, lag)
    if not words:
        return ComponentStatus(label, ComponentState.OK, detail, pending=observed.pending)
    starts = observed.properties["DBInstanceStatus"] == "creating" or observed.state is State.PENDING
    return ComponentStatus(
        label,
        ComponentState.STARTING if starts else ComponentState.DEGRADED,
        f"{words}; {detail}",
        command,
        priority=Priority.P2,
        # A database that is away, or changed, takes its replicas along.
        follows=("database",),
    )


def _fault(
    workspace: Workspace, observed: Observed, primary: Instance | None, measured: Measured, lag: float | None
) -> tuple[str, str]:
    """What is wrong with a replica, and the command to type; empty if nothing is."""
    properties, watch = observed.properties, "orderops status --watch"
    status, source = properties["DBInstanceStatus"], properties[SOURCE]
    if source is None:
        return "it was promoted and is a database of its own", "orderops infra plan"
    if primary and source != primary.name:
        return f"it follows {source}, and not the database", "orderops up"
    if not properties["Running"]:
        return "stopped", "orderops up"
    if status in CHANGING or observed.state is State.PENDING:
        return observed.status, watch
    if observed.state is State.FAILED:
        return observed.status, "orderops infra plan"
    if not properties["Replicating"]:
        message = properties["ReplicationMessage"]
        why = f": {message}" if message else ""
        command = explaining_replica(workspace, observed.name)
        return f"it does not replicate ({properties['ReplicationStatus']}{why})", command
    if lag is not None and lag < 0:
        return "it does not replicate", explaining_replica(workspace, observed.name)
    if lag is not None and lag > _late_from(workspace, measured):
        return f"late: {in_words(timedelta(seconds=lag))} behind", catching_up(workspace, observed.name)
    return "", ""


def _late_from(workspace: Workspace, measured: Measured) -> float:
    busy = exact_lag(workspace) or (measured.writes or 0) > IDLE_WRITES
    return LATE if busy else LATE_WHEN_IDLE


def _described(observed: Observed, lag: float | None) -> Iterator[str]:
    properties = observed.properties
    yield f"{observed.name}, {properties['DBInstanceClass']}"
    if lag is not None and lag >= 0:
        yield f"{lag:.0f} s behind"
