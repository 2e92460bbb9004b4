"""What blocks the deletion of a part of a network: interfaces and other resources in it that are not owned.

Owned resources are deleted by orderops, and AWS deletes what it made for them; only the rest is a blocker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, from_pairs
from orderops.engine.resource import Observed
from orderops.text.lists import joined

BALANCER = re.compile(r"ELB (?:(?:app|net|gwy)/)?(?P<name>[^/]+)")
# Interfaces of tasks, databases and gateways: AWS deletes them with their owner.
AWS_OWN = re.compile(r"arn:[\w-]+:ecs:|RDSNetworkInterface$|Interface for NAT Gateway ")
# Interfaces that AWS manages too, for resources that orderops does not create.
NEVER_OURS = re.compile(r"AWS Lambda VPC ENI|VPC Endpoint Interface|EFS mount target")
# Operation, key of its response, key of the id, and the filter for the VPC. A peering has two VPCs, so two entries.
PARTS_OF_VPC = (
    ("describe_security_groups", "SecurityGroups", "GroupId", "vpc-id"),
    ("describe_subnets", "Subnets", "SubnetId", "vpc-id"),
    ("describe_route_tables", "RouteTables", "RouteTableId", "vpc-id"),
    ("describe_network_acls", "NetworkAcls", "NetworkAclId", "vpc-id"),
    ("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "attachment.vpc-id"),
    ("describe_vpn_gateways", "VpnGateways", "VpnGatewayId", "attachment.vpc-id"),
    ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "vpc-id"),
    (
        "describe_vpc_peering_connections",
        "VpcPeeringConnections",
        "VpcPeeringConnectionId",
        "requester-vpc-info.vpc-id",
    ),
    ("describe_vpc_peering_connections", "VpcPeeringConnections", "VpcPeeringConnectionId", "accepter-vpc-info.vpc-id"),
)
OVER = ("deleted", "deleting", "rejected", "expired", "failed")


def named(holders: Iterable[str]) -> str:
    """The first blockers, and how many more there are; "" for none."""
    return joined(list(holders), max_names=3)


def foreign_interfaces(aws: Aws, observed: Observed, where: str) -> Iterator[str]:
    """Network interfaces in an owned resource, found by the filter `where`, that are not deleted with owned ones."""
    for raw in _foreign_interfaces(aws, observed, where, observed.id):
        yield _interface(raw)


def public_interfaces(aws: Aws, observed: Observed, vpc: str) -> Iterator[str]:
    """Network interfaces of other owners in the VPC that have a public address through the gateway."""
    for raw in _foreign_interfaces(aws, observed, "vpc-id", vpc):
        if raw.get("Association", {}).get("PublicIp"):
            yield _interface(raw)


def foreign_groups(aws: Aws, observed: Observed) -> Iterator[str]:
    """Security groups of other owners with a rule that names this group."""
    for where in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        filters = [{"Name": where, "Values": [observed.id]}]
        for raw in every(aws.ec2.describe_security_groups, "SecurityGroups", Filters=filters):
            if raw["GroupId"] != observed.id and not _is_ours(raw, observed):
                yield f"{raw['GroupId']} (security group {raw['GroupName']}, {_owner(raw)}, names it in a rule)"


def foreign_parts(aws: Aws, observed: Observed) -> Iterator[str]:
    """Resources of other owners in the VPC, except those that AWS deletes with it."""
    reported: set[str] = set()
    for call, key, identifier, where in PARTS_OF_VPC:
        filters = [{"Name": where, "Values": [observed.id]}]
        for raw in every(getattr(aws.ec2, call), key, Filters=filters):
            ours = _is_ours(raw, observed) or _comes_with_the_vpc(raw) or _is_over(raw)
            # A peering of the VPC with itself is found by both filters.
            if not ours and raw[identifier] not in reported:
                reported.add(raw[identifier])
                yield f"{raw[identifier]} ({_owner(raw)})"


def address_holder(aws: Aws, observed: Observed) -> str:
    """The resource of another owner that uses this public address."""
    for raw in every(aws.ec2.describe_addresses, "Addresses", AllocationIds=[observed.id]):
        if held := raw.get("NetworkInterfaceId"):
            for interface in _foreign_interfaces(aws, observed, "network-interface-id", held):
                return f"{raw['AssociationId']} with {_interface(interface)}"
    return ""


def first(holders: Iterable[str], *others: Iterable[str]) -> str:
    """The first non-empty group of blockers, described; later groups are not read."""
    return next((text for blockers in (holders, *others) if (text := named(blockers))), "")


def _foreign_interfaces(aws: Aws, observed: Observed, where: str, what: str) -> Iterator[dict[str, Any]]:
    filters = [{"Name": where, "Values": [what]}]
    found = list(every(aws.ec2.describe_network_interfaces, "NetworkInterfaces", Filters=filters))
    gateways = _of_our_gateways(aws, observed) if found else frozenset[str]()
    for raw in found:
        if raw["NetworkInterfaceId"] not in gateways and not _goes_with_ours(raw, _environment(observed)):
            yield raw


def _goes_with_ours(raw: Mapping[str, Any], environment: str) -> bool:
    description = raw.get("Description", "")
    owner = from_pairs(raw.get("TagSet")).get(ENVIRONMENT)
    if owner is not None:
        return owner == environment
    if raw.get("InterfaceType") == "lambda" or NEVER_OURS.match(description):
        return False
    if balancer := BALANCER.match(description):
        return balancer["name"].startswith(f"orderops-{environment}-")
    return bool(raw.get("RequesterManaged")) or AWS_OWN.match(description) is not None


def _of_our_gateways(aws: Aws, observed: Observed) -> frozenset[str]:
    """The interfaces of owned NAT gateways, including those that are being deleted."""
    gateways = every(aws.ec2.describe_nat_gateways, "NatGateways")
    ours = [raw for raw in gateways if _is_ours(raw, observed)]
    return frozenset(
        str(address.get("NetworkInterfaceId")) for raw in ours for address in raw.get("NatGatewayAddresses", ())
    )


def _interface(raw: Mapping[str, Any]) -> str:
    attached = raw.get("Attachment", {}).get("InstanceId")
    words = [
        raw.get("Description") or "network interface",
        f"at {attached}" if attached else "",
        _owner(raw),
    ]
    return f"{raw['NetworkInterfaceId']} ({', '.join(filter(None, words))})"


def _owner(raw: Mapping[str, Any]) -> str:
    """The owner, as far as tags and response say."""
    tags = from_pairs(raw.get("TagSet") or raw.get("Tags"))
    if ENVIRONMENT in tags:
        return f"of the environment {tags[ENVIRONMENT]}"
    name = f"named {tags['Name']}, " if tags.get("Name") else ""
    owner = raw.get("OwnerId") or raw.get("RequesterVpcInfo", {}).get("OwnerId")
    return f"{name}owner {owner}" if owner else f"{name}without owner"


def _is_ours(raw: Mapping[str, Any], observed: Observed) -> bool:
    return from_pairs(raw.get("Tags")).get(ENVIRONMENT) == _environment(observed)


def _comes_with_the_vpc(raw: Mapping[str, Any]) -> bool:
    main = any(association.get("Main") for association in raw.get("Associations") or ())
    return main or bool(raw.get("IsDefault")) or raw.get("GroupName") == "default"


def _is_over(raw: Mapping[str, Any]) -> bool:
    state = raw.get("State") or raw.get("Status", {}).get("Code", "")
    return str(state).lower() in OVER


def _environment(observed: Observed) -> str:
    return (observed.tags or {}).get(ENVIRONMENT, "")
