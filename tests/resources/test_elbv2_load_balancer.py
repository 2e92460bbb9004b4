"""Application load balancers."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import needed_kinds
from orderops.engine.resource import Effect, State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from support.contract import Up, keeps_its_promises
from support.declared_service import BALANCER, BUCKET, SUBNETS, VPC
from support.faults import Fault, PowerCut

LOGGED = replace(BALANCER, access_logs=BUCKET)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(BALANCER, aws, up, idle_timeout=120)


def test_a_load_balancer_is_created_after_the_gateway_and_deleted_before_it() -> None:
    gateway = Ec2InternetGateway("orderops-dev-internet", VPC)

    assert gateway in replace(BALANCER, gateway=gateway).needs()
    assert Ec2InternetGateway in needed_kinds(Elbv2LoadBalancer)


def test_attributes_read_back_equal_those_requested(aws: Aws, up: Up) -> None:
    up(replace(LOGGED, deletion_protection=True))

    assert _attributes(aws) >= {
        ("deletion_protection.enabled", "true"),
        ("routing.http.drop_invalid_header_fields.enabled", "true"),
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", BUCKET.name),
    }


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(BALANCER)
    _modify(aws, "idle_timeout.timeout_seconds", "5")

    assert up(BALANCER)[BALANCER.address].changes == {"idle_timeout.timeout_seconds": ("5", "60")}


def test_logs_switched_off_by_hand_are_switched_on_again(aws: Aws, up: Up) -> None:
    up(LOGGED)
    _modify(aws, "access_logs.s3.enabled", "false")

    up(LOGGED)

    assert ("access_logs.s3.enabled", "true") in _attributes(aws)
    assert up(LOGGED)[BALANCER.address].action is Action.NO_OP


def test_disabled_logs_with_the_bucket_name_kept_by_aws_are_no_drift(aws: Aws, up: Up) -> None:
    up(LOGGED)

    assert up(BALANCER)[BALANCER.address].action is Action.UPDATE

    assert {("access_logs.s3.enabled", "false"), ("access_logs.s3.bucket", BUCKET.name)} <= _attributes(aws)
    assert up(BALANCER)[BALANCER.address].action is Action.NO_OP


def test_other_subnets_and_groups_interrupt(aws: Aws, up: Up) -> None:
    up(BALANCER)
    third = Ec2Subnet("orderops-dev-public-c", VPC, "10.0.2.0/24", "ap-southeast-2c")
    group = Ec2SecurityGroup("orderops-dev-other", VPC, "another")
    other = replace(BALANCER, subnets=(*SUBNETS[:1], third), security_groups=(group,))

    step = up(other)[BALANCER.address]

    assert set(step.changes) == {"Subnets", "SecurityGroups"}
    assert step.effect is Effect.INTERRUPTS
    assert up(other)[BALANCER.address].action is Action.NO_OP


def test_the_scheme_of_a_load_balancer_is_immutable(aws: Aws, up: Up) -> None:
    up(*SUBNETS)
    subnets = [raw["SubnetId"] for raw in aws.ec2.describe_subnets(Filters=Ownership("dev").filters)["Subnets"]]
    tags = [{"Key": "orderops:environment", "Value": "dev"}]
    aws.elbv2.create_load_balancer(Name=BALANCER.name, Subnets=subnets, Scheme="internal", Tags=tags)

    with pytest.raises(Unfinished, match="Scheme cannot be changed"):
        up(BALANCER)


def test_a_protected_instance_can_be_deleted(aws: Aws, up: Up) -> None:
    keeps_its_promises(replace(BALANCER, deletion_protection=True), aws, up)


def test_an_instance_that_aws_is_creating_is_waited_for(session: boto3.Session, aws: Aws, up: Up) -> None:
    states = ["provisioning"] * 2

    def slow(parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("LoadBalancers") and states:
            parsed["LoadBalancers"][0]["State"] = {"Code": states.pop()}

    session.events.register("after-call.elastic-load-balancing-v2.DescribeLoadBalancers", slow)

    up(BALANCER)

    assert states == []
    assert up(BALANCER)[BALANCER.address].action is Action.NO_OP


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("provisioning", State.PENDING),
        ("active", State.READY),
        ("active_impaired", State.READY),
        ("failed", State.FAILED),
    ],
)
def test_states_are_read_from_aws(session: boto3.Session, aws: Aws, up: Up, word: str, state: State) -> None:
    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("LoadBalancers", ()):
            raw["State"] = {"Code": word, "Reason": "a reason"}

    up(BALANCER)
    session.events.register("after-call.elastic-load-balancing-v2.DescribeLoadBalancers", told)
    again = Aws("ap-southeast-2", session=session)

    (observed,) = type(BALANCER).listing(again, Ownership("dev"))

    assert (observed.state, observed.status) == (state, f"{word} a reason")


def test_other_roles_of_the_account_are_not_listed(aws: Aws, up: Up) -> None:
    up(BALANCER)
    subnets = [raw["SubnetId"] for raw in aws.ec2.describe_subnets(Filters=Ownership("dev").filters)["Subnets"]]
    aws.elbv2.create_load_balancer(Name="somebody", Subnets=subnets)

    assert [observed.name for observed in type(BALANCER).listing(aws, Ownership("dev"))] == [BALANCER.name]


@pytest.mark.parametrize("call", range(0, 10, 2))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("elbv2", after=call), pytest.raises(PowerCut):
        up(LOGGED)

    up(LOGGED)

    assert up(LOGGED)[BALANCER.address].action is Action.NO_OP
    assert len(aws.elbv2.describe_load_balancers()["LoadBalancers"]) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("elbv2", "CreateLoadBalancer"):
        assert up(BALANCER)[BALANCER.address].action is Action.CREATE

    assert len(aws.elbv2.describe_load_balancers()["LoadBalancers"]) == 1


def _arn(aws: Aws) -> str:
    return str(aws.elbv2.describe_load_balancers(Names=[BALANCER.name])["LoadBalancers"][0]["LoadBalancerArn"])


def _attributes(aws: Aws) -> set[tuple[str, str]]:
    told = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=_arn(aws))["Attributes"]
    return {(pair["Key"], pair["Value"]) for pair in told}


def _modify(aws: Aws, key: str, value: str) -> None:
    aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=_arn(aws), Attributes=[{"Key": key, "Value": value}])
