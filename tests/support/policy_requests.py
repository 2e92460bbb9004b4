"""What IAM is asked before AWS takes a call: which permissions, on which resources, in which context.

From AWS's Service Authorization Reference; nothing here knows how orderops writes its policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from moto.backends import get_backend

from orderops.local.emulator.protocol import Request

ACCOUNT = "123456789012"
REGION = "ap-southeast-2"
Context = Mapping[str, str]
Tags = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """One question to IAM."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{'' if service == 'iam' else REGION}:{ACCOUNT}:{rest}"


def asked(call: Request) -> list[Asked]:
    """All that must be allowed for a call; nothing for what AWS answers to everybody."""
    if (call.service, call.action) == ("sts", "GetCallerIdentity"):
        return []
    about = ABOUT.get(call.service)
    return list(about(call)) if about else [Asked(f"{PREFIXES.get(call.service, call.service)}:{call.action}")]


def tags_of(thing: str) -> Tags:
    """The tags of a part of the network, as they are at this moment."""
    return dict(get_backend("ec2")[ACCOUNT][REGION].tags.get(thing, {}))


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
MADE = {
    "AllocateAddress": "elastic-ip",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateInternetGateway": "internet-gateway",
    "CreateNatGateway": "natgateway",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSubnet": "subnet",
    "CreateVpc": "vpc",
}
NAMED = (
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


def _network(call: Request) -> Iterator[Asked]:
    told, action = call.parameters, f"ec2:{call.action}"
    if call.action.startswith("Describe") and call.action != "DescribeVpcAttribute":
        yield Asked(action)
        return
    if call.action == "CreateTags":
        given = _request_tags(told["Tag"])
        yield from (Asked(action, _part(thing), {**given, **_tagged(thing)}) for thing in told["ResourceId"])
        return
    if made := MADE.get(call.action):
        given = _request_tags(told["TagSpecification"][0]["Tag"])
        yield Asked(action, arn("ec2", f"{made}/*"), given)
        yield Asked("ec2:CreateTags", arn("ec2", f"{made}/*"), {**given, "ec2:CreateAction": call.action})
    if call.action == "CreateFlowLogs":
        yield _passed(told["DeliverLogsPermissionArn"], "vpc-flow-logs.amazonaws.com")
    for key in ("RouteTableId",) if call.action in ONLY_THE_TABLE else NAMED:
        for thing in told[key] if isinstance(told.get(key), list) else filter(None, [told.get(key)]):
            yield Asked(action, _part(thing), _tagged(thing))
    if (association := told.get("AssociationId")) and call.action == "DisassociateRouteTable":
        for table in get_backend("ec2")[ACCOUNT][REGION].route_tables.values():
            if association in table.all_associations_ids:
                yield Asked(action, _part(table.id), _tagged(table.id))


def _part(thing: str) -> str:
    return arn("ec2", f"{KINDS[thing.partition('-')[0]]}/{thing}")


def _tagged(thing: str) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags_of(thing).items()}


def _request_tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {f"aws:RequestTag/{each['Key']}": each["Value"] for each in pairs}


def _passed(role: str, service: str) -> Asked:
    return Asked("iam:PassRole", role, {"iam:PassedToService": service})


def _balancer(call: Request) -> Iterator[Asked]:
    told, action = call.parameters, f"elasticloadbalancing:{call.action}"
    if call.action.startswith("Describe"):
        yield Asked(action)
        return
    tag = "elasticloadbalancing:AddTags"
    made: dict[str, Callable[[], list[str]]] = {
        "CreateLoadBalancer": lambda: [arn("elasticloadbalancing", f"loadbalancer/app/{told['Name']}/*")] * 2,
        "CreateTargetGroup": lambda: [arn("elasticloadbalancing", f"targetgroup/{told['Name']}/*")] * 2,
        "CreateListener": lambda: [told["LoadBalancerArn"], f"{_as(told['LoadBalancerArn'], 'listener')}/*"],
        "CreateRule": lambda: [told["ListenerArn"], f"{_as(told['ListenerArn'], 'listener-rule')}/*"],
    }
    if call.action in made:
        on, new = made[call.action]()
        yield Asked(action, on)
        yield Asked(tag, new)
        return
    given = [told[key] for key in ("RuleArn", "ListenerArn", "LoadBalancerArn", "TargetGroupArn") if key in told]
    given += told.get("ResourceArns", [])
    given += [each["RuleArn"] for each in told.get("RulePriorities", [])]
    yield from (Asked(action, each) for each in given)


def _as(name: str, kind: str) -> str:
    return re.sub(r":(loadbalancer|listener)/", f":{kind}/", name)


def _database(call: Request) -> Iterator[Asked]:
    told, action = call.parameters, f"rds:{call.action}"
    kinds = {
        "DBInstanceIdentifier": "db",
        "TargetDBInstanceIdentifier": "db",
        "DBParameterGroupName": "pg",
        "DBSubnetGroupName": "subgrp",
        "OptionGroupName": "og",
    }
    if call.action.startswith("Describe") and call.action != "DescribeDBParameters":
        yield Asked(action)  # a look at one may be asked for all
        return
    names = [arn("rds", f"{kind}:{told[key]}") for key, kind in kinds.items() if key in told]
    names += [told["ResourceName"]] if "ResourceName" in told else []
    if call.action == "CreateDBInstance":
        names.append(arn("rds", "og:default:postgres-16"))
    if call.action in ("CreateDBInstance", "ModifyDBInstance") and told.get("ManageMasterUserPassword") == "true":
        secret = arn("secretsmanager", "secret:rds!db-2f6a1c57-1d3b-4f5e-9a77-111111111111-AbCdEf")
        yield from (Asked(each, secret) for each in ("secretsmanager:CreateSecret", "secretsmanager:TagResource"))
        yield Asked("kms:DescribeKey", arn("kms", "key/11111111-2222-3333-4444-555555555555"))
    if snapshot := told.get("FinalDBSnapshotIdentifier"):
        yield from (Asked("rds:CreateDBSnapshot", each) for each in (*names, arn("rds", f"snapshot:{snapshot}")))
        yield Asked("rds:AddTagsToResource", arn("rds", f"snapshot:{snapshot}"))
    if call.action.startswith(("Create", "Restore")):
        yield Asked("rds:AddTagsToResource", names[0])
    yield from (Asked(action, each) for each in names)


def _services(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"ecs:{call.action}"
    cluster = str(told.get("cluster", "")).rpartition("/")[2]
    at = {"ecs:cluster": arn("ecs", f"cluster/{cluster}")}
    one: dict[str, Callable[[], list[str]]] = {
        "CreateCluster": lambda: [f"cluster/{told['clusterName']}"],
        "UpdateCluster": lambda: [f"cluster/{cluster}"],
        "DeleteCluster": lambda: [f"cluster/{cluster}"],
        "DescribeClusters": lambda: [f"cluster/{each}" for each in told["clusters"]],
        "CreateService": lambda: [f"service/{cluster}/{told['serviceName']}"],
        "UpdateService": lambda: [f"service/{cluster}/{told['service']}"],
        "DeleteService": lambda: [f"service/{cluster}/{told['service']}"],
        "DescribeServices": lambda: [f"service/{cluster}/{each}" for each in told["services"]],
        "RunTask": lambda: [told["taskDefinition"].partition(f"{ACCOUNT}:")[2]],
        "StopTask": lambda: [told["task"].partition(f"{ACCOUNT}:")[2]],
        "DescribeTasks": lambda: [each.partition(f"{ACCOUNT}:")[2] for each in told["tasks"]],
        "RegisterTaskDefinition": lambda: [f"task-definition/{told['family']}:1"],
        "DeleteTaskDefinitions": lambda: [each.partition(f"{ACCOUNT}:")[2] for each in told["taskDefinitions"]],
        "TagResource": lambda: [told["resourceArn"].partition(f"{ACCOUNT}:")[2]],
    }
    names = [arn("ecs", each) for each in one[call.action]()] if call.action in one else ["*"]
    yield from (Asked(action, each, at if cluster else {}) for each in names)
    if call.action in ("CreateCluster", "CreateService", "RegisterTaskDefinition"):
        yield Asked("ecs:TagResource", names[0], {"ecs:CreateAction": call.action})
    if call.action == "RegisterTaskDefinition":
        for key in ("executionRoleArn", "taskRoleArn"):
            yield _passed(told[key], "ecs-tasks.amazonaws.com")
    if call.action == "RunTask":
        definition = get_backend("ecs")[ACCOUNT][REGION].describe_task_definition(told["taskDefinition"])
        for role in (definition.execution_role_arn, definition.task_role_arn):
            yield _passed(role, "ecs-tasks.amazonaws.com")


def _scaling(call: Request) -> Iterator[Asked]:
    action = f"application-autoscaling:{call.action}"
    if call.action.startswith("Describe"):
        yield Asked(action)
        return
    where = {
        "application-autoscaling:service-namespace": call.json["ServiceNamespace"],
        "application-autoscaling:scalable-dimension": call.json["ScalableDimension"],
    }
    yield Asked(action, arn("application-autoscaling", "scalable-target/0ec5d1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6"), where)
    alarm = arn("cloudwatch", f"alarm:TargetTracking-{call.json['ResourceId']}-AlarmHigh-1")
    service = arn("ecs", call.json["ResourceId"])
    more = {
        "RegisterScalableTarget": [Asked("ecs:DescribeServices", service), Asked("ecs:UpdateService", service)],
        "PutScalingPolicy": [Asked("cloudwatch:PutMetricAlarm", alarm), Asked("cloudwatch:DescribeAlarms")],
        "DeregisterScalableTarget": [Asked("cloudwatch:DeleteAlarms", alarm)],
    }
    yield from more.get(call.action, [])


def _alarms(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"cloudwatch:{call.action}"
    if call.action == "DescribeAlarms":
        yield Asked(action)
        return
    names = [told["AlarmName"]] if "AlarmName" in told else told.get("AlarmNames", [])
    things = [arn("cloudwatch", f"alarm:{name}") for name in names]
    things += [told["ResourceARN"]] if "ResourceARN" in told else []
    yield from (Asked(action, each) for each in things)
    if told.get("Tags") and call.action == "PutMetricAlarm":
        yield Asked("cloudwatch:TagResource", things[0])


def _images(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"ecr:{call.action}"
    if call.action in ("GetAuthorizationToken", "DescribeRepositories"):
        yield Asked(action)
        return
    name = told.get("resourceArn") or arn("ecr", f"repository/{told['repositoryName']}")
    yield Asked(action, name)
    if call.action == "CreateRepository":
        yield Asked("ecr:TagResource", name)


def _roles(call: Request) -> Iterator[Asked]:
    told, action = call.parameters, f"iam:{call.action}"
    if call.action == "CreateServiceLinkedRole":
        service = told["AWSServiceName"]
        role = arn("iam", f"role/aws-service-role/{service}/AWSServiceRoleForSomething")
        yield Asked(action, role, {"iam:AWSServiceName": service})
    elif call.action == "SimulatePrincipalPolicy":
        yield Asked(action, told["PolicySourceArn"])
    elif "RoleName" in told:
        yield Asked(action, arn("iam", f"role/{told['RoleName']}"))
        if call.action == "CreateRole":
            yield Asked("iam:TagRole", arn("iam", f"role/{told['RoleName']}"))
    else:
        yield Asked(action)


def _logs(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"logs:{call.action}"
    if call.action == "DescribeLogGroups":
        yield Asked(action)
        return
    stream = f":log-stream:{told['logStreamName']}" if "logStreamName" in told else ""
    group = told.get("resourceArn") or arn("logs", f"log-group:{told['logGroupName']}{stream}")
    yield Asked(action, group)
    if call.action == "CreateLogGroup":
        yield Asked("logs:TagResource", group)


def _secrets(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"secretsmanager:{call.action}"
    if call.action == "ListSecrets":
        yield Asked(action)
        return
    name = str(told.get("SecretId") or told.get("Name"))
    secret = name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}")
    yield Asked(action, secret)
    if call.action == "CreateSecret":
        yield Asked("secretsmanager:TagResource", secret)


def _queues(call: Request) -> Iterator[Asked]:
    told, action = call.json, f"sqs:{call.action}"
    if call.action == "ListQueues":
        yield Asked(action)
        return
    queue = arn("sqs", str(told.get("QueueName") or told["QueueUrl"].rpartition("/")[2]))
    yield Asked(action, queue)
    if call.action == "CreateQueue":
        yield Asked("sqs:TagQueue", queue)


def _topics(call: Request) -> Iterator[Asked]:
    told, action = call.parameters, f"sns:{call.action}"
    if call.action in ("ListTopics", "ListSubscriptions"):
        yield Asked(action)
        return
    topic = told.get("TopicArn") or told.get("ResourceArn") or arn("sns", told["Name"])
    yield Asked(action, topic)
    if call.action == "CreateTopic":
        yield Asked("sns:TagResource", topic)


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


def _buckets(call: Request) -> Iterator[Asked]:
    bucket, _, key = call.path.lstrip("/").partition("/")
    whole = f"arn:aws:s3:::{bucket}"
    if call.action == "ListBuckets":
        yield Asked("s3:ListAllMyBuckets")
        return
    if call.action == "DeleteObjects":
        for each in ElementTree.fromstring(call.body).iter():
            if each.tag.endswith("}Object"):
                told = {child.tag.rpartition("}")[2]: child.text for child in each}
                action = "s3:DeleteObjectVersion" if told.get("VersionId") else "s3:DeleteObject"
                yield Asked(action, f"{whole}/{told['Key']}")
        return
    yield Asked(f"s3:{BUCKET_ACTIONS.get(call.action, call.action)}", f"{whole}/{key}" if key else whole)
    if call.action == "GetObject":
        yield Asked("s3:ListBucket", whole)
    if call.action == "CreateBucket":
        if b"<Tag>" in call.body:
            yield Asked("s3:TagResource", whole)
        if "HTTP_X_AMZ_OBJECT_OWNERSHIP" in call.environ:
            yield Asked("s3:PutBucketOwnershipControls", whole)


ABOUT: Mapping[str, Callable[[Request], Iterator[Asked]]] = {
    "application-autoscaling": _scaling,
    "ec2": _network,
    "ecr": _images,
    "ecs": _services,
    "elasticloadbalancing": _balancer,
    "iam": _roles,
    "logs": _logs,
    "monitoring": _alarms,
    "rds": _database,
    "s3": _buckets,
    "secretsmanager": _secrets,
    "sns": _topics,
    "sqs": _queues,
}
