"""Elastic IP addresses."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.resources.ec2_address import Ec2Address
from support.contract import Up, keeps_its_promises, remove
from support.faults import Fault, PowerCut

ADDRESS = Ec2Address("orderops-dev-nat-a")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ADDRESS, aws, up)


def test_the_priority_is_kept_from_run_to_run(aws: Aws, up: Up) -> None:
    up(ADDRESS)
    before = _found(aws)[0]["PublicIp"]
    up(ADDRESS)

    assert [raw["PublicIp"] for raw in _found(aws)] == [before]


@pytest.mark.parametrize("call", range(3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(ADDRESS)

    up(ADDRESS)

    assert up(ADDRESS)[ADDRESS.address].action is Action.NO_OP
    assert len(_found(aws)) == 1


def test_a_lost_answer_makes_no_second_address(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ec2", "AllocateAddress"):
        assert up(ADDRESS)[ADDRESS.address].action is Action.CREATE

    assert len(_found(aws)) == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("InvalidIPAddress.InUse", "The address is in use."),
        ("AuthFailure", "You do not have permission to access the specified resource."),
    ],
)
def test_an_address_of_a_gateway_being_deleted_is_released_later(
    session: boto3.Session, aws: Aws, up: Up, code: str, text: str
) -> None:
    up(ADDRESS)
    refusals = iter(range(2))

    def held(parsed: Any, http_response: Any, **_: Any) -> None:
        if next(refusals, None) is not None:
            parsed["Error"] = {"Code": code, "Message": text}
            http_response.status_code = 400

    session.events.register("after-call.ec2.ReleaseAddress", held)
    remove(ADDRESS, Aws("ap-southeast-2", session=session))

    assert not _found(aws)


def _found(aws: Aws) -> list[Any]:
    addresses: list[Any] = aws.ec2.describe_addresses()["Addresses"]
    return addresses
