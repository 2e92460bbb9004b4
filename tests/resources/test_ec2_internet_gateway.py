"""Internet gateways."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Effect
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
GATEWAY = Ec2InternetGateway("orderops-dev-internet", VPC)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(GATEWAY, aws, up)


def test_the_gateway_is_attached_to_its_vpc(aws: Aws, up: Up) -> None:
    up(GATEWAY)

    assert [attachment["VpcId"] for attachment in _found(aws)[0]["Attachments"]] == [_vpc(aws, VPC)]


def test_a_detached_gateway_is_attached_again(aws: Aws, up: Up) -> None:
    up(GATEWAY)
    aws.ec2.detach_internet_gateway(InternetGatewayId=_found(aws)[0]["InternetGatewayId"], VpcId=_vpc(aws, VPC))

    step = up(GATEWAY)[GATEWAY.address]

    assert step.changes == {"VpcId": (None, _vpc(aws, VPC))}
    assert step.effect is Effect.SAFE
    assert up(GATEWAY)[GATEWAY.address].action is Action.NO_OP


def test_attaching_a_gateway_to_another_vpc_interrupts(aws: Aws, up: Up) -> None:
    up(GATEWAY)
    other = Ec2Vpc("orderops-dev-other", "10.1.0.0/16")

    step = up(Ec2InternetGateway(GATEWAY.name, other))[GATEWAY.address]

    assert step.effect is Effect.INTERRUPTS
    assert [attachment["VpcId"] for attachment in _found(aws)[0]["Attachments"]] == [_vpc(aws, other)]


@pytest.mark.parametrize("call", range(11))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(GATEWAY)

    up(GATEWAY)

    assert up(GATEWAY)[GATEWAY.address].action is Action.NO_OP
    assert len(_found(aws)) == 1


@pytest.mark.parametrize("call", ["CreateInternetGateway", "AttachInternetGateway"])
def test_a_lost_answer_makes_no_second_gateway(aws: Aws, up: Up, lose_answer: Fault, call: str) -> None:
    with lose_answer("ec2", call):
        assert up(GATEWAY)[GATEWAY.address].action is Action.CREATE

    assert len(_found(aws)) == 1


def test_a_resource_that_lost_its_tags_is_not_created_twice(aws: Aws, up: Up) -> None:
    up(GATEWAY)
    mine = _found(aws)[0]["InternetGatewayId"]
    aws.ec2.delete_tags(Resources=[mine], Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match=f"{mine} exists and has no owner"):
        up(GATEWAY)
    up(GATEWAY, adopt=[GATEWAY.address])

    assert up(GATEWAY)[GATEWAY.address].action is Action.NO_OP
    assert len(_found(aws)) == 1


def _found(aws: Aws) -> list[Any]:
    gateways: list[Any] = aws.ec2.describe_internet_gateways()["InternetGateways"]
    return gateways


def _vpc(aws: Aws, vpc: Ec2Vpc) -> str:
    raw = aws.ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [vpc.name]}])["Vpcs"]
    return str(raw[0]["VpcId"])
