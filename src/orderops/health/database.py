"""The health of the database, as RDS describes it and CloudWatch measures it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.laptop import looking_into, repairing
from orderops.health.measured import Measured
from orderops.infra.alert_rule import Priority
from orderops.infra.readiness import asked_service
from orderops.infra.workspace import Workspace
from orderops.restore.instances import PROMOTED_BY, Instance
from orderops.text.durations import in_words

WORKING = ("available", "storage-optimization", "backing-up", "configuring-log-exports")
CHANGING = ("creating", "starting", "rebooting", "modifying", "upgrading", "maintenance", "renaming")
GIB = 1024**3
LOW_STORAGE = 0.1
"""Share of the storage. RDS stops an instance whose storage is full."""
BUSY_CPU = 80.0
LATE_BACKUP = timedelta(minutes=30)
"""RDS uploads its log to S3 every five minutes."""


def database_status(workspace: Workspace, primary: Instance | None, measured: Measured) -> ComponentStatus:
    """The component for the primary instance."""
    if primary is None:
        return ComponentStatus("database", ComponentState.ABSENT, "no instance")
    properties, name = primary.observed.properties, primary.name
    promoted = f", {name}" if name != workspace.stack.database.name else ""
    where = f"{properties['Engine']} {properties['EngineVersion']}, {properties['DBInstanceClass']}{promoted}"
    status = properties["DBInstanceStatus"]
    if not primary.settled:
        command = f"orderops restore {primary.tag(PROMOTED_BY) or 'promote'}"
        return ComponentStatus(
            "database",
            ComponentState.DEGRADED,
            f"a promotion was interrupted: not every service uses it yet{promoted}",
            command,
        )
    if status in WORKING:
        command = looking_into(workspace, asked_service(workspace.environment) or "")
        return _working(primary, where, measured, command)
    if status in CHANGING:
        state = ComponentState.STARTING if status == "creating" else ComponentState.DEGRADED
        return ComponentStatus("database", state, f"{status}; {where}", "orderops status --watch")
    command = repairing(workspace, status)
    return ComponentStatus("database", ComponentState.DOWN, f"{status}; {where}", command)


def _working(primary: Instance, where: str, measured: Measured, looking: str) -> ComponentStatus:
    """The component for an instance that runs; `looking` is the command that shows what it is busy with."""
    properties = primary.observed.properties
    detail = "; ".join([where, *_measures(primary, measured)])
    storage = properties["AllocatedStorageNow"] * GIB
    if measured.free_storage is not None and measured.free_storage < LOW_STORAGE * storage:
        free = f"{measured.free_storage / GIB:.1f} of {properties['AllocatedStorageNow']} GB"
        words = f"the storage is nearly full: {free} are free; raise storage_gb in [database], then apply"
        state, command = ComponentState.DEGRADED, "orderops infra apply"
        return ComponentStatus("database", state, f"{words}; {where}", command, priority=Priority.P1)
    pending, suspicion = primary.observed.pending, _suspicion(measured)
    return ComponentStatus("database", ComponentState.OK, detail, looking, pending=pending, suspicion=suspicion)


def _measures(primary: Instance, measured: Measured) -> Iterator[str]:
    properties = primary.observed.properties
    if measured.connections is not None:
        yield f"{measured.connections:.0f} sessions"
    if measured.free_storage is not None:
        yield f"{measured.free_storage / GIB:.0f} GB free"
    restorable = properties.get("LatestRestorableTime")
    if restorable and (age := datetime.now(UTC) - restorable) > LATE_BACKUP:
        yield f"restorable only until {in_words(age)} ago"


def _suspicion(measured: Measured) -> str:
    """What is unusual and would explain that the service is slow."""
    if measured.load is not None and measured.load > 1:
        return f"slow: {measured.load:.1f} sessions are active for each of its CPUs"
    if measured.cpu is not None and measured.cpu > BUSY_CPU:
        return f"slow: it uses {measured.cpu:.0f} % of its CPU"
    return ""
