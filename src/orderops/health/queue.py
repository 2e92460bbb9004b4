"""The health of a queue: how many messages wait, and how many are dead letters."""

from __future__ import annotations

from orderops.aws.client import Aws, if_found
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace
from orderops.resources.sqs_queue import GONE


def queue_status(workspace: Workspace, base: ServiceBase) -> ComponentStatus:
    """The component for the queue of a service."""
    name = f"queue {base.key}"
    waiting = _depth(workspace.aws, base.queue.name)
    dead = _depth(workspace.aws, base.dead_letters.name)
    if waiting is None or dead is None:
        return ComponentStatus(name, ComponentState.ABSENT, "no queue" if waiting is None else "no dead-letter queue")
    limits = base.declared.alarms
    detail = f"{waiting} waiting, {dead} dead letters"
    if dead > limits.dead_letters:
        command = "orderops queue dlq list" + (
            f" --service {base.key}" if len(workspace.environment.entries) > 1 else ""
        )
        return ComponentStatus(name, ComponentState.DEGRADED, detail, command)
    if waiting > limits.queue_depth:
        return ComponentStatus(name, ComponentState.DEGRADED, detail, "orderops status --watch")
    return ComponentStatus(name, ComponentState.OK, detail)


def _depth(aws: Aws, name: str) -> int | None:
    """How many messages wait in a queue; None if it does not exist."""
    found = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    if not found:
        return None
    key, url = "ApproximateNumberOfMessages", found["QueueUrl"]
    response = if_found(aws.sqs.get_queue_attributes, *GONE, QueueUrl=url, AttributeNames=[key])
    return int(response["Attributes"][key]) if response else None
