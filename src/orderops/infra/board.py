"""What renews the board by itself: its command, and what that reads and writes."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.infra.scheduled_task import ScheduledCommand
from orderops.resources.iam_role import Allow

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


def publication_of(environment: Environment, account: str) -> ScheduledCommand | None:
    """What publishes the page of an environment; None if its file does not have AWS publish it."""
    board = environment.board
    if board.interval is None or board.bucket is None:
        return None
    reads = tuple(_reads(environment, account, board.bucket))
    return ScheduledCommand("board", ("board", "publish"), board.interval, reads)


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
