"""The health of the database, as RDS describes it."""

from __future__ import annotations

from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.laptop import repairing
from orderops.infra.workspace import Workspace
from orderops.restore.instances import PROMOTED_BY, load_instances


def database_status(workspace: Workspace) -> ComponentStatus:
    """The component for the primary instance."""
    primary = load_instances(workspace.aws, workspace.stack).primary
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
    if status in ("available", "storage-optimization", "backing-up", "configuring-log-exports"):
        return ComponentStatus("database", ComponentState.OK, where, pending=primary.observed.pending)
    if status in ("creating", "starting", "rebooting", "modifying", "upgrading", "maintenance", "renaming"):
        state = ComponentState.STARTING if status == "creating" else ComponentState.DEGRADED
        return ComponentStatus("database", state, f"{status}; {where}", "orderops status --watch")
    command = repairing(workspace, status)
    return ComponentStatus("database", ComponentState.DOWN, f"{status}; {where}", command)
