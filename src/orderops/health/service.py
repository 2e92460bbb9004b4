"""The health of a service: its tasks and its rollout, as ECS describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.aws.client import if_found
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace
from orderops.releases.stages import DeploymentStage, has_stages, stage_of
from orderops.resources.ecs_failure import stopped_tasks, trouble
from orderops.text.outside import plain

# DescribeServices: "You may specify up to 10 services to describe in a single operation".
SERVICES_A_CALL = 10


def read_services(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """The services that are released, as ECS describes them, by their names there."""
    cluster = workspace.stack.cluster.name
    names = [workspace.environment.service_name(service) for service in workspace.environment.services]
    found: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(names), SERVICES_A_CALL):
        response = if_found(
            workspace.aws.ecs.describe_services,
            "ClusterNotFoundException",
            cluster=cluster,
            services=names[first : first + SERVICES_A_CALL],
        )
        for raw in (response or {}).get("services", ()):
            if raw["status"] == "ACTIVE":
                found[raw["serviceName"]] = raw
    return found


def service_status(workspace: Workspace, base: ServiceBase, raw: Mapping[str, Any] | None) -> ComponentStatus:
    """The component for the tasks of a service; `raw` is the service as ECS describes it."""
    name, cluster = workspace.environment.service_name(base.key), workspace.stack.cluster.name
    label = f"service {base.key}"
    if raw is None:
        return ComponentStatus(label, ComponentState.ABSENT, "not released")
    rollout = str(current_deployment(raw).get("rolloutState", ""))
    detail = (
        f"{raw['runningCount']} of {raw['desiredCount']} tasks, revision {raw['taskDefinition'].rpartition(':')[2]}"
    )
    if rollout == "FAILED" or raw["runningCount"] < raw["desiredCount"]:
        stopped = stopped_tasks(workspace.aws, cluster, name)
        events = trouble(raw, raw["deployments"][0].get("createdAt")) if raw["deployments"] else []
        reasons = [f"last stop: {plain(stopped[0])}"] if stopped else events[:1]
        detail = "; ".join([detail, *reasons])
    if rollout == "IN_PROGRESS" and has_stages(raw) and (stage := stage_of(workspace.aws, cluster, name)):
        detail += f"; {_waits(stage)}" if stage.pause else f"; its release is at {stage.stage}"
    if raw["desiredCount"] > base.declared.max_tasks:
        detail += f"; set to more than max_tasks, which is {base.declared.max_tasks}"
    return _service_status(label, raw, rollout, detail, base.declared.min_tasks)


def _waits(stage: DeploymentStage) -> str:
    """That a release waits for an answer, what gives it, and what happens without one."""
    at = "is tested" if stage.is_tested else "bakes"
    return f"its release {at} and waits for `orderops service promote` or `abort`; {stage.unanswered}".rstrip("; ")


def current_deployment(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The deployment that brings what the service is to run; {} if ECS names none."""
    return next((deployment for deployment in raw["deployments"] if deployment["status"] == "PRIMARY"), {})


def _service_status(label: str, raw: Mapping[str, Any], rollout: str, detail: str, min_tasks: int) -> ComponentStatus:
    key, running = label.partition(" ")[2], raw["runningCount"]
    impaired = ComponentState.DEGRADED if running else ComponentState.DOWN
    if rollout == "FAILED":
        return ComponentStatus(label, impaired, f"release failed; {detail}", f"orderops service explain {key}")
    if raw["desiredCount"] < min_tasks:
        # Nothing but `up` corrects it: autoscaling does not.
        return ComponentStatus(label, impaired, f"{detail}; set to fewer than min_tasks, which is {min_tasks}")
    if running >= raw["desiredCount"]:
        return ComponentStatus(label, ComponentState.OK, detail)
    if rollout == "IN_PROGRESS" and not running:
        impaired = ComponentState.STARTING
    # ECS replaces a task that stopped; where none runs, their log lines say why.
    command = f"orderops service logs {key}" if impaired is ComponentState.DOWN else "orderops status --watch"
    # Tasks of an image that ends without its database follow the database.
    return ComponentStatus(label, impaired, detail, command, follows=("database",))
