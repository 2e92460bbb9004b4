"""The resources on which each permission is granted, as narrowly as AWS allows: by name, by tag, or else on "*".

Resources and conditions may contain {partition}, {region}, {account}, {environment}, {role_path} and {boundary}.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

from orderops.aws.ownership import ENVIRONMENT
from orderops.frozen import Frozen, field
from orderops.iam.actions import NETWORK_CREATES

IamCondition = Mapping[str, Mapping[str, str | tuple[str, ...]]]

PREFIX = "orderops-{environment}-"
REQUEST_TAG = f"aws:RequestTag/{ENVIRONMENT}"
RESOURCE_TAG = f"aws:ResourceTag/{ENVIRONMENT}"
TAGGED_IN_REQUEST = {REQUEST_TAG: "{environment}"}
TAGGED = {RESOURCE_TAG: "{environment}"}
ROLES = "arn:{partition}:iam::{account}:role/"
OUR_ROLES = ("arn:{partition}:iam::{account}:role{role_path}" + PREFIX + "*",)
API_LOG_ROLE = (f"{ROLES}orderops-ApiGatewayLogs",)  # One for the account, for the access logs of REST APIs.
TO_API_GATEWAY = {"StringEquals": {"iam:PassedToService": ("apigateway.amazonaws.com",)}}
WITHIN_BOUNDARY = {"StringEquals": {"iam:PermissionsBoundary": "{boundary}"}}
OUR_BUCKETS = (f"arn:{{partition}}:s3:::{PREFIX}*",)
RECORD = "arn:{partition}:s3:::orderops-{account}-{region}"
"""The bucket of leases and run records."""


def _arns(service: str, *resources: str) -> tuple[str, ...]:
    """Return the ARNs of resources in the environment's account and region."""
    return tuple(f"arn:{{partition}}:{service}:{{region}}:{{account}}:{resource}" for resource in resources)


NETWORK_KINDS = ("elastic-ip", "internet-gateway", "natgateway", "route-table", "security-group", "subnet", "vpc")
NETWORK = _arns("ec2", *(f"{kind}/*" for kind in (*NETWORK_KINDS, "vpc-flow-log")))


class Grant(Frozen):
    """Permissions on resources under a condition: `actions` without `excluded`, both with `*` as a wildcard."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: IamCondition = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    of_operators: bool = False
    """Whether only an operator may do it, such as adopting resources without an owner."""
    bounded: bool | None = None
    """Whether it belongs to environments with a permissions boundary, or to those without one; None: to both."""

    def gives(self, action: str) -> bool:
        """Return whether this grant contains the action."""
        return _matches(action, self.actions) and not _matches(action, self.excluded)


def _matches(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in patterns)


# Actions that the Service Authorization Reference narrows neither by resource nor by condition, or that list the
# whole account.
ANYTHING = Grant(
    "Look",
    (
        "acm:ListCertificates",
        "application-autoscaling:Describe*",
        "cloudtrail:LookupEvents",
        "cloudwatch:DescribeAlarmHistory",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:DescribeAnomalyDetectors",
        "cloudwatch:GetMetricData",
        "cloudwatch:ListDashboards",
        "ec2:Describe*",
        "ecr:DescribeRepositories",
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "ecs:ListClusters",
        "ecs:ListTaskDefinition*",
        "elasticloadbalancing:Describe*",
        "iam:GetAccountAuthorizationDetails",
        "iam:ListRoles",
        # What delivers the access log of an API: the Service Authorization Reference narrows these by nothing.
        "logs:*LogDeliver*",
        "logs:*ResourcePolic*",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "rds:Describe*",
        "route53:ListHostedZonesByName",
        "s3:ListAllMyBuckets",
        "scheduler:ListSchedules",
        "secretsmanager:ListSecrets",
        "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:GetServiceQuota",
        "sns:ListSubscriptions",
        "sns:ListTopics",
        "sqs:ListQueues",
        "sts:DecodeAuthorizationMessage",
        "tag:GetResources",
        "wafv2:ListIPSets",
        "wafv2:ListLoggingConfigurations",
        "wafv2:ListWebACLs",
    ),
    ("*",),
    excluded=("ec2:DescribeVpcAttribute", "rds:DescribeDBParameters"),
)
# The first part of what ECS's ARNs name.
SERVICE_ARNS = ("cluster", "service", "service-deployment", "task", "task-definition")
NARROW = (
    Grant(
        "MakeNetwork",
        tuple(f"ec2:{operation}" for operation in NETWORK_CREATES),
        NETWORK,
        {"StringEquals": TAGGED_IN_REQUEST},
    ),
    # A create in a VPC or a subnet needs its action on these as well.
    Grant(
        "UseNetwork",
        ("ec2:*",),
        _arns("ec2", "*/*"),
        {"StringEquals": TAGGED},
        excluded=("ec2:AllocateAddress", "ec2:CreateInternetGateway", "ec2:CreateTags", "ec2:CreateVpc"),
    ),
    Grant(
        "TagNetworkMade",
        ("ec2:CreateTags",),
        NETWORK,
        {"StringEquals": {**TAGGED_IN_REQUEST, "ec2:CreateAction": NETWORK_CREATES}},
    ),
    # IfExists: other tags may change too, but the environment's tag never changes to another environment.
    Grant(
        "TagNetwork",
        ("ec2:CreateTags",),
        NETWORK,
        {"StringEquals": TAGGED, "StringEqualsIfExists": TAGGED_IN_REQUEST},
    ),
    Grant(
        "AdoptNetwork",
        ("ec2:CreateTags",),
        NETWORK,
        {"StringEquals": TAGGED_IN_REQUEST, "Null": {RESOURCE_TAG: "true"}},
        of_operators=True,
    ),
    Grant(
        "Balancer",
        ("elasticloadbalancing:*",),
        _arns(
            "elasticloadbalancing",
            f"loadbalancer/app/{PREFIX}*",
            f"listener/app/{PREFIX}*",
            f"listener-rule/app/{PREFIX}*",
            f"targetgroup/{PREFIX}*",
        ),
    ),
    # The ids of APIs and links are AWS's own, and only some of their calls know the tags.
    Grant("Api", ("apigateway:*",), ("arn:{partition}:apigateway:{region}::/*",)),
    # Other certificates are read as well: two for the same name share the record that proves it.
    Grant("ReadCertificates", ("acm:DescribeCertificate", "acm:ListTagsForCertificate"), _arns("acm", "certificate/*")),
    # The Service Authorization Reference narrows RequestCertificate by no resource.
    Grant("MakeCertificates", ("acm:RequestCertificate",), ("*",), {"StringEquals": TAGGED_IN_REQUEST}),
    Grant(
        "TagCertificatesMade",
        ("acm:AddTagsToCertificate",),
        _arns("acm", "certificate/*"),
        {"StringEquals": TAGGED_IN_REQUEST, "Null": {RESOURCE_TAG: "true"}},
    ),
    Grant(
        "TagCertificates",
        ("acm:AddTagsToCertificate",),
        _arns("acm", "certificate/*"),
        {"StringEquals": TAGGED, "StringEqualsIfExists": TAGGED_IN_REQUEST},
    ),
    Grant("DeleteCertificates", ("acm:DeleteCertificate",), _arns("acm", "certificate/*"), {"StringEquals": TAGGED}),
    # The id of a hosted zone is in no file.
    Grant(
        "Names",
        ("route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"),
        ("arn:{partition}:route53:::hostedzone/*",),
    ),
    Grant(
        "Services",
        ("ecs:*",),
        _arns("ecs", *(f"{kind}/{PREFIX}*" for kind in SERVICE_ARNS)),
        excluded=("ecs:DeregisterTaskDefinition", "ecs:ListServices", "ecs:ListTasks"),
    ),
    Grant(
        "ListServices",
        ("ecs:ListServices", "ecs:ListTasks"),
        ("*",),
        {"ArnLike": {"ecs:cluster": _arns("ecs", f"cluster/{PREFIX}*")[0]}},
    ),
    Grant("DeregisterTasks", ("ecs:DeregisterTaskDefinition",), ("*",)),
    Grant(
        "Scaling",
        ("application-autoscaling:*",),
        _arns("application-autoscaling", "scalable-target/*"),
        {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}},
    ),
    Grant(
        "ScalingAlarms",
        ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
        _arns("cloudwatch", f"alarm:TargetTracking-service/{PREFIX}*"),
    ),
    Grant("Alarms", ("cloudwatch:*",), _arns("cloudwatch", f"alarm:{PREFIX}*")),
    # The Service Authorization Reference narrows these by nothing.
    Grant("Bands", ("cloudwatch:DeleteAnomalyDetector", "cloudwatch:PutAnomalyDetector"), ("*",)),
    # Dashboards belong to no region.
    Grant("Dashboards", ("cloudwatch:*",), (f"arn:{{partition}}:cloudwatch::{{account}}:dashboard/{PREFIX}*",)),
    Grant(
        "Database",
        ("rds:*",),
        _arns("rds", *(f"{kind}:{PREFIX}*" for kind in ("db", "pg", "snapshot", "subgrp")), "og:default:*"),
    ),
    # RDS names a deployment itself.
    Grant("Deployments", ("rds:*",), _arns("rds", "deployment:*")),
    # The copy of a rehearsed upgrade gets RDS's own parameters of the new version, which belong to every environment.
    Grant("DatabaseDefaults", ("rds:ModifyDBInstance",), _arns("rds", "pg:default.postgres*")),
    # RDS creates this secret with the permissions of the caller, under a name of its own choice.
    Grant(
        "DatabasePassword",
        ("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
        _arns("secretsmanager", "secret:rds!db-*"),
    ),
    Grant("DatabaseKey", ("kms:DescribeKey",), _arns("kms", "key/*")),
    Grant(
        "Secrets",
        ("secretsmanager:*",),
        _arns("secretsmanager", "secret:orderops/{environment}/*"),
        excluded=("secretsmanager:GetSecretValue",),
    ),
    # Host, port and name of the database. No statement of this table reads a password.
    Grant(
        "WhereTheDatabaseIs",
        ("secretsmanager:GetSecretValue",),
        _arns("secretsmanager", "secret:orderops/{environment}/database-??????"),
    ),
    Grant("Queues", ("sqs:*",), _arns("sqs", f"{PREFIX}*")),
    Grant("Topics", ("sns:*",), _arns("sns", f"{PREFIX}*"), excluded=("sns:Unsubscribe",)),
    # The Service Authorization Reference narrows Unsubscribe by nothing.
    Grant("Unsubscribe", ("sns:Unsubscribe",), ("*",)),
    Grant(
        "LogGroups",
        ("logs:*",),
        _arns(
            "logs",
            "log-group:/orderops/{environment}/*",
            f"log-group:aws-waf-logs-{PREFIX}*",
            f"log-group:/aws/rds/instance/{PREFIX}*",
            f"log-group:/aws/ecs/containerinsights/{PREFIX}*",
        ),
    ),
    Grant(
        "Firewall",
        ("wafv2:*",),
        _arns("wafv2", f"regional/webacl/{PREFIX}*/*", f"regional/ipset/{PREFIX}*/*"),
    ),
    # A web ACL that names a managed rule group needs its permission for the group, too.
    Grant(
        "FirewallGroups",
        ("wafv2:CreateWebACL", "wafv2:UpdateWebACL"),
        _arns("wafv2", "regional/managedruleset/*/*"),
    ),
    Grant(
        "FirewallOfEntrance",
        ("wafv2:AssociateWebACL", "wafv2:DisassociateWebACL", "wafv2:GetWebACLForResource"),
        (
            *_arns("elasticloadbalancing", f"loadbalancer/app/{PREFIX}*"),
            "arn:{partition}:apigateway:{region}::/restapis/*/stages/*",
        ),
    ),
    Grant(
        "Schedules",
        ("scheduler:*",),
        _arns("scheduler", "schedule-group/orderops-{environment}", "schedule/orderops-{environment}/*"),
    ),
    Grant("Images", ("ecr:*",), _arns("ecr", f"repository/{PREFIX}*")),
    # A release may copy an image that another environment tried first, in this account or in one that shares it.
    Grant(
        "ImagesToCopy",
        ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"),
        ("arn:{partition}:ecr:{region}:*:repository/orderops-*",),
    ),
    Grant("LogBuckets", ("s3:*",), OUR_BUCKETS, excluded=("s3:GetObject", "s3:PutObject", "s3:DeleteObject")),
    Grant("EmptyLogBuckets", ("s3:DeleteObject",), OUR_BUCKETS, of_operators=True),
    # No condition on the prefix: reading a missing object needs ListBucket, and such a request has no prefix.
    Grant("Record", ("s3:CreateBucket", "s3:ListBucket", "s3:TagResource"), (RECORD,)),
    Grant("RecordOfRuns", ("s3:GetObject", "s3:PutObject"), (f"{RECORD}/{{environment}}/*",)),
    Grant("Jobs", ("s3:DeleteObject",), (f"{RECORD}/{{environment}}/jobs/*",)),
    Grant("Board", ("s3:PutObject",), (f"arn:{{partition}}:s3:::{PREFIX}board*/index.html",)),
    Grant(
        "Roles",
        ("iam:*Role", "iam:*RolePolicy", "iam:*RolePolicies", "iam:DeleteRolePermissionsBoundary"),
        OUR_ROLES,
        excluded=("iam:PassRole", "iam:CreateServiceLinkedRole"),
        bounded=False,
    ),
    Grant(
        "Roles",
        ("iam:*Role", "iam:*RolePolicy", "iam:*RolePolicies"),
        OUR_ROLES,
        excluded=("iam:PassRole", "iam:CreateServiceLinkedRole", "iam:CreateRole"),
        bounded=True,
    ),
    # IAM user guide, "Permissions boundaries": who may create roles without the boundary could give them anything.
    Grant(
        "BoundedRoles",
        ("iam:CreateRole", "iam:PutRolePermissionsBoundary"),
        OUR_ROLES,
        WITHIN_BOUNDARY,
        bounded=True,
    ),
    Grant("ApiLogRole", ("iam:CreateRole", "iam:PutRolePolicy", "iam:TagRole"), API_LOG_ROLE, bounded=False),
    Grant("ApiLogRole", ("iam:TagRole",), API_LOG_ROLE, bounded=True),
    Grant("BoundedApiLogRole", ("iam:CreateRole", "iam:PutRolePolicy"), API_LOG_ROLE, WITHIN_BOUNDARY, bounded=True),
    Grant("PassApiLogRole", ("iam:PassRole",), API_LOG_ROLE, TO_API_GATEWAY),
    Grant(
        "PassRoles",
        ("iam:PassRole",),
        OUR_ROLES,
        {
            "StringEquals": {
                "iam:PassedToService": (
                    "ecs-tasks.amazonaws.com",
                    "ecs.amazonaws.com",
                    "scheduler.amazonaws.com",
                    "vpc-flow-logs.amazonaws.com",
                )
            }
        },
    ),
    Grant(
        "LinkedRoles",
        ("iam:CreateServiceLinkedRole",),
        (f"{ROLES}aws-service-role/*",),
        {
            "StringEquals": {
                "iam:AWSServiceName": (
                    "ecs.amazonaws.com",
                    "ecs.application-autoscaling.amazonaws.com",
                    "elasticloadbalancing.amazonaws.com",
                    "ops.apigateway.amazonaws.com",
                    "rds.amazonaws.com",
                )
            }
        },
    ),
    Grant("OwnPermissions", ("iam:SimulatePrincipalPolicy",), (f"{ROLES}*", "arn:{partition}:iam::{account}:user/*")),
)

# Connecting to a database from the operator's machine needs its password. A remote job needs neither of these: its
# task has a role of its own. RDS tags the secret that it keeps for an instance with the ARN of the instance.
PASSWORDS = Grant(
    "OpenDatabases",
    ("secretsmanager:GetSecretValue",),
    _arns("secretsmanager", "secret:rds!db-*"),
    {
        "StringLike": {
            "aws:ResourceTag/aws:rds:primaryDBInstanceArn": _arns(
                "rds", f"db:{PREFIX}database", f"db:{PREFIX}database-*"
            )
        }
    },
)
OWN_LOGINS = Grant(
    "OpenDatabasesByOwnSecrets",
    ("secretsmanager:GetSecretValue",),
    _arns(
        "secretsmanager", *(f"secret:orderops/{{environment}}/database-{kind}-??????" for kind in ("login", "master"))
    ),
)
DATABASE_ACCESS: Mapping[str, tuple[Grant, ...]] = {
    "task": (),
    "direct": (PASSWORDS, OWN_LOGINS),
    "tunnel": (
        PASSWORDS,
        OWN_LOGINS,
        Grant(
            "OpenTunnels",
            ("ssm:StartSession",),
            (
                *_arns("ecs", f"task/{PREFIX}*"),
                "arn:{partition}:ssm:{region}::document/AWS-StartPortForwardingSessionToRemoteHost",
            ),
        ),
        Grant("EndOwnTunnels", ("ssm:TerminateSession",), _arns("ssm", "session/${{aws:userid}}-*")),
    ),
}
"""Grants by `[database] access` of the environment."""


@cache
def grants_of(action: str) -> tuple[Grant, ...]:
    """Return all grants that contain the action; () for an action that no grant contains."""
    return (ANYTHING,) if ANYTHING.gives(action) else tuple(grant for grant in NARROW if grant.gives(action))
