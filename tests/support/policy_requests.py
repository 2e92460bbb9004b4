"""The permissions that IAM checks for a call: which actions, on which resources, in which context.

From AWS's Service Authorization Reference, and independent of how orderops writes its policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree

from moto.backends import get_backend

from orderops.local.emulator.protocol import Request

ACCOUNT = "123456789012"
REGION = "ap-southeast-2"
Context = Mapping[str, str]
Tags = Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """One permission that IAM checks."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{'' if service == 'iam' else REGION}:{ACCOUNT}:{rest}"


def questions_of(call: Request) -> list[Question]:
    """Return all that must be allowed for a call; [] for a call that needs no permission."""
    if (call.service, call.action) == ("sts", "GetCallerIdentity"):
        return []
    questions = QUESTIONS.get(call.service)
    return (
        list(questions(call)) if questions else [Question(f"{PREFIXES.get(call.service, call.service)}:{call.action}")]
    )


def tags_of(resource_id: str) -> Tags:
    """Return the current tags of a part of the network."""
    return dict(get_backend("ec2")[ACCOUNT][REGION].tags.get(resource_id, {}))


PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
KINDS = {
    "vpc": "vpc",
    "subnet": "subnet",
    "rtb": "route-table",
    "sg": "security-group",
    "igw": "internet-gateway",
    "nat": "natgateway",
    "eipalloc": "elastic-ip",
    "fl": "vpc-flow-log",
}
CREATED_KINDS = {
    "AllocateAddress": "elastic-ip",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateInternetGateway": "internet-gateway",
    "CreateNatGateway": "natgateway",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSubnet": "subnet",
    "CreateVpc": "vpc",
}
ID_PARAMETERS = (
    "AllocationId",
    "FlowLogId",
    "GroupId",
    "InternetGatewayId",
    "NatGatewayId",
    "ResourceId",
    "RouteTableId",
    "SubnetId",
    "VpcId",
)
ONLY_THE_TABLE = ("CreateRoute", "ReplaceRoute", "DeleteRoute")


def _network(call: Request) -> Iterator[Question]:
    params, action = call.parameters, f"ec2:{call.action}"
    if call.action.startswith("Describe") and call.action != "DescribeVpcAttribute":
        yield Question(action)
        return
    if call.action == "CreateTags":
        tags, ids = _request_tags(params["Tag"]), params["ResourceId"]
        yield from (Question(action, _network_arn(id_), {**tags, **_resource_tags(id_)}) for id_ in ids)
        return
    if kind := CREATED_KINDS.get(call.action):
        tags = _request_tags(params["TagSpecification"][0]["Tag"])
        yield Question(action, arn("ec2", f"{kind}/*"), tags)
        yield Question("ec2:CreateTags", arn("ec2", f"{kind}/*"), {**tags, "ec2:CreateAction": call.action})
    if call.action == "CreateFlowLogs":
        yield _pass_role(params["DeliverLogsPermissionArn"], "vpc-flow-logs.amazonaws.com")
    for key in ("RouteTableId",) if call.action in ONLY_THE_TABLE else ID_PARAMETERS:
        for id_ in params[key] if isinstance(params.get(key), list) else filter(None, [params.get(key)]):
            yield Question(action, _network_arn(id_), _resource_tags(id_))
    if (association := params.get("AssociationId")) and call.action == "DisassociateRouteTable":
        for table in get_backend("ec2")[ACCOUNT][REGION].route_tables.values():
            if association in table.all_associations_ids:
                yield Question(action, _network_arn(table.id), _resource_tags(table.id))


def _network_arn(resource_id: str) -> str:
    return arn("ec2", f"{KINDS[resource_id.partition('-')[0]]}/{resource_id}")


def _resource_tags(resource_id: str) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags_of(resource_id).items()}


def _request_tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {f"aws:RequestTag/{pair['Key']}": pair["Value"] for pair in pairs}


def _pass_role(role: str, service: str) -> Question:
    return Question("iam:PassRole", role, {"iam:PassedToService": service})


def _balancer(call: Request) -> Iterator[Question]:
    params, action = call.parameters, f"elasticloadbalancing:{call.action}"
    if call.action.startswith("Describe"):
        yield Question(action)
        return
    tag = "elasticloadbalancing:AddTags"
    creates: dict[str, Callable[[], list[str]]] = {
        "CreateLoadBalancer": lambda: [arn("elasticloadbalancing", f"loadbalancer/app/{params['Name']}/*")] * 2,
        "CreateTargetGroup": lambda: [arn("elasticloadbalancing", f"targetgroup/{params['Name']}/*")] * 2,
        "CreateListener": lambda: [params["LoadBalancerArn"], f"{_child_arn(params['LoadBalancerArn'], 'listener')}/*"],
        "CreateRule": lambda: [params["ListenerArn"], f"{_child_arn(params['ListenerArn'], 'listener-rule')}/*"],
    }
    if call.action in creates:
        parent, created = creates[call.action]()
        yield Question(action, parent)
        yield Question(tag, created)
        return
    arns = [params[key] for key in ("RuleArn", "ListenerArn", "LoadBalancerArn", "TargetGroupArn") if key in params]
    arns += params.get("ResourceArns", [])
    arns += [priority["RuleArn"] for priority in params.get("RulePriorities", [])]
    yield from (Question(action, arn_) for arn_ in arns)


def _child_arn(parent: str, kind: str) -> str:
    return re.sub(r":(loadbalancer|listener)/", f":{kind}/", parent)


def _database(call: Request) -> Iterator[Question]:
    params, action = call.parameters, f"rds:{call.action}"
    kinds = {
        "DBInstanceIdentifier": "db",
        "SourceDBInstanceIdentifier": "db",
        "TargetDBInstanceIdentifier": "db",
        "DBParameterGroupName": "pg",
        "DBSubnetGroupName": "subgrp",
        "OptionGroupName": "og",
    }
    if call.action.startswith("Describe") and call.action != "DescribeDBParameters":
        yield Question(action)  # checked on "*", even for a single instance
        return
    names = [arn("rds", f"{kind}:{params[key]}") for key, kind in kinds.items() if key in params]
    names += [params["ResourceName"]] if "ResourceName" in params else []
    if call.action == "CreateDBInstance":
        names.append(arn("rds", "og:default:postgres-16"))
    if call.action in ("CreateDBInstance", "ModifyDBInstance") and params.get("ManageMasterUserPassword") == "true":
        secret = arn("secretsmanager", "secret:rds!db-2f6a1c57-1d3b-4f5e-9a77-111111111111-AbCdEf")
        yield from (
            Question(needed, secret) for needed in ("secretsmanager:CreateSecret", "secretsmanager:TagResource")
        )
        yield Question("kms:DescribeKey", arn("kms", "key/11111111-2222-3333-4444-555555555555"))
    if snapshot := params.get("FinalDBSnapshotIdentifier"):
        yield from (Question("rds:CreateDBSnapshot", name) for name in (*names, arn("rds", f"snapshot:{snapshot}")))
        yield Question("rds:AddTagsToResource", arn("rds", f"snapshot:{snapshot}"))
    if "BlueGreenDeployment" in call.action:
        yield from _deployment(call, action)
        return
    if call.action.startswith(("Create", "Restore")):
        yield Question("rds:AddTagsToResource", names[0])
    yield from (Question(action, name) for name in names)


def _deployment(call: Request, action: str) -> Iterator[Question]:
    """The deployment, the two instances, and what RDS does to them in the caller's name."""
    deployment, blue = arn("rds", "deployment:bgd-1234567890abcdef"), arn("rds", "db:orderops-dev-database")
    green = f"{blue}-green-abc123"
    yield Question(action, deployment)
    if call.action == "CreateBlueGreenDeployment":
        group = arn("rds", f"pg:{call.parameters['TargetDBParameterGroupName']}")
        yield from (Question(action, name) for name in (call.parameters["Source"], group))
        yield from (Question("rds:AddTagsToResource", name) for name in (deployment, green))
        yield from (Question(f"rds:CreateDBInstance{kind}", green) for kind in ("", "ReadReplica"))
    if call.action == "SwitchoverBlueGreenDeployment":
        yield from (Question(action, name) for name in (blue, green))
        yield from (Question("rds:ModifyDBInstance", name) for name in (blue, green))
        yield Question("rds:PromoteReadReplica", green)
    if call.parameters.get("DeleteTarget") == "true":
        yield Question("rds:DeleteDBInstance", green)


def _services(call: Request) -> Iterator[Question]:
    params, action = call.json, f"ecs:{call.action}"
    cluster = str(params.get("cluster", "")).rpartition("/")[2]
    context = {"ecs:cluster": arn("ecs", f"cluster/{cluster}")}
    resources: dict[str, Callable[[], list[str]]] = {
        "CreateCluster": lambda: [f"cluster/{params['clusterName']}"],
        "UpdateCluster": lambda: [f"cluster/{cluster}"],
        "DeleteCluster": lambda: [f"cluster/{cluster}"],
        "DescribeClusters": lambda: [f"cluster/{name}" for name in params["clusters"]],
        "CreateService": lambda: [f"service/{cluster}/{params['serviceName']}"],
        "UpdateService": lambda: [f"service/{cluster}/{params['service']}"],
        "DeleteService": lambda: [f"service/{cluster}/{params['service']}"],
        "DescribeServices": lambda: [f"service/{cluster}/{name}" for name in params["services"]],
        "RunTask": lambda: [params["taskDefinition"].partition(f"{ACCOUNT}:")[2]],
        "StopTask": lambda: [params["task"].partition(f"{ACCOUNT}:")[2]],
        "DescribeTasks": lambda: [task.partition(f"{ACCOUNT}:")[2] for task in params["tasks"]],
        "RegisterTaskDefinition": lambda: [f"task-definition/{params['family']}:1"],
        "DeleteTaskDefinitions": lambda: [name.partition(f"{ACCOUNT}:")[2] for name in params["taskDefinitions"]],
        "TagResource": lambda: [params["resourceArn"].partition(f"{ACCOUNT}:")[2]],
    }
    names = [arn("ecs", name) for name in resources[call.action]()] if call.action in resources else ["*"]
    yield from (Question(action, name, context if cluster else {}) for name in names)
    if call.action in ("CreateCluster", "CreateService", "RegisterTaskDefinition"):
        yield Question("ecs:TagResource", names[0], {"ecs:CreateAction": call.action})
    if call.action == "RegisterTaskDefinition":
        for key in ("executionRoleArn", "taskRoleArn"):
            yield _pass_role(params[key], "ecs-tasks.amazonaws.com")
    for balancer in params.get("loadBalancers") or ():
        if role := (balancer.get("advancedConfiguration") or {}).get("roleArn"):
            yield _pass_role(role, "ecs.amazonaws.com")
    if call.action == "RunTask":
        definition = get_backend("ecs")[ACCOUNT][REGION].describe_task_definition(params["taskDefinition"])
        for role in (definition.execution_role_arn, definition.task_role_arn):
            yield _pass_role(role, "ecs-tasks.amazonaws.com")


def _scaling(call: Request) -> Iterator[Question]:
    action = f"application-autoscaling:{call.action}"
    if call.action.startswith("Describe"):
        yield Question(action)
        return
    context = {
        "application-autoscaling:service-namespace": call.json["ServiceNamespace"],
        "application-autoscaling:scalable-dimension": call.json["ScalableDimension"],
    }
    yield Question(
        action, arn("application-autoscaling", "scalable-target/0ec5d1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6"), context
    )
    alarm = arn("cloudwatch", f"alarm:TargetTracking-{call.json['ResourceId']}-AlarmHigh-1")
    service = arn("ecs", call.json["ResourceId"])
    as_caller = {
        "RegisterScalableTarget": [Question("ecs:DescribeServices", service), Question("ecs:UpdateService", service)],
        "PutScalingPolicy": [Question("cloudwatch:PutMetricAlarm", alarm), Question("cloudwatch:DescribeAlarms")],
        "DeregisterScalableTarget": [Question("cloudwatch:DeleteAlarms", alarm)],
    }
    yield from as_caller.get(call.action, [])


def _alarms(call: Request) -> Iterator[Question]:
    params, action = call.json, f"cloudwatch:{call.action}"
    everywhere = ("DescribeAlarmHistory", "DescribeAlarms", "GetMetricData", "ListDashboards")
    if call.action in everywhere or "AnomalyDetector" in call.action:
        yield Question(action)
        return
    names = [params["AlarmName"]] if "AlarmName" in params else params.get("AlarmNames", [])
    arns = [arn("cloudwatch", f"alarm:{name}") for name in names]
    boards = [params["DashboardName"]] if "DashboardName" in params else params.get("DashboardNames", [])
    # Without a region.
    arns += [f"arn:aws:cloudwatch::{arn('x', 'x').split(':')[4]}:dashboard/{board}" for board in boards]
    arns += [params["ResourceARN"]] if "ResourceARN" in params else []
    yield from (Question(action, arn_) for arn_ in arns)
    if params.get("Tags") and call.action in ("PutMetricAlarm", "PutCompositeAlarm", "PutDashboard"):
        yield Question("cloudwatch:TagResource", arns[0])


def _images(call: Request) -> Iterator[Question]:
    params, action = call.json, f"ecr:{call.action}"
    if call.action in ("GetAuthorizationToken", "DescribeRepositories"):
        yield Question(action)
        return
    name = params.get("resourceArn") or arn("ecr", f"repository/{params['repositoryName']}")
    yield Question(action, name)
    if call.action == "CreateRepository":
        yield Question("ecr:TagResource", name)


def _roles(call: Request) -> Iterator[Question]:
    params, action = call.parameters, f"iam:{call.action}"
    if call.action == "CreateServiceLinkedRole":
        service = params["AWSServiceName"]
        role = arn("iam", f"role/aws-service-role/{service}/AWSServiceRoleForSomething")
        yield Question(action, role, {"iam:AWSServiceName": service})
    elif call.action == "SimulatePrincipalPolicy":
        yield Question(action, params["PolicySourceArn"])
    elif "RoleName" in params:
        yield Question(action, arn("iam", f"role/{params['RoleName']}"))
        if call.action == "CreateRole":
            yield Question("iam:TagRole", arn("iam", f"role/{params['RoleName']}"))
    else:
        yield Question(action)


def _logs(call: Request) -> Iterator[Question]:
    params, action = call.json, f"logs:{call.action}"
    if call.action == "DescribeLogGroups":
        yield Question(action)
        return
    stream = f":log-stream:{params['logStreamName']}" if "logStreamName" in params else ""
    group = params.get("resourceArn") or arn("logs", f"log-group:{params['logGroupName']}{stream}")
    yield Question(action, group)
    if call.action == "CreateLogGroup":
        yield Question("logs:TagResource", group)


def _secrets(call: Request) -> Iterator[Question]:
    params, action = call.json, f"secretsmanager:{call.action}"
    if call.action == "ListSecrets":
        yield Question(action)
        return
    name = str(params.get("SecretId") or params.get("Name"))
    secret = name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}")
    yield Question(action, secret)
    if call.action == "CreateSecret":
        yield Question("secretsmanager:TagResource", secret)


def _queues(call: Request) -> Iterator[Question]:
    params, action = call.json, f"sqs:{call.action}"
    if call.action == "ListQueues":
        yield Question(action)
        return
    queue = arn("sqs", str(params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]))
    yield Question(action, queue)
    if call.action == "CreateQueue":
        yield Question("sqs:TagQueue", queue)


def _topics(call: Request) -> Iterator[Question]:
    params, action = call.parameters, f"sns:{call.action}"
    if call.action in ("ListTopics", "ListSubscriptions"):
        yield Question(action)
        return
    topic = params.get("TopicArn") or params.get("ResourceArn") or arn("sns", params["Name"])
    yield Question(action, topic)
    if call.action == "CreateTopic":
        yield Question("sns:TagResource", topic)


BUCKET_ACTIONS = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}


def _buckets(call: Request) -> Iterator[Question]:
    bucket, _, key = call.path.lstrip("/").partition("/")
    whole = f"arn:aws:s3:::{bucket}"
    if call.action == "ListBuckets":
        yield Question("s3:ListAllMyBuckets")
        return
    if call.action == "DeleteObjects":
        for element in ElementTree.fromstring(call.body).iter():
            if element.tag.endswith("}Object"):
                params = {child.tag.rpartition("}")[2]: child.text for child in element}
                action = "s3:DeleteObjectVersion" if params.get("VersionId") else "s3:DeleteObject"
                yield Question(action, f"{whole}/{params['Key']}")
        return
    yield Question(f"s3:{BUCKET_ACTIONS.get(call.action, call.action)}", f"{whole}/{key}" if key else whole)
    if call.action == "GetObject":
        yield Question("s3:ListBucket", whole)
    if call.action == "CreateBucket":
        if b"<Tag>" in call.body:
            yield Question("s3:TagResource", whole)
        if "HTTP_X_AMZ_OBJECT_OWNERSHIP" in call.environ:
            yield Question("s3:PutBucketOwnershipControls", whole)


def _schedules(call: Request) -> Iterator[Question]:
    action, query = f"scheduler:{call.action}", dict(parse_qsl(call.environ.get("QUERY_STRING", "")))
    kind, name = call.path.split("/")[1], call.path.rpartition("/")[2]
    group = name if kind != "schedules" else call.json.get("GroupName") or query.get("groupName", "default")
    if call.action == "ListSchedules":
        yield Question(action)
        return
    resource = f"schedule/{group}/{name}" if kind == "schedules" else f"schedule-group/{group}"
    yield Question(action, arn("scheduler", resource))
    if call.action == "CreateScheduleGroup":
        yield Question("scheduler:TagResource", arn("scheduler", resource))
    if "Target" in call.json:
        yield _pass_role(call.json["Target"]["RoleArn"], "scheduler.amazonaws.com")


BALANCER_ACLS = {
    "AssociateWebACL": ("SetWebACL", "CreateWebACLAssociation"),
    "DisassociateWebACL": ("SetWebACL", "DeleteWebACLAssociation"),
    "GetWebACLForResource": ("GetLoadBalancerWebACL",),
}
LOG_DELIVERY = {
    "PutLoggingConfiguration": (
        "CreateLogDelivery",
        "DescribeLogGroups",
        "DescribeResourcePolicies",
        "PutResourcePolicy",
    ),
    "DeleteLoggingConfiguration": ("DeleteLogDelivery",),
}


def _firewall(call: Request) -> Iterator[Question]:
    params, action = call.json, f"wafv2:{call.action}"
    if call.action in ("ListIPSets", "ListLoggingConfigurations", "ListWebACLs"):
        yield Question(action)
        return
    for needed in LOG_DELIVERY.get(call.action, ()):
        yield Question(f"logs:{needed}")
    arns = [params.get("WebACLArn"), params.get("ResourceARN"), params.get("ResourceArn")]
    arns.append(params.get("LoggingConfiguration", {}).get("ResourceArn"))
    if "Name" in params:
        kind = "ipset" if call.action.endswith("IPSet") else "webacl"
        arns.append(arn("wafv2", f"regional/{kind}/{params['Name']}/{params.get('Id', 'new')}"))
    named = [name for name in arns if name]
    yield from (Question(action, name) for name in named)
    if any("ManagedRuleGroupStatement" in rule["Statement"] for rule in params.get("Rules", ())):
        yield Question(action, arn("wafv2", "regional/managedruleset/AWS/AWSManagedRulesCommonRuleSet"))
    if call.action.startswith("Create"):
        yield Question("wafv2:TagResource", named[-1])
    resource = params.get("ResourceArn", "")
    if "/stages/" in resource:
        if call.action in ("AssociateWebACL", "DisassociateWebACL"):
            yield Question("apigateway:SetWebACL", resource)
        return
    for needed in BALANCER_ACLS.get(call.action, ()):
        yield Question(f"elasticloadbalancing:{needed}", resource)


def _apis(call: Request) -> Iterator[Question]:
    """API Gateway names its actions by the method of HTTP, and its resources by the path."""
    # A key such as `GET /orders` has a space, which an ARN has encoded.
    path = quote(call.path.removeprefix("/v2"), safe="/$:")
    resource = f"arn:aws:apigateway:{REGION}::{path}"
    if call.action in ("TagResource", "UntagResource"):
        yield Question(f"apigateway:{call.action}", path.removeprefix("/tags/"))
        resource = f"arn:aws:apigateway:{REGION}::/tags/{path.removeprefix('/tags/')}"
    if call.json.get("tags") and call.action.startswith("Create"):
        yield Question("apigateway:TagResource", resource)
    yield Question(f"apigateway:{call.method}", resource)
    if call.action in ("CreateDomainName", "UpdateDomainName"):
        yield Question("apigateway:AddCertificateToDomain", resource)
    if call.action in ("UpdateDomainName", "DeleteDomainName"):
        yield Question("apigateway:RemoveCertificateFromDomain", resource)
    for patch in call.json.get("patchOperations", ()) if call.action == "UpdateAccount" else ():
        yield Question("iam:PassRole", patch["value"], {"iam:PassedToService": "apigateway.amazonaws.com"})
    # With a REST API, a role of the account writes the log.
    if call.action == "DeleteStage" and call.path.startswith("/v2/"):
        yield Question("logs:DeleteLogDelivery")
    if call.action in ("CreateStage", "UpdateStage") and call.json.get("accessLogSettings"):
        for action in API_LOG_DELIVERY:
            yield Question(f"logs:{action}")


API_LOG_DELIVERY = (
    "CreateLogDelivery",
    "DescribeLogGroups",
    "DescribeResourcePolicies",
    "GetLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "UpdateLogDelivery",
)


def _certificates(call: Request) -> Iterator[Question]:
    params, action = call.json, f"acm:{call.action}"
    if call.action == "ListCertificates":
        yield Question(action)
    elif call.action == "RequestCertificate":
        tags = _request_tags(params["Tags"])
        yield Question(action, "*", tags)
        yield Question("acm:AddTagsToCertificate", arn("acm", "certificate/*"), tags)
    else:
        name, tags = params["CertificateArn"], _request_tags(params.get("Tags", []))
        certificate = get_backend("acm")[ACCOUNT][REGION]._certificates.get(name)
        owned = certificate.tags.items() if certificate else ()
        yield Question(action, name, {**tags, **{f"aws:ResourceTag/{key}": value or "" for key, value in owned}})


def _names(call: Request) -> Iterator[Question]:
    if call.action == "ListHostedZonesByName":
        yield Question("route53:ListHostedZonesByName")
        return
    zone = call.path.split("hostedzone/")[1].partition("/")[0]
    yield Question(f"route53:{call.action}", f"arn:aws:route53:::hostedzone/{zone}")


QUESTIONS: Mapping[str, Callable[[Request], Iterator[Question]]] = {
    "acm": _certificates,
    "apigateway": _apis,
    "application-autoscaling": _scaling,
    "ec2": _network,
    "ecr": _images,
    "ecs": _services,
    "elasticloadbalancing": _balancer,
    "iam": _roles,
    "logs": _logs,
    "monitoring": _alarms,
    "rds": _database,
    "route53": _names,
    "s3": _buckets,
    "scheduler": _schedules,
    "secretsmanager": _secrets,
    "sns": _topics,
    "sqs": _queues,
    "wafv2": _firewall,
}
