"""Route tables."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Effect, Observed
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_route_table import Ec2RouteTable
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
A = Ec2Subnet("orderops-dev-public-a", VPC, "10.0.0.0/24", "ap-southeast-2a", public=True)
B = Ec2Subnet("orderops-dev-public-b", VPC, "10.0.1.0/24", "ap-southeast-2b", public=True)
INTERNET = Ec2InternetGateway("orderops-dev-internet", VPC)
TABLE = Ec2RouteTable("orderops-dev-public", VPC, (A, B), gateway=INTERNET)
NAT = Ec2NatGateway("orderops-dev-nat-a", A, Ec2Address("orderops-dev-nat-a"), INTERNET)
PRIVATE_SUBNET = Ec2Subnet("orderops-dev-private-a", VPC, "10.0.4.0/24", "ap-southeast-2a")
PRIVATE = Ec2RouteTable("orderops-dev-private-a", VPC, (PRIVATE_SUBNET,), nat=NAT)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(TABLE, aws, up, gateway=None)


def test_subnets_change_in_place(aws: Aws, up: Up) -> None:
    keeps_its_promises(TABLE, aws, up, subnets=(A,))


def test_isolated_subnets_have_a_table_without_internet_access(aws: Aws, up: Up) -> None:
    isolated = Ec2RouteTable("orderops-dev-isolated", VPC, (A,))
    up(isolated)

    assert _properties(aws, isolated)["Routes"] == {}
    assert _properties(aws, isolated)["Associations"] == [_subnet(aws, A)]
    assert up(isolated)[isolated.address].action is Action.NO_OP


def test_a_route_added_by_hand_is_shown_and_removed(aws: Aws, up: Up) -> None:
    up(TABLE)
    table, gateway = _id(aws, TABLE), _properties(aws, TABLE)["Routes"]["0.0.0.0/0"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="192.168.0.0/24", GatewayId=gateway)
    aws.ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)

    step = up(TABLE)[TABLE.address]

    wanted = {"0.0.0.0/0": gateway}
    assert step.changes == {"Routes": ({**wanted, "192.168.0.0/24": gateway, "::/0": gateway}, wanted)}
    assert step.effect is Effect.INTERRUPTS
    assert _properties(aws, TABLE)["Routes"] == wanted


def test_a_missing_route_is_created_again_safely(aws: Aws, up: Up) -> None:
    up(TABLE)
    aws.ec2.delete_route(RouteTableId=_id(aws, TABLE), DestinationCidrBlock="0.0.0.0/0")

    assert up(TABLE)[TABLE.address].effect is Effect.SAFE
    assert list(_properties(aws, TABLE)["Routes"]) == ["0.0.0.0/0"]


def test_a_blackhole_route_is_replaced_safely(session: boto3.Session, aws: Aws, up: Up) -> None:
    gone: list[str] = []
    replaced: list[Any] = []

    def blackhole(parsed: Any, **_: Any) -> None:
        for raw in parsed["RouteTables"]:
            for route in raw["Routes"]:
                if route.get("NatGatewayId") in gone and not replaced:
                    route.update(State="blackhole")

    session.events.register("after-call.ec2.DescribeRouteTables", blackhole)
    session.events.register("after-call.ec2.ReplaceRoute", lambda parsed, **_: replaced.append(parsed))
    up(PRIVATE)
    nat = _properties(aws, PRIVATE)["Routes"]["0.0.0.0/0"]
    gone.append(nat)

    step = up(PRIVATE)[PRIVATE.address]

    assert step.changes == {"Routes": ({"0.0.0.0/0": f"{nat} (blackhole)"}, {"0.0.0.0/0": nat})}
    assert step.effect is Effect.SAFE
    assert len(replaced) == 1


def test_the_route_to_the_internet_changes_in_place_and_interrupts(aws: Aws, up: Up) -> None:
    up(PRIVATE)
    other = replace(NAT, name="orderops-dev-nat-b", elastic_ip=Ec2Address("orderops-dev-nat-b"), subnet=B)

    step = up(replace(PRIVATE, nat=other))[PRIVATE.address]

    assert list(step.changes) == ["Routes"]
    assert step.effect is Effect.INTERRUPTS
    assert up(replace(PRIVATE, nat=other))[PRIVATE.address].action is Action.NO_OP


def test_routes_added_by_aws_are_no_drift(session: boto3.Session, up: Up) -> None:
    by_themselves = [
        {
            "DestinationPrefixListId": "pl-1",
            "GatewayId": "vpce-1",
            "Origin": "CreateRoute",
            "State": "active",
        },
        {
            "DestinationCidrBlock": "172.16.0.0/16",
            "GatewayId": "vgw-1",
            "Origin": "EnableVgwRoutePropagation",
            "State": "active",
        },
    ]

    def told(parsed: Any, **_: Any) -> None:
        for raw in parsed["RouteTables"]:
            raw["Routes"] += by_themselves

    session.events.register("after-call.ec2.DescribeRouteTables", told)
    up(TABLE)

    assert up(TABLE)[TABLE.address].action is Action.NO_OP


def test_a_subnet_moves_from_another_table_in_one_call(aws: Aws, up: Up) -> None:
    up(replace(TABLE, subnets=(A,)), B)
    stray = aws.ec2.create_route_table(VpcId=_properties(aws, TABLE)["VpcId"])["RouteTable"]["RouteTableId"]
    aws.ec2.associate_route_table(RouteTableId=stray, SubnetId=_subnet(aws, B))

    up(TABLE)

    assert _properties(aws, TABLE)["Associations"] == sorted([_subnet(aws, A), _subnet(aws, B)])
    assert not aws.ec2.describe_route_tables(RouteTableIds=[stray])["RouteTables"][0]["Associations"]


def test_a_table_of_all_zones_can_be_split(aws: Aws, up: Up) -> None:
    up(TABLE)
    first = replace(TABLE, subnets=(A,))
    second = replace(TABLE, name="orderops-dev-public-b", subnets=(B,))

    steps = up(first, second)

    assert steps[second.address].action is Action.CREATE
    assert {step.action for step in up(first, second).values()} == {Action.NO_OP}


@pytest.mark.parametrize("call", [*range(0, 24, 3), 24, 25, 26])
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(TABLE)

    up(TABLE)

    assert {step.action for step in up(TABLE).values()} == {Action.NO_OP}
    assert len(_all(aws)) == 1


@pytest.mark.parametrize("call", ["CreateRouteTable", "CreateRoute", "AssociateRouteTable"])
def test_a_lost_answer_makes_nothing_twice(aws: Aws, up: Up, lose_answer: Fault, call: str) -> None:
    with lose_answer("ec2", call):
        assert up(TABLE)[TABLE.address].action is Action.CREATE

    assert len(_all(aws)) == 1
    assert len(_properties(aws, TABLE)["Associations"]) == 2


def test_a_resource_that_lost_its_tags_is_not_created_twice(aws: Aws, up: Up) -> None:
    up(TABLE)
    mine = _id(aws, TABLE)
    aws.ec2.delete_tags(Resources=[mine], Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match=f"{mine} exists and has no owner"):
        up(TABLE)
    up(TABLE, adopt=[TABLE.address])

    assert up(TABLE)[TABLE.address].action is Action.NO_OP
    assert len(_all(aws)) == 1


def _properties(aws: Aws, table: Ec2RouteTable) -> Any:
    return _live(aws, table).properties


def _id(aws: Aws, table: Ec2RouteTable) -> str:
    return _live(aws, table).id


def _live(aws: Aws, table: Ec2RouteTable) -> Observed:
    (observed,) = Ec2RouteTable.listing(aws, Ownership("dev", table.address, table.name))
    return observed


def _subnet(aws: Aws, subnet: Ec2Subnet) -> str:
    (observed,) = Ec2Subnet.listing(aws, Ownership("dev", subnet.address, subnet.name))
    return observed.id


def _all(aws: Aws) -> list[Any]:
    """Every table that is not the main table of a VPC."""
    tables = aws.ec2.describe_route_tables()["RouteTables"]
    return [raw for raw in tables if not any(association["Main"] for association in raw["Associations"])]
