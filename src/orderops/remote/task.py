"""A one-off task of ECS: where it may run, how it is started, looked at, listened to and stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.errors import AwsError, OrderopsError
from orderops.remote.request import JOB_ID, JOB_URL
from orderops.resources.ecs_service import why_stopped

COMMAND = ("python", "-m", "orderops.cli.remote_entrypoint")
STARTED_BY = "orderops-errand"
"""How one errand finds another; the scheduler of services writes its deployments there."""
OVERRIDES = 8192
"""Characters that AWS takes."""
TASKS_A_CALL = 100


@dataclass(frozen=True)
class TaskPlacement:
    """Where a service runs, and so where a task beside it can: its image and roles, subnets and security group."""

    environment: str
    service: str
    cluster: str
    definition: str
    network: Mapping[str, Any]
    container: str
    image: str
    log_group: str
    log_prefix: str


def placement_of(aws: Aws, *, environment: str, cluster: str, service: str) -> TaskPlacement:
    """The place of a service as it runs now; raises OrderopsError where it was never released."""
    told = if_found(aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[service])
    found = [raw for raw in (told or {}).get("services", ()) if raw["status"] == "ACTIVE"]
    if not found:
        raise OrderopsError(
            f"{service} was never released, so there is no image in {environment} to run a task of",
            f'release it: orderops up --env {environment}; or from a machine inside the VPC: --dsn "host=… dbname=…"',
        )
    definition = found[0]["taskDefinition"]
    containers = aws.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]["containerDefinitions"]
    first = next((each for each in containers if each.get("essential", True)), containers[0])
    logs = first.get("logConfiguration", {}).get("options", {})
    if not (logs.get("awslogs-group") and logs.get("awslogs-stream-prefix")):
        raise OrderopsError(
            f"{service} writes no log that could be read along: {definition.rpartition('/')[2]} names no awslogs-group "
            "and awslogs-stream-prefix",
            f"let it be as declared: orderops up --env {environment}",
        )
    network = found[0].get("networkConfiguration", {})
    return TaskPlacement(
        environment,
        service,
        cluster,
        definition,
        network,
        first["name"],
        first["image"],
        logs["awslogs-group"],
        logs["awslogs-stream-prefix"],
    )


def start(aws: Aws, placement: TaskPlacement, *, token: str, url: str) -> RemoteTask:
    """Start a task that carries out the errand at `url`; with the same `token` it is the same task."""
    variables = [{"name": JOB_URL, "value": url}, {"name": JOB_ID, "value": token}]
    override = {"name": placement.container, "command": list(COMMAND), "environment": variables}
    overrides = {"containerOverrides": [override]}
    if len(json.dumps(overrides)) > OVERRIDES:
        raise OrderopsError(
            f"the address of the errand has {len(url)} characters, more than a task can be told",
            "sign in with credentials whose session token is shorter: a user's, or a role's without session tags",
        )
    answer = aws.ecs.run_task(
        cluster=placement.cluster,
        taskDefinition=placement.definition,
        launchType="FARGATE",
        count=1,
        clientToken=token,
        startedBy=STARTED_BY,
        networkConfiguration=placement.network,
        overrides=overrides,
    )
    if not answer.get("tasks"):
        raise _not_started(placement, answer.get("failures") or ())
    return RemoteTask(aws, placement, answer["tasks"][0]["taskArn"])


def running(aws: Aws, placement: TaskPlacement) -> Iterator[tuple[str, RemoteTask]]:
    """The errands under way beside a service, each with its id."""
    arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=placement.cluster, startedBy=STARTED_BY))
    for first in range(0, len(arns), TASKS_A_CALL):
        for raw in aws.ecs.describe_tasks(cluster=placement.cluster, tasks=arns[first : first + TASKS_A_CALL])["tasks"]:
            if raw.get("desiredStatus") == "RUNNING":
                yield _id_of(raw), RemoteTask(aws, placement, raw["taskArn"])


@dataclass
class RemoteTask:
    """A task that was started, and how far its log was read."""

    aws: Aws
    placement: TaskPlacement
    arn: str
    _read: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def stream(self) -> str:
        """Where its lines are."""
        return f"{self.placement.log_prefix}/{self.placement.container}/{self.id}"

    def describe(self) -> Mapping[str, Any] | None:
        """What AWS says of it; None while it is not seen yet, or not any more."""
        told = self.aws.ecs.describe_tasks(cluster=self.placement.cluster, tasks=[self.arn])
        found: list[Mapping[str, Any]] = told["tasks"]
        return found[0] if found else None

    def lines(self) -> Iterator[str]:
        """What it wrote since the last look; nothing while its log does not exist."""
        while True:
            try:
                answer = self.aws.logs.get_log_events(
                    logGroupName=self.placement.log_group, logStreamName=self.stream, startFromHead=True, **self._read
                )
            except AwsError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                return
            yield from (event["message"] for event in answer["events"])
            token = answer["nextForwardToken"]
            if not answer["events"] or token == self._read.get("nextToken"):
                self._read = {"nextToken": token}
                return
            self._read = {"nextToken": token}

    def stop(self, why: str) -> None:
        """Ask for its end; one that is gone needs none."""
        try:
            self.aws.ecs.stop_task(cluster=self.placement.cluster, task=self.arn, reason=why)
        except AwsError as error:
            if error.code != "InvalidParameterException":
                raise

    def exit_code(self, raw: Mapping[str, Any]) -> int | None:
        """The code of its container; None where that never ran."""
        codes = [each.get("exitCode") for each in raw.get("containers", ()) if each["name"] == self.placement.container]
        return next((int(code) for code in codes if code is not None), None)

    def start_error(self, raw: Mapping[str, Any]) -> OrderopsError:
        """Why it stopped before it began."""
        why = why_stopped(raw)
        name = self.placement.environment
        hint = "the same command again tries again"
        if "CannotPullContainer" in why:
            hint = (
                f"is {self.placement.image} still there, and may it be pulled? A new release: orderops up --env {name}"
            )
        elif "log group" in why:
            hint = f"make {self.placement.log_group} again: orderops infra apply --env {name}"
        elif "ResourceInitializationError" in why:
            hint = (
                "does the private subnet reach ECR, Secrets Manager and CloudWatch Logs, and may the execution role? "
                f"orderops infra plan --env {name}"
            )
        elif "executable file not found" in why or "CannotStartContainer" in why:
            hint = f"the image of {self.placement.service} must hold orderops: build it from the Dockerfile beside it"
        return OrderopsError(f"the task did not start: {why}", hint)


def _not_started(place: TaskPlacement, failures: Any) -> OrderopsError:
    said = "; ".join(
        ": ".join(filter(None, (str(each.get("reason") or "no reason"), each.get("detail")))) for each in failures
    )
    hint = f"orderops status --env {place.environment}"
    if "apacity" in said:
        hint = "Fargate has no room just now: the same command again in some minutes"
    elif "ENI" in said or "RESOURCE" in said:
        hint = "are there free addresses in the private subnets, and network interfaces in the account's quota?"
    return OrderopsError(f"no task was started beside {place.service}: {said or 'AWS gave no reason'}", hint)


def _id_of(raw: Mapping[str, Any]) -> str:
    for override in raw.get("overrides", {}).get("containerOverrides", ()):
        for pair in override.get("environment", ()):
            if pair["name"] == JOB_ID:
                return str(pair["value"])
    return ""
