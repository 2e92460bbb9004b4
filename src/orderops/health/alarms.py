"""The alarms of an environment."""

from __future__ import annotations

from orderops.aws.client import every
from orderops.errors import AwsError
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.workspace import Workspace


def alarms_status(workspace: Workspace) -> ComponentStatus:
    """The component for the alarms that are raised."""
    prefix = f"{workspace.environment.prefix}-"
    try:
        found = every(workspace.aws.cloudwatch.describe_alarms, "MetricAlarms", AlarmNamePrefix=prefix)
        alarms = [(raw["AlarmName"].removeprefix(prefix), raw["StateValue"]) for raw in found]
    except AwsError as error:
        return ComponentStatus("alarms", ComponentState.DEGRADED, f"cannot be read: {error.code}", "orderops doctor")
    raised = [name for name, state in alarms if state == "ALARM"]
    if raised:
        return ComponentStatus(
            "alarms", ComponentState.DEGRADED, f"{len(raised)} raised: {', '.join(raised)}", "orderops status --watch"
        )
    if not alarms:
        return ComponentStatus("alarms", ComponentState.ABSENT, "no alarm")
    return ComponentStatus("alarms", ComponentState.OK, f"{len(alarms)} quiet")
