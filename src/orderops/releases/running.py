"""What ECS runs of a service now, and what changes it without a new image."""

from __future__ import annotations

from typing import Any

from orderops.aws.client import Aws
from orderops.errors import AwsError


def read_service(aws: Aws, cluster: str, service: str) -> dict[str, Any]:
    """The service as ECS describes it; {} if it does not exist."""
    try:
        described = aws.ecs.describe_services(cluster=cluster, services=[service])["services"]
    except AwsError as error:
        if error.code not in ("ClusterNotFoundException", "ServiceNotFoundException"):
            raise
        return {}
    return next((raw for raw in described if raw["status"] == "ACTIVE"), {})


def image_of(aws: Aws, definition: str) -> str:
    """The image of a task definition."""
    described = aws.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    return str(described["containerDefinitions"][0]["image"])


def replace_tasks(aws: Aws, cluster: str, service: str) -> None:
    """Begin a deployment of the same task definition."""
    aws.ecs.update_service(cluster=cluster, service=service, forceNewDeployment=True)


def set_task_count(aws: Aws, cluster: str, service: str, tasks: int) -> None:
    """Set the number of tasks, which begins no deployment."""
    aws.ecs.update_service(cluster=cluster, service=service, desiredCount=tasks)
