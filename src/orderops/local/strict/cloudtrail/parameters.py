"""The parameters of a request as CloudTrail writes them, and the resources that it lists with an event.

The spellings are those of the examples in the services' own guides ("Logging … API calls with CloudTrail").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.local.emulator.protocol import Request

# Bytes of a request whose parameters are kept; CloudTrail itself omits those of more than 100 KB.
LARGEST = 16_384
SECRET = frozenset({"secretString", "secretBinary", "masterUserPassword", "password"})
# Operations of EC2 whose parameters stand in a structure of their own, spelled as sent.
WRAPPED = frozenset({"CreateFlowLogs", "CreateNatGateway", "DeleteFlowLogs", "DeleteNatGateway"})
# Lists of EC2 that have another name in an event, and the name of each value.
EC2_LISTS = {"resourceId": ("resourcesSet", "resourceId"), "tag": ("tagSet", "")}
# Parameters whose value CloudTrail lists as a resource, by service.
LISTED = {
    "ec2": {
        "groupId": "AWS::EC2::SecurityGroup",
        "subnetId": "AWS::EC2::Subnet",
        "vpcId": "AWS::EC2::VPC",
        "routeTableId": "AWS::EC2::RouteTable",
        "resourceId": "AWS::EC2::Subnet",
    },
    "elasticloadbalancing": {
        "loadBalancerArn": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "targetGroupArn": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "listenerArn": "AWS::ElasticLoadBalancingV2::Listener",
        "ruleArn": "AWS::ElasticLoadBalancingV2::ListenerRule",
    },
    "iam": {"roleName": "AWS::IAM::Role"},
    "rds": {"dBInstanceIdentifier": "AWS::RDS::DBInstance"},
    "s3": {"bucketName": "AWS::S3::Bucket"},
    "ecs": {"service": "AWS::ECS::Service"},
}


def parameters_of(request: Request) -> dict[str, Any] | None:
    """Return `requestParameters`; None where they are too large."""
    if len(request.body) > LARGEST:
        return None
    if request.service == "s3":
        return {"bucketName": request.path.strip("/").split("/")[0]}
    if request.target:
        given = {_small(key): value for key, value in request.json.items()}
    else:
        given = request.parameters
        given = {key: value for key, value in given.items() if key not in ("Action", "Version")}
        if request.action in WRAPPED:
            return {f"{request.action}Request": _wrapped(given)}
        given = {_small(key): _lowered(value, ec2=request.service == "ec2") for key, value in given.items()}
        if request.service == "ec2":
            given = dict(_renamed(given))
    return {key: value for key, value in given.items() if key not in SECRET}


def resources_of(service: str, parameters: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return the resources that are listed with an event; none for many services, such as CloudWatch."""
    found: list[dict[str, str]] = []
    for key, kind in LISTED.get(service, {}).items():
        value = (parameters or {}).get(key)
        if isinstance(value, str) and value:
            found.append({"ResourceType": kind, "ResourceName": value})
    return found


def _lowered(value: Any, *, ec2: bool) -> Any:
    if isinstance(value, dict):
        return {_small(key): _lowered(inner, ec2=ec2) for key, inner in value.items()}
    if isinstance(value, list):
        values = [_lowered(inner, ec2=ec2) for inner in value]
        return {"items": values} if ec2 else values
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() and not value.startswith("0") else value


def _renamed(given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        name, inner = EC2_LISTS.get(key, (key, ""))
        if inner and isinstance(value, dict):
            value = {"items": [{inner: item} for item in value["items"]]}
        yield name, value


def _wrapped(given: dict[str, Any]) -> dict[str, Any]:
    """A list as one of its values, with its number: so the flow logs of DeleteFlowLogs are written."""
    return {
        key: {"tag": 1, "content": value[0]} if isinstance(value, list) and len(value) == 1 else value
        for key, value in given.items()
    }


def _small(key: str) -> str:
    return key[:1].lower() + key[1:]
