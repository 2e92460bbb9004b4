"""The health of a queue: how many messages wait, since when nothing takes them, and how many are dead letters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from orderops.aws.client import Aws, if_found
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.alert_rule import Priority
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace
from orderops.resources.sqs_queue import GONE
from orderops.text.durations import in_words


def queue_status(workspace: Workspace, base: ServiceBase, oldest: float | None = None) -> ComponentStatus:
    """The component for the queue of a service; `oldest` is the age of its oldest message in seconds, if known."""
    name = f"queue {base.key}"
    with ThreadPoolExecutor(2) as pool:
        waiting, dead = pool.map(lambda queue: _depth(workspace.aws, queue.name), (base.queue, base.dead_letters))
    if waiting is None or dead is None:
        return ComponentStatus(name, ComponentState.ABSENT, "no queue" if waiting is None else "no dead-letter queue")
    limits = base.declared.alarms
    detail = f"{waiting} waiting, {dead} dead letters"
    takers = consumers_of(workspace, base)
    of_service = f" --service {base.key}" if len(workspace.environment.entries) > 1 else ""
    if waiting and oldest is not None and oldest > limits.queue_age_seconds:
        detail = f"nobody takes its messages: the oldest has waited for {in_words(oldest)}; {detail}"
        return _growing(name, detail, f"orderops service restart {takers[0].partition(' ')[2]}", takers)
    if waiting > limits.queue_depth:
        return _growing(name, detail, f"orderops queue status{of_service}", takers)
    if dead > limits.dead_letters:
        return ComponentStatus(name, ComponentState.DEGRADED, detail, f"orderops queue dlq list{of_service}")
    return ComponentStatus(name, ComponentState.OK, detail)


def _growing(name: str, detail: str, command: str, takers: tuple[str, ...]) -> ComponentStatus:
    # Whoever should take the messages may be the reason that they wait.
    return ComponentStatus(name, ComponentState.DEGRADED, detail, command, priority=Priority.P1, follows=takers)


def consumers_of(workspace: Workspace, base: ServiceBase) -> tuple[str, ...]:
    """The components that take messages from the queue of a service: its workers, or itself if it has none."""
    services = workspace.environment.services
    workers = [key for key, declared in services.items() if declared.works_for == base.key]
    return tuple(f"service {key}" for key in workers or [base.key])


def _depth(aws: Aws, name: str) -> int | None:
    """How many messages wait in a queue; None if it does not exist."""
    found = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    if not found:
        return None
    key, url = "ApproximateNumberOfMessages", found["QueueUrl"]
    response = if_found(aws.sqs.get_queue_attributes, *GONE, QueueUrl=url, AttributeNames=[key])
    return int(response["Attributes"][key]) if response else None
