"""Schedule of EventBridge Scheduler that starts a Fargate task again and again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.frozen import replace
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import IamRole
from orderops.resources.scheduler_group import FEATURE, NAME_RULE, SchedulerGroup
from orderops.resources.sqs_queue import SqsQueue

RETRIES = 2
LONGEST_AGE = 3600  # seconds; a start that AWS still refuses after an hour needs an operator
WHEN = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "State")
NETWORK = ("Subnets", "SecurityGroups", "AssignPublicIp")


class SchedulerSchedule(Resource):
    """Runs `command` in a task every `minutes`, in the subnets and security groups of a service.

    It is set after the service has taken over the same release, and pins the revision of the task definition: without
    it, AWS would start the newest one, released or not.
    """

    group: SchedulerGroup
    minutes: int
    service: EcsService
    task_definition: EcsTaskDefinition
    role: IamRole
    """What Scheduler starts the task with."""
    dead_letter: SqsQueue
    """Where Scheduler writes that it could not start the task."""
    command: tuple[str, ...]

    kind: ClassVar[str] = "scheduler-schedule"
    name_rule: ClassVar[NameRule | None] = NAME_RULE
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "ConflictException",
            "ResourceNotFoundException",
            # Scheduler does not know a new role for up to two minutes.
            "ValidationException: The execution role you provide must allow",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for group in SchedulerGroup.listing(aws, Ownership(owner.environment)):
            # AWS deletes the schedules of a group that is being deleted.
            if group.state is State.GOING or SchedulerGroup.tags(aws, group).get(ENVIRONMENT) != owner.environment:
                continue
            for raw in every(aws.scheduler.list_schedules, "Schedules", GroupName=group.name):
                name = raw["Name"]
                if owner.name in ("", name):
                    yield Observed(name, tags=owner.named(cls.kind, name), name=name, arn=raw["Arn"])

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        # Without its group, AWS would look for it in the group "default".
        raw = aws.scheduler.get_schedule(GroupName=self.group.name, Name=observed.name)
        return replace(observed, properties=_properties_of(raw))

    def desired(self, outputs: Outputs) -> Properties:
        override = {"name": self.task_definition.container, "command": list(self.command)}
        return {
            "ScheduleExpression": f"rate({self.minutes} minute{'s' if self.minutes > 1 else ''})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Cluster": outputs[self.service.cluster].arn,
            "RoleArn": outputs[self.role].arn,
            "TaskDefinitionArn": outputs[self.task_definition].arn,
            "LaunchType": "FARGATE",
            "TaskCount": 1,
            "Subnets": sorted(outputs[subnet].id for subnet in self.service.subnets),
            "SecurityGroups": sorted(outputs[group].id for group in self.service.security_groups),
            "AssignPublicIp": "DISABLED",
            "Input": {"containerOverrides": [override]},
            "RetryPolicy": self._retries(),
            "DeadLetterConfig": {"Arn": outputs[self.dead_letter].arn},
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.scheduler.create_schedule(**self._request(desired))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # UpdateSchedule sets what it is not given to AWS's defaults, so everything is sent.
        aws.scheduler.update_schedule(**self._request({**observed.properties, **changed}))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # The end of its ARN is schedule/GROUP/NAME.
        aws.scheduler.delete_schedule(GroupName=observed.arn.split("/")[1], Name=observed.name)

    def _retries(self) -> dict[str, int]:
        """Some attempts, and none after the next start is due. AWS's own default is 185 attempts in a day."""
        return {
            "MaximumRetryAttempts": RETRIES,
            "MaximumEventAgeInSeconds": min(self.minutes * 60, LONGEST_AGE),
        }

    def _request(self, properties: Properties) -> dict[str, Any]:
        task = {
            "TaskDefinitionArn": properties["TaskDefinitionArn"],
            "LaunchType": properties["LaunchType"],
            "TaskCount": properties["TaskCount"],
            "NetworkConfiguration": {"awsvpcConfiguration": {key: properties[key] for key in NETWORK}},
        }
        target = {
            "Arn": properties["Cluster"],
            "RoleArn": properties["RoleArn"],
            "EcsParameters": task,
            "Input": json.dumps(properties["Input"]),
            "RetryPolicy": properties["RetryPolicy"],
            "DeadLetterConfig": properties["DeadLetterConfig"],
        }
        when = {key: properties[key] for key in WHEN}
        return {"GroupName": self.group.name, "Name": self.name, **when, "Target": target}


def _properties_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule as GetSchedule returns it; None for what it has not, such as one that was made for another target."""
    target = raw["Target"]
    task = target.get("EcsParameters", {})
    network = task.get("NetworkConfiguration", {}).get("awsvpcConfiguration", {})
    return {
        **{key: raw.get(key) for key in WHEN},
        "Cluster": target["Arn"],
        "RoleArn": target["RoleArn"],
        "TaskDefinitionArn": task.get("TaskDefinitionArn"),
        "LaunchType": task.get("LaunchType"),
        "TaskCount": task.get("TaskCount", 1),
        "Subnets": sorted(network.get("Subnets", ())),
        "SecurityGroups": sorted(network.get("SecurityGroups", ())),
        "AssignPublicIp": network.get("AssignPublicIp", "DISABLED"),
        "Input": _parsed(target.get("Input", "")),
        "RetryPolicy": target.get("RetryPolicy"),
        "DeadLetterConfig": target.get("DeadLetterConfig"),
    }


def _parsed(text: str) -> Any:
    """The JSON of an input; the text itself if somebody has set one that is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
