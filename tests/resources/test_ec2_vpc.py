"""VPCs."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.ec2_vpc import Ec2Vpc
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(VPC, aws, up)


def test_dns_is_enabled(aws: Aws, up: Up) -> None:
    up(VPC)

    assert _dns(aws) == {"EnableDnsSupport": True, "EnableDnsHostnames": True}


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(VPC)
    aws.ec2.modify_vpc_attribute(VpcId=_ids(aws)[0], EnableDnsSupport={"Value": False})
    aws.ec2.modify_vpc_attribute(VpcId=_ids(aws)[0], EnableDnsHostnames={"Value": False})

    changes = up(VPC)[VPC.address].changes

    assert changes == {"EnableDnsSupport": (False, True), "EnableDnsHostnames": (False, True)}
    assert _dns(aws) == {"EnableDnsSupport": True, "EnableDnsHostnames": True}


def test_the_addresses_are_immutable(up: Up) -> None:
    up(VPC)

    with pytest.raises(
        Unfinished, match=r"CidrBlock cannot be changed .*observed '10\.0\.0\.0/16', desired '10\.1\.0\.0/16'"
    ) as refusal:
        up(Ec2Vpc(VPC.name, "10.1.0.0/16"))

    assert "another environment" in refusal.value.hint
    assert "down --only" not in refusal.value.hint, "all other resources need it"


@pytest.mark.parametrize("call", range(6))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(VPC)

    up(VPC)

    assert up(VPC)[VPC.address].action is Action.NO_OP
    assert len(_ids(aws)) == 1


def test_a_lost_answer_makes_no_second_vpc(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ec2", "CreateVpc"):
        assert up(VPC)[VPC.address].action is Action.CREATE

    assert len(_ids(aws)) == 1


def test_a_resource_that_lost_its_tags_is_not_created_twice(aws: Aws, up: Up) -> None:
    up(VPC)
    aws.ec2.delete_tags(Resources=_ids(aws), Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match="has no owner"):
        up(VPC)
    assert up(VPC, adopt=[VPC.address])[VPC.address].action is Action.ADOPT

    assert up(VPC)[VPC.address].action is Action.NO_OP
    assert len(_ids(aws)) == 1


def test_a_resource_without_an_address_tag_is_still_owned(aws: Aws, up: Up) -> None:
    up(VPC)
    aws.ec2.delete_tags(Resources=_ids(aws), Tags=[{"Key": "orderops:address"}])

    assert up(VPC)[VPC.address].changes == {
        "Tags": ({"orderops:address": None}, {"orderops:address": "ec2-vpc/orderops-dev-vpc"})
    }
    assert len(_ids(aws)) == 1


def test_two_environments_have_separate_resources(aws: Aws, up: Up) -> None:
    up(VPC)
    up(Ec2Vpc("orderops-staging-vpc", VPC.cidr), environment="staging")

    assert len(_ids(aws)) == 2


def _ids(aws: Aws) -> list[str]:
    return [raw["VpcId"] for raw in aws.ec2.describe_vpcs()["Vpcs"] if not raw["IsDefault"]]


def _dns(aws: Aws) -> dict[str, bool]:
    names = {"EnableDnsSupport": "enableDnsSupport", "EnableDnsHostnames": "enableDnsHostnames"}
    return {
        key: aws.ec2.describe_vpc_attribute(VpcId=_ids(aws)[0], Attribute=name)[key]["Value"]
        for key, name in names.items()
    }
