"""What ECS runs of a service now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.releases.running import read_service


def running_service(workspace: Workspace, service: str) -> Mapping[str, Any]:
    """The service as ECS describes it. Raises OrderopsError if it is not released."""
    environment = workspace.environment
    raw = read_service(workspace.aws, *names_in_ecs(workspace, service))
    if not raw:
        raise OrderopsError(f"{service} is not released in {environment.name}", f"orderops up --env {environment.name}")
    return raw


def names_in_ecs(workspace: Workspace, service: str) -> tuple[str, str]:
    """The names of the cluster and of the service, by which ECS is asked."""
    return workspace.stack.cluster.name, workspace.environment.service_name(service)
