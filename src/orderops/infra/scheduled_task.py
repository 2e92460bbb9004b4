"""A command of orderops that AWS runs again and again, in a task that a schedule starts with a service's image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.config.render import file_text
from orderops.engine.resource import Resource
from orderops.frozen import Frozen
from orderops.infra.roles import role_of
from orderops.infra.service import ServiceBase
from orderops.infra.service_roles import execution_role_of
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.scheduler_group import SchedulerGroup
from orderops.resources.scheduler_schedule import SchedulerSchedule
from orderops.resources.sqs_queue import SqsQueue

ENTRYPOINT = ("python", "-m", "orderops.cli.scheduled_entrypoint")
MINUTE = timedelta(minutes=1)


class ScheduledCommand(Frozen):
    """What AWS runs, how often, and what its task may do."""

    key: str
    """Names the schedule, the container, and with the environment's prefix the rest."""
    words: tuple[str, ...]
    """The command, without `orderops` and without the environment."""
    every: timedelta
    """Whole minutes."""
    allow: tuple[Allow, ...]


class ScheduledTask(Frozen):
    """What has to exist before AWS can run the command."""

    environment: Environment
    command: ScheduledCommand
    service: ServiceBase
    """The service whose image holds orderops."""
    group: SchedulerGroup
    log_group: LogsGroup
    execution_role: IamRole
    task_role: IamRole
    starting_role: IamRole
    """What the schedule starts the task with."""
    dead_letter: SqsQueue

    def resources(self) -> Iterator[Resource]:
        """All of them; the group and the queue are the same for all commands of an environment."""
        yield from (
            self.group,
            self.dead_letter,
            self.log_group,
            self.execution_role,
            self.task_role,
            self.starting_role,
        )

    def release(self, release: Sequence[Resource], image: str) -> list[Resource]:
        """What runs the command with this image, once the service of this release has taken it over."""
        command = self.command
        (service,) = (resource for resource in release if isinstance(resource, EcsService))
        definition = EcsTaskDefinition(
            name_in(self.environment, command.key),
            container=command.key,
            image=image,
            port=0,
            log_group=self.log_group,
            execution_role=self.execution_role,
            task_role=self.task_role,
            environment={
                # The user of the image has no home, and may write in this folder only.
                "HOME": "/tmp",  # in the container, which nobody shares
                "ORDEROPS_ENVIRONMENT": self.environment.name,
                "ORDEROPS_ENVIRONMENT_FILE": file_text(_inside(self.environment)),
            },
            scheduled=True,
        )
        minutes, words = command.every // MINUTE, (*ENTRYPOINT, *command.words)
        schedule = SchedulerSchedule(
            command.key, self.group, minutes, service, definition, self.starting_role, self.dead_letter, words
        )
        return [definition, schedule]


def scheduled_task_of(
    environment: Environment,
    account: str,
    cluster: str,
    service: ServiceBase,
    group: SchedulerGroup,
    dead_letter: SqsQueue,
    command: ScheduledCommand,
) -> ScheduledTask:
    """What runs a command in an environment again and again."""
    name = name_in(environment, command.key)
    log_group = LogsGroup(f"/orderops/{environment.name}/{command.key}", service.declared.log_days)
    execution = execution_role_of(environment, name, service.repository, log_group, ())
    task = role_of(environment, f"{name}-task", "ecs-tasks.amazonaws.com", command.allow)
    starts = (
        *_starts(environment, account, cluster, name, (execution, task)),
        Allow(("sqs:SendMessage",), (dead_letter,)),
    )
    starting = role_of(environment, f"{name}-schedule", "scheduler.amazonaws.com", starts)
    return ScheduledTask(environment, command, service, group, log_group, execution, task, starting, dead_letter)


def _inside(environment: Environment) -> Environment:
    """The environment for a task in its VPC: it reaches the database directly, and has a role of its own."""
    changes: dict[str, Any] = {}
    if environment.role:
        changes["role"] = None
    if environment.database.access != "direct":
        changes["database"] = environment.database.model_copy(update={"access": "direct"})
    return environment.model_copy(update=changes) if changes else environment


def name_in(environment: Environment, key: str) -> str:
    """The family of the task definition, and how the names of the roles begin."""
    return f"{environment.prefix}-{key}"


def _starts(
    environment: Environment, account: str, cluster: str, family: str, roles: tuple[IamRole, ...]
) -> tuple[Allow, ...]:
    """Starting tasks of the one family in the one cluster, with their roles."""
    ecs = f"arn:{partition_of(environment.region)}:ecs:{environment.region}:{account}"
    within = {"ArnEquals": {"ecs:cluster": f"{ecs}:cluster/{cluster}"}}
    passed = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    return (
        Allow(("ecs:RunTask",), (f"{ecs}:task-definition/{family}:*",), only=within),
        Allow(("iam:PassRole",), roles, only=passed),
    )
