"""The IAM actions that each persona needs: from its commands, the calls that they make, and what AWS requires.

Besides the action of its own name, a call may need more. The comments in ALSO_REQUIRED name the source: the dependent
actions in the Service Authorization Reference (SAR), or a page of the service.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

from orderops.aws.diagnosis.permissions import action_of

NETWORK_CREATES = (
    "AllocateAddress",
    "CreateFlowLogs",
    "CreateInternetGateway",
    "CreateNatGateway",
    "CreateRouteTable",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateVpc",
)
"""Operations of EC2 that create a part of the network, with its tags."""

LOG_DELIVERY = (
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update")),
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
)

# AWS answers these to all credentials, even if a policy denies them.
NO_PERMISSION = frozenset({"sts:GetCallerIdentity"})

ALSO_REQUIRED: Mapping[str, tuple[str, ...]] = {
    # SAR of EC2: tags in a create need CreateTags; the role that writes a flow log is passed to AWS
    **{f"ec2:{name}": ("ec2:CreateTags",) for name in NETWORK_CREATES},
    "ec2:CreateFlowLogs": ("ec2:CreateTags", "iam:PassRole"),
    # SAR of API Gateway Management V2: tags in a create need TagResource, and a call for tags the method besides
    **{f"apigateway:Create{name}": ("apigateway:TagResource",) for name in ("Api", "Stage", "VpcLink")},
    **{f"apigateway:Create{name}": ("apigateway:TagResource",) for name in ("ApiKey", "RestApi", "UsagePlan")},
    # AWS::ApiGatewayV2::DomainName: the certificate is put on the name, and another one taken off
    "apigateway:CreateDomainName": ("apigateway:TagResource", "apigateway:AddCertificateToDomain"),
    "apigateway:UpdateDomainName": ("apigateway:AddCertificateToDomain", "apigateway:RemoveCertificateFromDomain"),
    "apigateway:DeleteDomainName": ("apigateway:RemoveCertificateFromDomain",),
    # POST for HTTP APIs, PUT for REST APIs
    "apigateway:TagResource": ("apigateway:POST", "apigateway:PUT", "apigateway:TagResource"),
    # the role for the logs of REST APIs is passed to API Gateway
    "apigateway:UpdateAccount": ("iam:PassRole",),
    # API Gateway guide, "Configure logging for HTTP APIs": the caller's permissions deliver the access log
    **{f"apigateway:{name}Stage": ("apigateway:TagResource", *LOG_DELIVERY) for name in ("Create", "Update")},
    "apigateway:DeleteStage": ("logs:DeleteLogDelivery",),
    # SAR of Elastic Load Balancing: tags in a create need AddTags
    **{
        f"elasticloadbalancing:Create{name}": ("elasticloadbalancing:AddTags",)
        for name in ("Listener", "LoadBalancer", "Rule", "TargetGroup")
    },
    # SAR of ECS, and its page "Grant permission to tag resources on creation"; the roles of tasks are passed
    "ecs:CreateCluster": ("ecs:TagResource",),
    # with a second target group, the role that changes the balancer is passed
    "ecs:CreateService": ("ecs:TagResource", "iam:PassRole"),
    "ecs:UpdateService": ("iam:PassRole",),
    "ecs:RegisterTaskDefinition": ("ecs:TagResource", "iam:PassRole"),
    "ecs:RunTask": ("iam:PassRole",),
    # Application Auto Scaling, "Permissions for user access to the scaling policies": it creates
    # alarms as the caller
    "application-autoscaling:PutScalingPolicy": ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"),
    "application-autoscaling:DeregisterScalableTarget": ("cloudwatch:DeleteAlarms",),
    # The same guide: when a target is registered, it reads and scales the service as the caller
    "application-autoscaling:RegisterScalableTarget": ("ecs:DescribeServices", "ecs:UpdateService"),
    # SAR of RDS; RDS guide, "Password management with Secrets Manager": RDS creates the secret as the caller
    "rds:CreateDBInstance": (
        "rds:AddTagsToResource",
        "secretsmanager:CreateSecret",
        "secretsmanager:TagResource",
        "kms:DescribeKey",
        "ec2:DescribeAccountAttributes",
    ),
    "rds:ModifyDBInstance": ("secretsmanager:CreateSecret", "secretsmanager:TagResource", "kms:DescribeKey"),
    "rds:RestoreDBInstanceToPointInTime": ("rds:AddTagsToResource", "ec2:DescribeAccountAttributes"),
    "rds:CreateDBInstanceReadReplica": ("rds:AddTagsToResource",),
    # RDS user guide, "Authorizing access to RDS Blue/Green Deployment operations": what is done to the instances
    "rds:CreateBlueGreenDeployment": (
        "rds:AddTagsToResource",
        "rds:CreateDBInstance",
        "rds:CreateDBInstanceReadReplica",
    ),
    "rds:SwitchoverBlueGreenDeployment": ("rds:ModifyDBInstance", "rds:PromoteReadReplica"),
    "rds:DeleteBlueGreenDeployment": ("rds:DeleteDBInstance",),
    "rds:CreateDBParameterGroup": ("rds:AddTagsToResource",),
    "rds:CreateDBSubnetGroup": ("rds:AddTagsToResource",),
    "rds:DeleteDBInstance": ("rds:CreateDBSnapshot", "rds:AddTagsToResource"),
    # SARs of these services: tags in a create need the tagging action
    "acm:RequestCertificate": ("acm:AddTagsToCertificate",),
    "cloudwatch:PutCompositeAlarm": ("cloudwatch:TagResource",),
    "cloudwatch:PutDashboard": ("cloudwatch:TagResource",),
    "cloudwatch:PutMetricAlarm": ("cloudwatch:TagResource",),
    "ecr:CreateRepository": ("ecr:TagResource",),
    "iam:CreateRole": ("iam:TagRole",),
    "logs:CreateLogGroup": ("logs:TagResource",),
    # SAR of EventBridge Scheduler: tags in a create need TagResource; the role that starts the task is passed
    "scheduler:CreateScheduleGroup": ("scheduler:TagResource",),
    "scheduler:CreateSchedule": ("iam:PassRole",),
    "scheduler:UpdateSchedule": ("iam:PassRole",),
    "secretsmanager:CreateSecret": ("secretsmanager:TagResource",),
    "sns:CreateTopic": ("sns:TagResource",),
    "sqs:CreateQueue": ("sqs:TagQueue",),
    # SAR of AWS WAF: tags in a create need TagResource; a load balancer or a stage has to let itself be associated
    "wafv2:CreateIPSet": ("wafv2:TagResource",),
    "wafv2:CreateWebACL": ("wafv2:TagResource",),
    "wafv2:AssociateWebACL": (
        "apigateway:SetWebACL",
        "elasticloadbalancing:SetWebACL",
        "elasticloadbalancing:CreateWebACLAssociation",
    ),
    "wafv2:DisassociateWebACL": (
        "apigateway:SetWebACL",
        "elasticloadbalancing:SetWebACL",
        "elasticloadbalancing:DeleteWebACLAssociation",
    ),
    "wafv2:GetWebACLForResource": ("elasticloadbalancing:GetLoadBalancerWebACL",),
    # Developer guide, "Sending web ACL traffic logs to a log group": AWS WAF sets up the delivery as the caller
    "wafv2:PutLoggingConfiguration": (
        "logs:CreateLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:PutResourcePolicy",
    ),
    "wafv2:DeleteLoggingConfiguration": ("logs:DeleteLogDelivery",),
    # CreateBucket's page: tags and object ownership in the call need actions of their own
    "s3:CreateBucket": ("s3:TagResource", "s3:PutBucketOwnershipControls"),
    # DeleteObjects' page: deleting a version of an object needs DeleteObjectVersion
    "s3:DeleteObjects": ("s3:DeleteObjectVersion",),
    # GetObject's page: without ListBucket, a missing object is answered with 403 instead of 404
    "s3:GetObject": ("s3:ListBucket",),
}

PUSH = ("service build", "service deploy", "up")
RELEASING = ("up", "service deploy", "service restart", "service rollback")
DEPLOYING = (*RELEASING, "restore promote", "restore back")
"""Commands that wait for a deployment of a service."""

NOT_RECORDED: Mapping[str, tuple[tuple[str, ...], str]] = {
    **{
        f"ecr:{name}": ((*PUSH, "service sbom"), "part of the registry's HTTP API, which is not called through boto3")
        for name in (
            "BatchCheckLayerAvailability",
            "CompleteLayerUpload",
            "InitiateLayerUpload",
            "UploadLayerPart",
        )
    },
    "ecr:BatchGetImage": (
        ("service build", "service sbom"),
        "reads manifests and referrers by the registry's HTTP API, which is not called through boto3",
    ),
    "ecr:GetDownloadUrlForLayer": (
        (*PUSH, "service sbom", "service rollback"),
        "reads labels and layers by the registry's HTTP API, which is not called through boto3",
    ),
    "ecr:PutImage": (("service build",), "part of the registry's HTTP API, which is not called through boto3"),
    "ecr:GetAuthorizationToken": (
        ("service deploy", "service rollback", "up"),
        "logs in to the registry for a push, or to read a label; the emulator has no registry",
    ),
    "ec2:DeleteFlowLogs": (("up", "infra apply"), "a changed flow log is created again, half a minute later"),
    "ecs:ContinueServiceDeployment": (
        (*DEPLOYING, "service promote"),
        "answers the pause of a deployment with a second target group, which the emulated ones do not have",
    ),
    "ecs:DescribeServiceDeployments": (
        ("status", *DEPLOYING, "service promote", "service abort"),
        "reads the stage of a deployment with a second target group, which the emulated ones do not have",
    ),
    "ecs:DescribeTasks": (
        ("restore promote", "restore back", "down"),
        "needs tasks, which the emulated services do not start",
    ),
    "ecs:ExecuteCommand": (("service exec",), "opens a session, whose data does not pass through the emulator"),
    "ecs:ListServiceDeployments": (
        ("status", *DEPLOYING, "service promote", "service abort"),
        "called when a deployment failed or has stages, which those of the workflows do not",
    ),
    "ecs:ListTasks": (
        ("restore promote", "restore back", "down"),
        "called when tasks stop, which the emulated services do not start",
    ),
    "ecs:StopServiceDeployment": (
        (*RELEASING, "service abort"),
        "turns back a release whose tasks end, which the emulated ones never do",
    ),
    "ecs:StopTask": (("migrate apply",), "called when the operator interrupts a remote job"),
    "iam:DeleteRolePermissionsBoundary": (
        ("up", "infra apply"),
        "called where [iam] permissions_boundary is taken out of a file",
    ),
    "iam:PutRolePermissionsBoundary": (
        ("up", "infra apply"),
        "called where [iam] permissions_boundary of a file changes",
    ),
    "iam:ListInstanceProfilesForRole": (("down",), "finds what uses a role that was given to an EC2 instance"),
    "logs:GetLogEvents": (
        ("service explain", *DEPLOYING),
        "reads the last lines of a task that failed, which the emulated services never do",
    ),
    "sns:Unsubscribe": (
        ("infra apply --prune", "up --prune"),
        "called where an address was taken out of [alerts]",
    ),
    "rds:RebootDBInstance": (("restore", "restore drill"), "needed where a static parameter waits for a reboot"),
    "rds:DescribeEvents": (("up", "infra apply"), "called when an instance failed, which the emulator's never do"),
}
"""Calls that these commands may make, and why the recorded workflows do not contain them."""


@cache
def calls() -> Mapping[str, frozenset[str]]:
    """Return the commands that make each call, as recorded by tests/iam/test_recorded_calls.py."""
    document: dict[str, list[str]] = json.loads((files("orderops") / "iam" / "recorded_calls.json").read_text())
    return {call: frozenset(commands) for call, commands in document.items()}


# Calls that a command may be denied: what they delete could hold data, so only a persona with `down` makes them.
BEST_EFFORT = frozenset({"ecr:BatchDeleteImage"})


def actions_for(commands: Collection[str]) -> frozenset[str]:
    """Return the IAM actions that these commands need."""
    recorded = calls()
    denied = frozenset() if "down" in commands else BEST_EFFORT
    needed = [call for call, callers in recorded.items() if call not in denied and callers & set(commands)]
    needed += [call for call, (callers, _) in NOT_RECORDED.items() if set(callers) & set(commands)]
    # A plan makes the reads of an apply. Which of them it needs depends on how far AWS's index of tags lags behind.
    if "infra plan" in commands:
        needed += [call for call, callers in recorded.items() if "infra apply" in callers and reads(call)]
    return frozenset(action for call in needed for action in actions_of(call)) - NO_PERMISSION


def reads(call: str) -> bool:
    """Return whether a call, such as `s3:ListBuckets`, changes nothing."""
    return call.partition(":")[2].startswith(("Describe", "Get", "List"))


def actions_of(call: str) -> frozenset[str]:
    """Return the IAM actions that a call, such as `s3:ListBuckets`, needs."""
    service, _, operation = call.partition(":")
    return frozenset({action_of(service, operation), *ALSO_REQUIRED.get(call, ())})
