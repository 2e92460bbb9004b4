"""A one-off ECS task: where it can run, and how it is started, observed and stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen
from orderops.remote.request import JOB_ID, JOB_URL
from orderops.resources.ecs_failure import why_stopped

COMMAND = ("python", "-m", "orderops.cli.remote_entrypoint")
# ECS's own scheduler sets startedBy to a deployment's id, so this value finds jobs only.
STARTED_BY = "orderops-job"
MAX_OVERRIDES = 8192
"""Characters of task overrides that RunTask accepts."""
TASKS_PER_CALL = 100
# IAM user guide, "Changes that I make are not always immediately visible".
KNOWN_AFTER = timedelta(seconds=30)
"""How long a new role is left alone."""


class TaskPlacement(Frozen):
    """Where a task can run next to a service: with its image, roles, subnets and security groups."""

    environment: str
    service: str
    cluster: str
    definition: str
    network: Mapping[str, Any]
    container: str
    image: str
    log_group: str
    log_prefix: str
    role: str = ""
    """The ARN of the task's role; the one of the service's own tasks if empty."""


def placement_of(aws: Aws, *, environment: str, cluster: str, service: str, role: str) -> TaskPlacement:
    """Return the placement for the current release of a service, with the IAM role of this name.

    Raises OrderopsError for a service that was never released or does not log to CloudWatch.
    """
    response = if_found(aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[service])
    active = [raw for raw in (response or {}).get("services", ()) if raw["status"] == "ACTIVE"]
    if not active:
        raise OrderopsError(
            f"{service} was never released, so {environment} has no image to run a task with",
            f'release it: orderops up --env {environment}; or from a machine inside the VPC: --dsn "host=… dbname=…"',
        )
    definition = active[0]["taskDefinition"]
    containers = aws.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]["containerDefinitions"]
    first = next((container for container in containers if container.get("essential", True)), containers[0])
    logs = first.get("logConfiguration", {}).get("options", {})
    # The output of a job is read from its log stream, named after prefix, container and task.
    if not (logs.get("awslogs-group") and logs.get("awslogs-stream-prefix")):
        raise OrderopsError(
            f"the log of {service} cannot be followed: {definition.rpartition('/')[2]} has no awslogs-group "
            "and awslogs-stream-prefix",
            f"apply the declared settings: orderops up --env {environment}",
        )
    return TaskPlacement(
        environment,
        service,
        cluster,
        definition,
        active[0].get("networkConfiguration", {}),
        first["name"],
        first["image"],
        logs["awslogs-group"],
        logs["awslogs-stream-prefix"],
        _role_arn(aws, role),
    )


def _role_arn(aws: Aws, name: str) -> str:
    """The ARN of a role; empty if it is missing, or so new that ECS may not know it yet.

    Then an older orderops made the environment, and the service's own tasks have the permissions.
    """
    response = if_found(aws.iam.get_role, "NoSuchEntity", RoleName=name)
    if response is None or datetime.now(UTC) - response["Role"]["CreateDate"] < KNOWN_AFTER:
        return ""
    return str(response["Role"]["Arn"])


def start(aws: Aws, placement: TaskPlacement, *, token: str, url: str, width: int = 80) -> RemoteTask:
    """Start a task for the request at `url`, whose output is `width` columns wide.

    Repeating the call with the same `token` starts no second task.

    Raises OrderopsError if ECS does not start it.
    """
    settings = {
        JOB_URL: url,
        JOB_ID: token,
        "COLUMNS": str(width),
    }
    variables = [{"name": name, "value": value} for name, value in settings.items()]
    override = {"name": placement.container, "command": list(COMMAND), "environment": variables}
    role = {"taskRoleArn": placement.role} if placement.role else {}
    overrides = {"containerOverrides": [override], **role}
    # A signed URL contains the session token, which session tags make long.
    if len(json.dumps(overrides)) > MAX_OVERRIDES:
        raise OrderopsError(
            f"the URL of the job has {len(url)} characters, more than ECS passes to a task",
            "sign in with credentials that have a shorter session token: a user, or a role without session tags",
        )
    response = aws.ecs.run_task(
        cluster=placement.cluster,
        taskDefinition=placement.definition,
        launchType="FARGATE",
        count=1,
        clientToken=token,
        startedBy=STARTED_BY,
        networkConfiguration=placement.network,
        overrides=overrides,
    )
    # RunTask succeeds even if it starts nothing.
    if not response.get("tasks"):
        raise _not_started(placement, response.get("failures") or ())
    return RemoteTask(aws, placement, response["tasks"][0]["taskArn"])


def running(aws: Aws, placement: TaskPlacement) -> Iterator[tuple[str, RemoteTask]]:
    """Yield the running jobs of a cluster, each with its id."""
    arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=placement.cluster, startedBy=STARTED_BY))
    for first in range(0, len(arns), TASKS_PER_CALL):
        batch = arns[first : first + TASKS_PER_CALL]
        for raw in aws.ecs.describe_tasks(cluster=placement.cluster, tasks=batch)["tasks"]:
            if raw.get("desiredStatus") == "RUNNING":
                yield _id_of(raw), RemoteTask(aws, placement, raw["taskArn"])


@dataclass
class RemoteTask:
    """A started task, and how far its log has been read."""

    aws: Aws
    placement: TaskPlacement
    arn: str
    _position: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def stream(self) -> str:
        """The name of its log stream."""
        return f"{self.placement.log_prefix}/{self.placement.container}/{self.id}"

    def describe(self) -> Mapping[str, Any] | None:
        """Return its description from ECS; None if ECS does not list it yet, or no longer."""
        response = self.aws.ecs.describe_tasks(cluster=self.placement.cluster, tasks=[self.arn])
        tasks: list[Mapping[str, Any]] = response["tasks"]
        return tasks[0] if tasks else None

    def lines(self) -> Iterator[str]:
        """Yield the log lines since the last call; none before the log stream exists."""
        while True:
            try:
                response = self.aws.logs.get_log_events(
                    logGroupName=self.placement.log_group,
                    logStreamName=self.stream,
                    startFromHead=True,
                    **self._position,
                )
            except AwsError as error:
                # The stream is created with the first line.
                if error.code != "ResourceNotFoundException":
                    raise
                return
            yield from (event["message"] for event in response["events"])
            token = response["nextForwardToken"]
            # At the end of the stream, AWS returns the token that was passed in.
            at_end = not response["events"] or token == self._position.get("nextToken")
            self._position = {"nextToken": token}
            if at_end:
                return

    def stop(self, reason: str) -> None:
        """Stop the task; does nothing if it has ended."""
        try:
            self.aws.ecs.stop_task(cluster=self.placement.cluster, task=self.arn, reason=reason)
        except AwsError as error:
            if error.code != "InvalidParameterException":
                raise

    def exit_code(self, state: Mapping[str, Any]) -> int | None:
        """Return the exit code of its container; None if the container never ran."""
        codes = [
            container.get("exitCode")
            for container in state.get("containers", ())
            if container["name"] == self.placement.container
        ]
        return next((int(code) for code in codes if code is not None), None)

    def start_error(self, state: Mapping[str, Any]) -> OrderopsError:
        """Return the error for a task that stopped before its container ran."""
        reason = why_stopped(state)
        return OrderopsError(f"the task did not start: {reason}", self._start_hint(reason))

    def _start_hint(self, reason: str) -> str:
        environment, image = self.placement.environment, self.placement.image
        if "CannotPullContainer" in reason:
            return (
                f"check that {image} exists and that the execution role may pull it; "
                f"release again: orderops up --env {environment}"
            )
        # A missing log group is a ResourceInitializationError as well, so it is checked first.
        if "log group" in reason:
            return f"create {self.placement.log_group} again: orderops infra apply --env {environment}"
        if "ResourceInitializationError" in reason:
            return (
                "check that the private subnet and the execution role have access to ECR, Secrets Manager and "
                f"CloudWatch Logs: orderops infra plan --env {environment}"
            )
        if "executable file not found" in reason or "CannotStartContainer" in reason:
            return (
                f"the image of {self.placement.service} must contain orderops: build it from the service's Dockerfile"
            )
        return "re-run this command to retry"


def _not_started(placement: TaskPlacement, failures: Sequence[Mapping[str, Any]]) -> OrderopsError:
    reasons = "; ".join(
        ": ".join(filter(None, (str(failure.get("reason") or "no reason"), failure.get("detail"))))
        for failure in failures
    )
    hint = f"orderops status --env {placement.environment}"
    # "Capacity is unavailable at this time" and "RESOURCE:CAPACITY".
    if "apacity" in reasons:
        hint = "Fargate has no capacity at the moment: re-run this command in some minutes"
    elif "ENI" in reasons or "RESOURCE" in reasons:
        hint = "check the free addresses of the private subnets and the account's quota of network interfaces"
    return OrderopsError(f"no task was started next to {placement.service}: {reasons or 'AWS gives no reason'}", hint)


def _id_of(task: Mapping[str, Any]) -> str:
    for override in task.get("overrides", {}).get("containerOverrides", ()):
        for variable in override.get("environment", ()):
            if variable["name"] == JOB_ID:
                return str(variable["value"])
    return ""
