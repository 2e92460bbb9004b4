"""Subnets."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
SUBNET = Ec2Subnet("orderops-dev-public-a", VPC, "10.0.0.0/24", "ap-southeast-2a", public=True)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(SUBNET, aws, up, public=False)


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(SUBNET)
    aws.ec2.modify_subnet_attribute(SubnetId=_found(aws)[0]["SubnetId"], MapPublicIpOnLaunch={"Value": False})

    assert up(SUBNET)[SUBNET.address].changes == {"MapPublicIpOnLaunch": (False, True)}
    assert _found(aws)[0]["MapPublicIpOnLaunch"] is True


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("CidrBlock", replace(SUBNET, cidr="10.0.7.0/24")),
        ("AvailabilityZone", replace(SUBNET, zone="ap-southeast-2b")),
        ("VpcId", replace(SUBNET, vpc=Ec2Vpc("orderops-dev-other", "10.0.0.0/16"))),
    ],
    ids=["addresses", "zone", "vpc"],
)
def test_the_location_is_immutable(up: Up, key: str, other: Ec2Subnet) -> None:
    up(SUBNET)

    with pytest.raises(Unfinished, match=f"{key} cannot be changed"):
        up(other)


@pytest.mark.parametrize("call", range(10))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(SUBNET)

    up(SUBNET)

    assert up(SUBNET)[SUBNET.address].action is Action.NO_OP
    assert len(_found(aws)) == 1


def test_a_lost_answer_makes_no_second_subnet(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ec2", "CreateSubnet"):
        assert up(SUBNET)[SUBNET.address].action is Action.CREATE

    assert len(_found(aws)) == 1


def test_a_resource_that_lost_its_tags_is_not_created_twice(aws: Aws, up: Up) -> None:
    up(SUBNET)
    mine = [_found(aws)[0]["SubnetId"]]
    aws.ec2.delete_tags(Resources=mine, Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    assert up(SUBNET, dry_run=True)[SUBNET.address].action is Action.ADOPT
    with pytest.raises(Unfinished, match="has no owner"):
        up(SUBNET)
    up(SUBNET, adopt=[SUBNET.address])

    assert up(SUBNET)[SUBNET.address].action is Action.NO_OP
    assert [raw["SubnetId"] for raw in _found(aws)] == mine


def test_addresses_of_another_environment_are_an_error(aws: Aws, up: Up) -> None:
    up(SUBNET)
    tags = [{"Key": "orderops:environment", "Value": "prod"}]
    aws.ec2.create_tags(Resources=[_found(aws)[0]["SubnetId"]], Tags=tags)

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(SUBNET)


def test_a_resource_being_created_is_waited_for(session: boto3.Session, aws: Aws, up: Up) -> None:
    states = iter(["pending", "pending"])

    def slowly(parsed: Any, **_: Any) -> None:
        for raw in parsed["Subnets"]:
            raw["State"] = next(states, "available")

    session.events.register("after-call.ec2.DescribeSubnets", slowly)

    assert up(SUBNET)[SUBNET.address].action is Action.CREATE
    assert next(states, "none") == "none"
    assert _found(aws)[0]["MapPublicIpOnLaunch"] is True


def _found(aws: Aws) -> list[Any]:
    subnets: list[Any] = aws.ec2.describe_subnets()["Subnets"]
    return [raw for raw in subnets if not raw["DefaultForAz"]]
