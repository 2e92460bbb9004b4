"""On what each permission is given, as narrowly as AWS allows: by name, by tag, or where it allows neither by "*".

In resources and conditions stand {partition}, {region}, {account} and {environment}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from orderops.aws.ownership import ENVIRONMENT
from orderops.iam.actions import TAGGED_NETWORK

IamCondition = Mapping[str, Mapping[str, str | tuple[str, ...]]]

HERE = "arn:{partition}:%s:{region}:{account}:"
PREFIX = "orderops-{environment}-"
REQUEST_TAG = f"aws:RequestTag/{ENVIRONMENT}"
RESOURCE_TAG = f"aws:ResourceTag/{ENVIRONMENT}"
NETWORK = tuple(
    f"{HERE % 'ec2'}{kind}/*"
    for kind in (
        "elastic-ip",
        "internet-gateway",
        "natgateway",
        "route-table",
        "security-group",
        "subnet",
        "vpc",
        "vpc-flow-log",
    )
)
MAKING = tuple(f"ec2:{name}" for name in TAGGED_NETWORK)
RECORD = "arn:{partition}:s3:::orderops-{account}-{region}"
LINKED = ("ecs", "ecs.application-autoscaling", "elasticloadbalancing", "rds")
IAM = "arn:{partition}:iam::{account}:"


@dataclass(frozen=True)
class Grant:
    """Permissions (`*` in them stands for anything) but for some, on these resources and under this condition."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: IamCondition = field(default_factory=dict)
    but: tuple[str, ...] = ()
    adopts: bool = False
    """Whether it takes over what has no owner, which nobody does without being asked."""

    def gives(self, action: str) -> bool:
        """Whether this permission is among them."""
        return _among(action, self.actions) and not _among(action, self.but)


def _among(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in patterns)


# What AWS's Service Authorization Reference narrows neither by resource nor by condition, or what lists all there is.
ANYTHING = Grant(
    "Look",
    (
        "application-autoscaling:Describe*",
        "cloudwatch:DescribeAlarms",
        "ec2:Describe*",
        "ecr:DescribeRepositories",
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "ecs:ListClusters",
        "ecs:ListTaskDefinition*",
        "elasticloadbalancing:Describe*",
        "iam:GetAccountAuthorizationDetails",
        "iam:ListRoles",
        "logs:DescribeLogGroups",
        "rds:Describe*",
        "s3:ListAllMyBuckets",
        "secretsmanager:ListSecrets",
        "sns:ListSubscriptions",
        "sns:ListTopics",
        "sqs:ListQueues",
        "sts:DecodeAuthorizationMessage",
        "tag:GetResources",
    ),
    ("*",),
    but=("ec2:DescribeVpcAttribute", "rds:DescribeDBParameters"),
)
NARROW = (
    Grant("MakeNetwork", MAKING, NETWORK, {"StringEquals": {REQUEST_TAG: "{environment}"}}),
    Grant(  # what is made in a VPC or a subnet uses these too
        "UseNetwork",
        ("ec2:*",),
        (f"{HERE % 'ec2'}*/*",),
        {"StringEquals": {RESOURCE_TAG: "{environment}"}},
        but=("ec2:AllocateAddress", "ec2:CreateInternetGateway", "ec2:CreateTags", "ec2:CreateVpc"),
    ),
    Grant(
        "TagNetworkMade",
        ("ec2:CreateTags",),
        NETWORK,
        {"StringEquals": {REQUEST_TAG: "{environment}", "ec2:CreateAction": TAGGED_NETWORK}},
    ),
    Grant(
        "TagNetwork",
        ("ec2:CreateTags",),
        NETWORK,
        {
            "StringEquals": {RESOURCE_TAG: "{environment}"},
            "StringEqualsIfExists": {REQUEST_TAG: "{environment}"},
        },
    ),
    Grant(
        "AdoptNetwork",
        ("ec2:CreateTags",),
        NETWORK,
        {"StringEquals": {REQUEST_TAG: "{environment}"}, "Null": {RESOURCE_TAG: "true"}},
        adopts=True,
    ),
    Grant(
        "Balancer",
        ("elasticloadbalancing:*",),
        tuple(
            f"{HERE % 'elasticloadbalancing'}{form}"
            for form in (
                f"loadbalancer/app/{PREFIX}*",
                f"listener/app/{PREFIX}*",
                f"listener-rule/app/{PREFIX}*",
                f"targetgroup/{PREFIX}*",
            )
        ),
    ),
    Grant(
        "Services",
        ("ecs:*",),
        tuple(
            f"{HERE % 'ecs'}{form}"
            for form in (
                f"cluster/{PREFIX}*",
                f"service/{PREFIX}*",
                f"task/{PREFIX}*",
                f"task-definition/{PREFIX}*",
            )
        ),
        but=("ecs:DeregisterTaskDefinition", "ecs:ListServices", "ecs:ListTasks"),
    ),
    Grant(
        "ListServices",
        ("ecs:ListServices", "ecs:ListTasks"),
        ("*",),
        {"ArnLike": {"ecs:cluster": f"{HERE % 'ecs'}cluster/{PREFIX}*"}},
    ),
    Grant("DeregisterTasks", ("ecs:DeregisterTaskDefinition",), ("*",)),
    Grant(
        "Scaling",
        ("application-autoscaling:*",),
        (f"{HERE % 'application-autoscaling'}scalable-target/*",),
        {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}},
    ),
    Grant(
        "ScalingAlarms",
        ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
        (f"{HERE % 'cloudwatch'}alarm:TargetTracking-service/{PREFIX}*",),
    ),
    Grant("Alarms", ("cloudwatch:*",), (f"{HERE % 'cloudwatch'}alarm:{PREFIX}*",)),
    Grant(
        "Database",
        ("rds:*",),
        (
            *(f"{HERE % 'rds'}{kind}:{PREFIX}*" for kind in ("db", "pg", "snapshot", "subgrp")),
            f"{HERE % 'rds'}og:default:*",
        ),
    ),
    Grant(  # RDS makes it with the permissions of the caller, under a name that nobody chooses
        "DatabasePassword",
        ("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
        (f"{HERE % 'secretsmanager'}secret:rds!db-*",),
    ),
    Grant("DatabaseKey", ("kms:DescribeKey",), (f"{HERE % 'kms'}key/*",)),
    Grant(
        "Secrets",
        ("secretsmanager:*",),
        (f"{HERE % 'secretsmanager'}secret:orderops/{{environment}}/*",),
        but=("secretsmanager:GetSecretValue",),
    ),
    Grant(  # host, port and name of the database; neither this nor any other statement opens a password
        "WhereTheDatabaseIs",
        ("secretsmanager:GetSecretValue",),
        (f"{HERE % 'secretsmanager'}secret:orderops/{{environment}}/database-??????",),
    ),
    Grant("Queues", ("sqs:*",), (f"{HERE % 'sqs'}{PREFIX}*",)),
    Grant("Topics", ("sns:*",), (f"{HERE % 'sns'}{PREFIX}*",)),
    Grant("LogGroups", ("logs:*",), (f"{HERE % 'logs'}log-group:/orderops/{{environment}}/*",)),
    Grant("Images", ("ecr:*",), (f"{HERE % 'ecr'}repository/{PREFIX}*",)),
    Grant(  # what another environment, in this account or one that shares its images, has tried before
        "ImagesToCopy",
        ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"),
        ("arn:{partition}:ecr:{region}:*:repository/orderops-*",),
    ),
    Grant(
        "LogBuckets",
        ("s3:*",),
        (f"arn:{{partition}}:s3:::{PREFIX}*",),
        but=("s3:GetObject", "s3:PutObject"),
    ),
    Grant(  # no condition on the prefix: reading what is not there asks for ListBucket without one
        "Record", ("s3:CreateBucket", "s3:ListBucket", "s3:TagResource"), (RECORD,)
    ),
    Grant("RecordOfRuns", ("s3:GetObject", "s3:PutObject"), (f"{RECORD}/{{environment}}/*",)),
    Grant("Jobs", ("s3:DeleteObject",), (f"{RECORD}/{{environment}}/jobs/*",)),
    Grant(
        "Roles",
        ("iam:*Role", "iam:*RolePolicy", "iam:*RolePolicies"),
        (f"{IAM}role/{PREFIX}*",),
        but=("iam:PassRole", "iam:CreateServiceLinkedRole"),
    ),
    Grant(
        "PassRoles",
        ("iam:PassRole",),
        (f"{IAM}role/{PREFIX}*",),
        {"StringEquals": {"iam:PassedToService": ("ecs-tasks.amazonaws.com", "vpc-flow-logs.amazonaws.com")}},
    ),
    Grant(
        "LinkedRoles",
        ("iam:CreateServiceLinkedRole",),
        (f"{IAM}role/aws-service-role/*",),
        {"StringEquals": {"iam:AWSServiceName": tuple(f"{name}.amazonaws.com" for name in LINKED)}},
    ),
    Grant("OwnPermissions", ("iam:SimulatePrincipalPolicy",), (f"{IAM}role/*", f"{IAM}user/*")),
)

# Who reaches databases from a machine of their own needs the password, and the way. By a task nobody needs either: it
# has a role of its own. RDS tags the secret that it keeps of an instance with the ARN of that.
PASSWORDS = Grant(
    "OpenDatabases",
    ("secretsmanager:GetSecretValue",),
    (f"{HERE % 'secretsmanager'}secret:rds!db-*",),
    {"StringLike": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": f"{HERE % 'rds'}db:{PREFIX}*"}},
)
REACHING: Mapping[str, tuple[Grant, ...]] = {
    "task": (),
    "direct": (PASSWORDS,),
    "tunnel": (
        PASSWORDS,
        Grant(
            "OpenTunnels",
            ("ssm:StartSession",),
            (
                f"{HERE % 'ecs'}task/{PREFIX}*",
                "arn:{partition}:ssm:{region}::document/AWS-StartPortForwardingSessionToRemoteHost",
            ),
        ),
        Grant("EndOwnTunnels", ("ssm:TerminateSession",), (f"{HERE % 'ssm'}session/${{{{aws:userid}}}}-*",)),
    ),
}
"""By `[database] access` of the environment."""


def grants_of(action: str) -> tuple[Grant, ...]:
    """Every grant that gives this permission; none where nobody has said yet on what."""
    return (ANYTHING,) if ANYTHING.gives(action) else tuple(grant for grant in NARROW if grant.gives(action))
