"""What renews the board by itself: a schedule, and the task that it starts with the image of the first service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.config.render import file_text
from orderops.engine.resource import Resource
from orderops.infra.roles import role_of
from orderops.infra.service import ServiceBase
from orderops.infra.service_roles import execution_role_of
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.scheduler_group import SchedulerGroup, name_of
from orderops.resources.scheduler_schedule import SchedulerSchedule

CONTAINER = "board"
COMMAND = ("python", "-m", "orderops.cli.scheduled_entrypoint", "board", "publish")
MINUTE = timedelta(minutes=1)
# These support no resource-level permissions, or name what they read in no ARN that is known before.
LOOKS = (
    "cloudtrail:LookupEvents",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "ec2:DescribeSubnets",
    "ecs:DescribeTaskDefinition",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "rds:DescribeDBInstances",
)


@dataclass(frozen=True)
class BoardBase:
    """What has to exist before AWS can publish the page."""

    environment: Environment
    every: timedelta
    service: ServiceBase
    """The service whose image holds orderops."""
    group: SchedulerGroup
    log_group: LogsGroup
    execution_role: IamRole
    task_role: IamRole
    starting_role: IamRole
    """What the schedule starts the task with."""

    def resources(self) -> Iterator[Resource]:
        """All of them."""
        yield from (self.group, self.log_group, self.execution_role, self.task_role, self.starting_role)

    def release(self, release: Sequence[Resource], image: str) -> list[Resource]:
        """What publishes the page with this image, once the service of this release has taken it over."""
        environment, name = self.environment, name_in(self.environment)
        (service,) = (resource for resource in release if isinstance(resource, EcsService))
        definition = EcsTaskDefinition(
            name,
            container=CONTAINER,
            image=image,
            port=0,
            log_group=self.log_group,
            execution_role=self.execution_role,
            task_role=self.task_role,
            environment={
                # The user of the image has no home, and may write in this folder only.
                "HOME": "/tmp",  # in the container, which nobody shares
                "ORDEROPS_ENVIRONMENT": environment.name,
                "ORDEROPS_ENVIRONMENT_FILE": file_text(environment),
            },
            scheduled=True,
        )
        schedule = SchedulerSchedule(
            CONTAINER, self.group, self.every // MINUTE, service, definition, self.starting_role, COMMAND
        )
        return [definition, schedule]


def board_of(environment: Environment, account: str, cluster: str, service: ServiceBase) -> BoardBase | None:
    """What publishes the page of an environment; None if its file does not have AWS publish it."""
    board, name = environment.board, name_in(environment)
    if board.interval is None or board.bucket is None:
        return None
    log_group = LogsGroup(f"/orderops/{environment.name}/{CONTAINER}", service.declared.log_days)
    execution = execution_role_of(environment, name, service.repository, log_group, ())
    reads = tuple(_reads(environment, account, board.bucket))
    task = role_of(environment, f"{name}-task", "ecs-tasks.amazonaws.com", reads)
    starts = _starts(environment, account, cluster, (execution, task))
    starting = role_of(environment, f"{name}-schedule", "scheduler.amazonaws.com", starts)
    group = SchedulerGroup(name_of(environment.name))
    return BoardBase(environment, board.interval, service, group, log_group, execution, task, starting)


def name_in(environment: Environment) -> str:
    """The family of its task definition, and how the names of its roles begin."""
    return f"{environment.prefix}-{CONTAINER}"


def _reads(environment: Environment, account: str, bucket: str) -> Iterator[Allow]:
    """What `orderops board publish` reads, and the two places where it writes: its samples, and the page."""
    partition, region = partition_of(environment.region), environment.region

    def arn(service: str, resource: str) -> str:
        return f"arn:{partition}:{service}:{region}:{account}:{resource}"

    names, record = f"{environment.prefix}-*", f"arn:{partition}:s3:::orderops-{account}-{region}"
    yield Allow(LOOKS, ("*",))
    yield Allow(("ecr:DescribeImages",), (arn("ecr", f"repository/{names}"),))
    yield Allow(
        ("ecs:DescribeServiceDeployments", "ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListServiceDeployments"),
        tuple(arn("ecs", f"{kind}/{names}") for kind in ("service", "service-deployment", "task")),
    )
    within = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{environment.prefix}-cluster")}}
    yield Allow(("ecs:ListTasks",), ("*",), only=within)
    # When they were changed, and no value.
    yield Allow(
        ("secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"),
        (arn("secretsmanager", f"secret:orderops/{environment.name}/*"),),
    )
    yield Allow(("sqs:GetQueueAttributes", "sqs:GetQueueUrl"), (arn("sqs", names),))
    # Without it, a document that is missing is answered with 403.
    yield Allow(("s3:ListBucket",), (record,))
    yield Allow(("s3:GetObject",), (f"{record}/{environment.name}/*",))
    samples = f"{record}/{environment.name}/board/samples/*"
    yield Allow(("s3:PutObject",), (samples, f"arn:{partition}:s3:::{bucket}/index.html"))


def _starts(environment: Environment, account: str, cluster: str, roles: tuple[IamRole, ...]) -> tuple[Allow, ...]:
    """Starting tasks of the one family in the one cluster, with their roles."""
    ecs = f"arn:{partition_of(environment.region)}:ecs:{environment.region}:{account}"
    within = {"ArnEquals": {"ecs:cluster": f"{ecs}:cluster/{cluster}"}}
    passed = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    return (
        Allow(("ecs:RunTask",), (f"{ecs}:task-definition/{name_in(environment)}:*",), only=within),
        Allow(("iam:PassRole",), roles, only=passed),
    )
