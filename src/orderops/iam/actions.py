"""Who needs which permissions: the commands of each persona, the calls that these make, what AWS asks for each call.

A call needs the permission of its own name, and more: each entry of `ALSO_REQUIRED` says where that is documented, in
the Service Authorization Reference as a dependent action (SAR) or on a page of the service.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from orderops.aws.diagnosis.permissions import action_of

LOOKING = ("status", "history", "doctor", "infra plan", "infra outputs", "restore list")
RELEASING = ("up", "infra apply", "service build", "service deploy")
MIGRATING = ("migrate info", "migrate apply")
"""By a task inside the VPC: what reaches a database by itself needs its password, which is nobody's by these."""
RESTORING = (
    "migrate rehearsal",
    "restore",
    "restore back",
    "restore compare",
    "restore discard",
    "restore drill",
    "restore points",
    "restore promote",
)
REMOVING = ("infra apply --prune", "up --prune", "down", "infra destroy")
TAGGED_NETWORK = (
    "AllocateAddress",
    "CreateFlowLogs",
    "CreateInternetGateway",
    "CreateNatGateway",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateVpc",
)
"""What makes a part of the network, with its tags."""

NO_PERMISSION = frozenset({"sts:GetCallerIdentity"})
"""Calls that AWS answers to everybody."""

ALSO_REQUIRED: Mapping[str, tuple[str, ...]] = {
    # SAR of EC2: tags in a create are allowed by CreateTags; the role that writes a flow log is passed to AWS
    **{f"ec2:{name}": ("ec2:CreateTags",) for name in TAGGED_NETWORK},
    "ec2:CreateFlowLogs": ("ec2:CreateTags", "iam:PassRole"),
    # SAR of Elastic Load Balancing: tags in a create are allowed by AddTags
    **{
        f"elasticloadbalancing:Create{name}": ("elasticloadbalancing:AddTags",)
        for name in ("Listener", "LoadBalancer", "Rule", "TargetGroup")
    },
    # SAR of ECS, and its page "Grant permission to tag resources on creation"; roles of tasks are passed
    "ecs:CreateCluster": ("ecs:TagResource",),
    "ecs:CreateService": ("ecs:TagResource",),
    "ecs:RegisterTaskDefinition": ("ecs:TagResource", "iam:PassRole"),
    "ecs:RunTask": ("iam:PassRole",),
    # Application Auto Scaling, "Permissions for user access to the scaling policies": it makes alarms as the caller
    "application-autoscaling:PutScalingPolicy": ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"),
    "application-autoscaling:DeregisterScalableTarget": ("cloudwatch:DeleteAlarms",),
    # the same guide: it looks at the service and sets its size as the caller when a target is registered
    "application-autoscaling:RegisterScalableTarget": ("ecs:DescribeServices", "ecs:UpdateService"),
    # SAR of RDS; RDS guide, "Password management with Secrets Manager": the secret is made as the caller
    "rds:CreateDBInstance": (
        "rds:AddTagsToResource",
        "secretsmanager:CreateSecret",
        "secretsmanager:TagResource",
        "kms:DescribeKey",
        "ec2:DescribeAccountAttributes",
    ),
    "rds:ModifyDBInstance": ("secretsmanager:CreateSecret", "secretsmanager:TagResource", "kms:DescribeKey"),
    "rds:RestoreDBInstanceToPointInTime": ("rds:AddTagsToResource", "ec2:DescribeAccountAttributes"),
    "rds:CreateDBParameterGroup": ("rds:AddTagsToResource",),
    "rds:CreateDBSubnetGroup": ("rds:AddTagsToResource",),
    "rds:DeleteDBInstance": ("rds:CreateDBSnapshot", "rds:AddTagsToResource"),
    # SARs of these services: tags in a create are allowed by the tagging action
    "cloudwatch:PutMetricAlarm": ("cloudwatch:TagResource",),
    "ecr:CreateRepository": ("ecr:TagResource",),
    "iam:CreateRole": ("iam:TagRole",),
    "logs:CreateLogGroup": ("logs:TagResource",),
    "secretsmanager:CreateSecret": ("secretsmanager:TagResource",),
    "sns:CreateTopic": ("sns:TagResource",),
    "sqs:CreateQueue": ("sqs:TagQueue",),
    # CreateBucket's page: tags and object ownership in the call want permissions of their own
    "s3:CreateBucket": ("s3:TagResource", "s3:PutBucketOwnershipControls"),
    # DeleteObjects' page: an object given with its version wants DeleteObjectVersion
    "s3:DeleteObjects": ("s3:DeleteObjectVersion",),
    # GetObject's page: without ListBucket, what is not there is answered as forbidden
    "s3:GetObject": ("s3:ListBucket",),
}

PUSH = ("service build", "service deploy", "up")
NOT_RECORDED: Mapping[str, tuple[tuple[str, ...], str]] = {
    **{
        f"ecr:{name}": (PUSH, "part of the registry's HTTP API, which is no call of AWS's")
        for name in (
            "BatchCheckLayerAvailability",
            "BatchGetImage",
            "CompleteLayerUpload",
            "GetDownloadUrlForLayer",
            "InitiateLayerUpload",
            "PutImage",
            "UploadLayerPart",
        )
    },
    "ecr:GetAuthorizationToken": (PUSH, "opens the registry before a push, and the emulator has no registry"),
    "cloudwatch:ListTagsForResource": (("infra plan", "up"), "asked while the index of tags lags behind an alarm"),
    "ec2:DeleteFlowLogs": (("up", "infra apply"), "one that somebody changed is made anew, half a minute later"),
    "ecs:DescribeTasks": (
        ("status", "up", "service deploy", "down"),
        "asked for tasks, which no paper has",
    ),
    "ecs:ListTasks": (("status", "up", "service deploy", "down"), "asked why tasks stop, which no paper does"),
    "ecs:StopTask": (("migrate apply",), "asked when the operator interrupts a task"),
    "iam:ListInstanceProfilesForRole": (("down",), "asked what holds a role, when somebody lets a machine have it"),
    "rds:RebootDBInstance": (("restore", "restore drill"), "sent where a static parameter waits for it"),
    "rds:DescribeEvents": (("up", "infra apply"), "asked why an instance failed, which the emulator's never do"),
}
"""Calls that the recorded workflows do not make under these commands, and why not."""


class Persona(StrEnum):
    """For whom a policy is."""

    OPERATOR = "operator"
    PIPELINE = "pipeline"
    VIEWER = "viewer"

    @property
    def commands(self) -> tuple[str, ...]:
        """What they do."""
        return {
            Persona.OPERATOR: (*LOOKING, *RELEASING, *MIGRATING, *RESTORING, *REMOVING),
            Persona.PIPELINE: (*LOOKING, *RELEASING),
            Persona.VIEWER: LOOKING,
        }[self]


@cache
def calls() -> Mapping[str, frozenset[str]]:
    """The commands that make each call, as the tests recorded them."""
    told: dict[str, list[str]] = json.loads((files("orderops") / "iam" / "recorded_calls.json").read_text())
    return {call: frozenset(commands) for call, commands in told.items()}


def actions_for(commands: Collection[str]) -> frozenset[str]:
    """The permissions that these commands need."""
    unheard = {call: frozenset(made_by) for call, (made_by, _) in NOT_RECORDED.items()}
    made = [call for each in (unheard, calls()) for call, made_by in each.items() if made_by & set(commands)]
    if "infra plan" in commands:  # it looks as the apply does, the more closely the less the index of tags knows
        made += [call for call, made_by in calls().items() if "infra apply" in made_by and reads(call)]
    return frozenset(action for call in made for action in actions_of(call)) - NO_PERMISSION


def reads(call: str) -> bool:
    """Whether a call changes nothing."""
    return call.partition(":")[2].startswith(("Describe", "Get", "List"))


def actions_of(call: str) -> frozenset[str]:
    """The permissions that one call needs, `call` as in `s3:ListBuckets`."""
    service, _, operation = call.partition(":")
    return frozenset({action_of(service, operation), *ALSO_REQUIRED.get(call, ())})
