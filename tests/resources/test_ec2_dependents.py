"""Blockers of parts of a network, recognised by the description of a network interface."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import to_pairs
from orderops.engine.resource import Observed
from orderops.resources.ec2_dependents import (
    address_holder,
    foreign_groups,
    foreign_interfaces,
    foreign_parts,
    named,
    public_interfaces,
)
from support.tag_keys import ENVIRONMENT

OURS = {ENVIRONMENT: "dev"}
SUBNET = {"CidrBlock": "10.0.0.0/24"}

# what an interface says, and whether somebody else is to be named for it
INTERFACES = {
    "a function's": ("AWS Lambda VPC ENI-report", {}, True),
    "a virtual machine's": ("", {}, True),
    "an endpoint's": ("VPC Endpoint Interface vpce-1", {}, True),
    "a file system's": ("EFS mount target for fs-1", {}, True),
    "another balancer's": ("ELB app/reports/1", {}, True),
    "another environment's": ("", {ENVIRONMENT: "prod"}, True),
    "ours": ("", OURS, False),
    "our balancer's": ("ELB app/orderops-dev-balancer/1", {}, False),
    "a task's": ("arn:aws:ecs:ap-southeast-2:123456789012:attachment/1", {}, False),
    "a database's": ("RDSNetworkInterface", {}, False),
    "a gateway's": ("Interface for NAT Gateway nat-1", {}, False),
}


@pytest.fixture
def vpc(aws: Aws) -> Observed:
    return Observed(aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"], tags=OURS)


@pytest.fixture
def subnet(aws: Aws, vpc: Observed) -> Observed:
    return Observed(aws.ec2.create_subnet(VpcId=vpc.id, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"], tags=OURS)


def interface(aws: Aws, subnet: Observed, description: str = "", tags: dict[str, str] | None = None) -> str:
    given: dict[str, Any] = {"Description": description} if description else {}
    if tags:
        given["TagSpecifications"] = [{"ResourceType": "network-interface", "Tags": to_pairs(tags)}]
    made = aws.ec2.create_network_interface(SubnetId=subnet.id, **given)
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


@pytest.mark.parametrize(("description", "tags", "foreign"), INTERFACES.values(), ids=INTERFACES)
def test_an_interface_is_named_unless_it_is_deleted_with_an_owned_resource(
    aws: Aws, subnet: Observed, description: str, tags: dict[str, str], foreign: bool
) -> None:
    made = interface(aws, subnet, description, tags)

    told = list(foreign_interfaces(aws, subnet, "subnet-id"))

    assert [each.startswith(f"{made} ({description or 'network interface'}, ") for each in told] == [True] * foreign


def test_the_interface_of_an_owned_nat_gateway_is_no_blocker(aws: Aws, subnet: Observed) -> None:
    address = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    tagged = [{"ResourceType": "natgateway", "Tags": to_pairs(OURS)}]
    aws.ec2.create_nat_gateway(SubnetId=subnet.id, AllocationId=address, TagSpecifications=tagged)

    assert list(foreign_interfaces(aws, subnet, "subnet-id")) == []
    assert address_holder(aws, Observed(address, tags=OURS)) == ""


def test_an_address_in_use_is_reported_with_its_user(aws: Aws, subnet: Observed, vpc: Observed) -> None:
    theirs = interface(aws, subnet, "AWS Lambda VPC ENI-report")
    address = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = aws.ec2.associate_address(AllocationId=address, NetworkInterfaceId=theirs)["AssociationId"]

    words = f"{theirs} (AWS Lambda VPC ENI-report, owner 123456789012)"
    assert address_holder(aws, Observed(address, tags=OURS)) == f"{association} with {words}"
    assert list(public_interfaces(aws, vpc, vpc.id)) == [words]


def test_a_group_is_blocked_by_foreign_rules_only(aws: Aws, vpc: Observed) -> None:
    def group(name: str, tags: dict[str, str] | None = None) -> str:
        given = {"TagSpecifications": [{"ResourceType": "security-group", "Tags": to_pairs(tags)}]} if tags else {}
        return str(aws.ec2.create_security_group(GroupName=name, Description="-", VpcId=vpc.id, **given)["GroupId"])

    held, ours, theirs = group("held", OURS), group("ours", OURS), group("theirs")
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": held}]}
    for each in (ours, theirs):
        aws.ec2.authorize_security_group_ingress(GroupId=each, IpPermissions=[rule])

    told = list(foreign_groups(aws, Observed(held, tags=OURS)))

    assert told == [f"{theirs} (security group theirs, owner 123456789012, names it in a rule)"]


def test_default_parts_of_a_vpc_do_not_block_it_and_a_peering_does(aws: Aws, vpc: Observed) -> None:
    assert list(foreign_parts(aws, vpc)) == []
    other = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    peering = aws.ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=vpc.id)["VpcPeeringConnection"]

    (told,) = foreign_parts(aws, vpc)

    assert told.startswith(f"{peering['VpcPeeringConnectionId']} (")


def test_more_than_three_blockers_are_counted() -> None:
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert named([]) == ""
