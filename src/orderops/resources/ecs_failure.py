"""Why the tasks of an ECS service fail: how they stopped, what they wrote last, and the events of the service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.aws.redaction import without_secrets
from orderops.errors import AwsError
from orderops.text.outside import plain

# Maximum of DescribeTasks.
TASKS_A_CALL = 100
# CloudWatch Logs delivers the last lines of a task some seconds after its end: the tasks before it have theirs.
TASKS_READ = 3
LAST_LINES = 10
LONGEST_LINE = 400
EVENTS_SHOWN = 3
# The scheduler stops these tasks by itself, as the steps of a deployment.
BY_PLAN = "Scaling activity initiated by"
# From "Amazon ECS service event messages" in the ECS developer guide.
TROUBLE = re.compile(r"\b(unable to|failed to|failed container|unhealthy in|throttled|does not have)\b", re.I)
# A consequence, which hides its reason in a list with few places.
FAILED_DEPLOYMENT = re.compile(r"\bdeployment failed\b")


def stopped_tasks(aws: Aws, cluster: str, service: str) -> list[str]:
    """Why the latest tasks of a service stopped, newest first. AWS keeps stopped tasks for about an hour."""
    return [why_stopped(task) for task in stopped(aws, cluster, service)]


def why_stopped(task: Mapping[str, Any]) -> str:
    """Why a task stopped, and how its containers ended."""
    reasons = [str(task.get("stoppedReason") or task.get("stopCode") or "stopped")]
    for container in task.get("containers", ()):
        if container.get("reason"):
            reasons.append(str(container["reason"]))
        if container.get("exitCode") is not None:
            reasons.append(f"{container['name']} exited with {container['exitCode']}")
    return "; ".join(reasons)


def trouble(service: Mapping[str, Any], since: Any) -> list[str]:
    """The events that tell of a problem, newest first, without those from before `since`.

    ECS repeats events and keeps the last 100, so older ones belong to other deployments.
    """
    recent = [event for event in service.get("events", ()) if _is_newer(event, since)]
    texts = (plain(str(event.get("message", ""))) for event in recent)
    # The text begins with the name of the service.
    shown = (text.removeprefix(f"(service {service.get('serviceName')}) ") for text in texts)
    return list(dict.fromkeys(text for text in shown if _tells_why(text)))[:EVENTS_SHOWN]


def why_deployment_failed(aws: Aws, cluster: str, service: str) -> str:
    """Why the last deployment of a service failed; "" if AWS does not say.

    The first line is the reason, further lines are the last that a task wrote.
    """
    since = _began(aws, cluster, service)
    tasks = [task for task in stopped(aws, cluster, service) if _is_newer(task, since) and not _by_plan(task)]
    if tasks:
        return "\n".join([plain(why_stopped(tasks[0]), LONGEST_LINE), *_last_words(aws, tasks)])
    described = aws.ecs.describe_services(cluster=cluster, services=[service])["services"]
    # The oldest is nearest to the cause.
    return "; ".join(reversed(trouble(described[0], since))) if described and since else ""


def stopped(aws: Aws, cluster: str, service: str) -> list[dict[str, Any]]:
    """The latest tasks of a service that stopped, newest first. AWS shows them for about an hour."""
    arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=cluster, serviceName=service, desiredStatus="STOPPED"))
    if not arns:
        return []
    tasks = aws.ecs.describe_tasks(cluster=cluster, tasks=arns[:TASKS_A_CALL])["tasks"]
    return sorted(tasks, key=lambda task: str(task.get("stoppedAt", "")), reverse=True)


def _began(aws: Aws, cluster: str, service: str) -> Any:
    """When the last deployment that was requested began; None if that cannot be read.

    A rollback is not one of its own here, unlike in DescribeServices, where it hides the deployment that failed.
    """
    with suppress(AwsError):
        deployments = aws.ecs.list_service_deployments(cluster=cluster, service=service)["serviceDeployments"]
        return max((deployment["createdAt"] for deployment in deployments), default=None)
    return None


def _is_newer(described: Mapping[str, Any], since: Any) -> bool:
    at = described.get("createdAt")
    return not (isinstance(at, datetime) and isinstance(since, datetime)) or at >= since


def _tells_why(event: str) -> bool:
    return bool(TROUBLE.search(event)) and not FAILED_DEPLOYMENT.search(event)


def _by_plan(task: Mapping[str, Any]) -> bool:
    return str(task.get("stoppedReason", "")).startswith(BY_PLAN)


def last_lines_of(aws: Aws, task: Mapping[str, Any]) -> list[str]:
    """The last log lines of the first container of a task that wrote any; [] if none did."""
    for _, group, stream in _streams(aws, task):
        if lines := _read(aws, group, stream):
            return lines
    return []


def _last_words(aws: Aws, tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The last log lines of the newest task that has any, below a line that says where they are from."""
    # A task that never ran has written nothing.
    ran = [task for task in tasks if any("exitCode" in container for container in task.get("containers", ()))]
    group = ""
    for task in ran[:TASKS_READ]:
        for container, group, stream in _streams(aws, task):
            lines = _read(aws, group, stream)
            if lines:
                yield f"the last lines of {container} in {group}, stream {stream}:"
                yield from (f"  {line}" for line in lines)
                return
    if group:
        yield f"its log group {group} has no lines of it"


def _streams(aws: Aws, task: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Container, log group and log stream of each container that ended with an error, or else of all."""
    response = if_found(
        aws.ecs.describe_task_definition, "ClientException", taskDefinition=task.get("taskDefinitionArn", "")
    )
    definitions = (response or {}).get("taskDefinition", {}).get("containerDefinitions", ())
    failed = {container["name"] for container in task.get("containers", ()) if container.get("exitCode")}
    task_id = str(task.get("taskArn", "")).rpartition("/")[2]
    for definition in definitions:
        options = definition.get("logConfiguration", {}).get("options", {})
        if "awslogs-group" in options and (not failed or definition["name"] in failed):
            prefix = options.get("awslogs-stream-prefix", "")
            yield definition["name"], options["awslogs-group"], f"{prefix}/{definition['name']}/{task_id}"


def _read(aws: Aws, group: str, stream: str) -> list[str]:
    """The last lines of a stream; none if it does not exist, or may not be read."""
    codes = ("ResourceNotFoundException", "AccessDeniedException")
    response = if_found(
        aws.logs.get_log_events,
        *codes,
        logGroupName=group,
        logStreamName=stream,
        limit=LAST_LINES,
        startFromHead=False,
    )
    events = (response or {}).get("events", ())
    return [plain(without_secrets(str(event["message"])), LONGEST_LINE) for event in events][-LAST_LINES:]
