"""NAT gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
PUBLIC = Ec2Subnet("orderops-dev-public-a", VPC, "10.0.0.0/24", "ap-southeast-2a", public=True)
INTERNET = Ec2InternetGateway("orderops-dev-internet", VPC)
NAT = Ec2NatGateway("orderops-dev-nat-a", PUBLIC, Ec2Address("orderops-dev-nat-a"), INTERNET)

Told = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def _address_is_given_back(session: boto3.Session) -> None:
    """As AWS does when a NAT gateway is deleted; the emulator keeps it in use for ever."""

    def give_back(**_: Any) -> None:
        ec2 = boto3.client("ec2", region_name="ap-southeast-2")
        for address in ec2.describe_addresses()["Addresses"]:
            ec2.disassociate_address(AssociationId=address["AssociationId"])

    session.events.register("after-call.ec2.DeleteNatGateway", give_back)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(NAT, aws, up)


def test_a_nat_gateway_is_created_after_the_internet_gateway(aws: Aws, up: Up) -> None:
    up(NAT)

    assert INTERNET in set(NAT.needs())
    address = aws.ec2.describe_addresses()["Addresses"][0]
    assert [observed.properties["PublicIp"] for observed in Ec2NatGateway.listing(aws, Ownership("dev"))] == [
        address["PublicIp"]
    ]


def test_the_location_is_immutable(up: Up) -> None:
    up(NAT)
    other = replace(PUBLIC, name="orderops-dev-public-b", cidr="10.0.1.0/24")

    with pytest.raises(Unfinished, match="SubnetId cannot be changed"):
        up(replace(NAT, subnet=other))


@pytest.mark.parametrize("call", [*range(0, 20, 2), 20, 21])
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(NAT)

    up(NAT)

    assert {step.action for step in up(NAT).values()} == {Action.NO_OP}
    assert len(_standing(aws)) == 1
    assert len(aws.ec2.describe_addresses()["Addresses"]) == 1


def test_a_lost_answer_makes_no_second_gateway(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ec2", "CreateNatGateway"):
        assert up(NAT)[NAT.address].action is Action.CREATE

    assert len(_standing(aws)) == 1


def test_a_resource_that_lost_its_tags_is_not_created_twice(aws: Aws, up: Up) -> None:
    up(NAT)
    mine = _standing(aws)
    aws.ec2.delete_tags(Resources=mine, Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match=f"{mine[0]} exists and has no owner"):
        up(NAT)
    up(NAT, adopt=[NAT.address])

    assert up(NAT)[NAT.address].action is Action.NO_OP
    assert _standing(aws) == mine


def test_a_deleted_gateway_that_is_still_listed_is_created_again(aws: Aws, up: Up) -> None:
    up(NAT)
    gone = _standing(aws)
    aws.ec2.delete_nat_gateway(NatGatewayId=gone[0])

    assert up(NAT)[NAT.address].action is Action.CREATE
    assert _standing(aws) != gone
    assert len(aws.ec2.describe_nat_gateways()["NatGateways"]) == 2


def test_a_resource_being_created_is_waited_for(session: boto3.Session, up: Up) -> None:
    looks = iter(range(3))
    _tell(session, lambda raw: raw.update(State="available" if next(looks, None) is None else "pending"))

    assert up(NAT)[NAT.address].action is Action.CREATE
    assert next(looks, None) is None


def test_a_failed_gateway_reports_its_reason(session: boto3.Session, up: Up) -> None:
    why = f"Network {VPC.name} has no Internet gateway attached"
    _tell(session, lambda raw: raw.update(State="failed", FailureMessage=why))

    with pytest.raises(Unfinished, match=f"is failed: {why}") as refusal:
        up(NAT)

    assert f"orderops down --only {NAT.address} --env dev" in refusal.value.hint


def test_a_failed_gateway_is_ignored_once_it_is_replaced(session: boto3.Session, up: Up) -> None:
    def beside(parsed: Any, **_: Any) -> None:
        parsed["NatGateways"] += [{**raw, "NatGatewayId": "nat-0", "State": "failed"} for raw in parsed["NatGateways"]]

    up(NAT)
    session.events.register("after-call.ec2.DescribeNatGateways", beside)
    fresh = Aws("ap-southeast-2", session=session)

    assert [observed.state for observed in Ec2NatGateway.listing(fresh, Ownership("dev"))] == [State.READY]


def test_a_resource_of_another_environment_is_not_listed(aws: Aws, up: Up) -> None:
    up(NAT)

    assert not list(Ec2NatGateway.listing(aws, Ownership("staging")))
    assert not list(Ec2NatGateway.listing(aws, Ownership("dev", "ec2-nat-gateway/orderops-dev-nat-b")))


def _tell(session: boto3.Session, change: Told) -> None:
    """Change what AWS tells of each NAT gateway."""

    def told(parsed: Any, **_: Any) -> None:
        for raw in parsed["NatGateways"]:
            change(raw)

    session.events.register("after-call.ec2.DescribeNatGateways", told)


def _standing(aws: Aws) -> list[str]:
    raws = aws.ec2.describe_nat_gateways(Filter=[{"Name": "state", "Values": ["available"]}])["NatGateways"]
    return [raw["NatGatewayId"] for raw in raws]
