"""RDS subnet groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("abc")
)
GROUP = RdsSubnetGroup("orderops-dev-db", SUBNETS[:2])


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    up(*SUBNETS)  # so that the plan knows their ids
    # the emulator drops a group that is changed, and the run makes it again: no such moment on AWS
    keeps_its_promises(GROUP, aws, up, subnets=SUBNETS)


def test_adding_a_subnet_is_a_change_in_place(up: Up, session: boto3.Session) -> None:
    changes: list[dict[str, Any]] = []
    session.events.register("provide-client-params.rds.ModifyDBSubnetGroup", lambda params, **_: changes.append(params))
    up(GROUP)

    step = up(RdsSubnetGroup(GROUP.name, SUBNETS))[GROUP.address]

    assert step.action is Action.UPDATE
    (sent,) = changes
    assert sent["DBSubnetGroupName"] == GROUP.name
    assert len(sent["SubnetIds"]) == 3


def test_a_subnet_that_rds_does_not_see_yet_is_waited_for(aws: Aws, up: Up, session: boto3.Session) -> None:
    answers = iter([SimpleNamespace(status_code=400)])
    unseen = {"Error": {"Code": "InvalidSubnet", "Message": "Some input subnets are invalid."}}
    session.events.register(
        "before-call.rds.CreateDBSubnetGroup", lambda **_: next(((answer, unseen) for answer in answers), None)
    )

    assert up(GROUP)[GROUP.address].action is Action.CREATE


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    up(*SUBNETS)
    with power_cut("rds", after=call), pytest.raises(PowerCut):
        up(GROUP)
        up(RdsSubnetGroup("orderops-dev-other", SUBNETS[:2]))

    up(GROUP)

    assert up(GROUP)[GROUP.address].action is Action.NO_OP
    names = [group["DBSubnetGroupName"] for group in aws.rds.describe_db_subnet_groups()["DBSubnetGroups"]]
    assert names.count(GROUP.name) == 1


def test_the_resource_is_read_again_after_a_lost_answer(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("rds", "CreateDBSubnetGroup"):
        assert up(GROUP)[GROUP.address].action is Action.CREATE


def test_a_group_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    up(*SUBNETS)
    subnets = [subnet["SubnetId"] for subnet in aws.ec2.describe_subnets()["Subnets"] if "Tags" in subnet]
    aws.rds.create_db_subnet_group(
        DBSubnetGroupName=GROUP.name, DBSubnetGroupDescription="by hand", SubnetIds=subnets[:2]
    )

    with pytest.raises(Unfinished, match="has no owner"):
        up(GROUP)
    up(GROUP, adopt=[GROUP.address])

    assert up(GROUP)[GROUP.address].action is Action.NO_OP
