"""Target groups."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from support.contract import Up, keeps_its_promises
from support.declared_service import RULE, TARGETS
from support.faults import Fault, PowerCut


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(TARGETS, aws, up, health_path="/alive", deregistration_delay=60)


@pytest.mark.parametrize(
    ("by_hand", "key"),
    [
        ({"HealthCheckPath": "/"}, "HealthCheckPath"),
        ({"HealthCheckPort": "9999"}, "HealthCheckPort"),
        ({"HealthyThresholdCount": 9}, "HealthyThresholdCount"),
        ({"Matcher": {"HttpCode": "200-499"}}, "Matcher"),
    ],
)
def test_a_health_check_changed_by_hand_is_repaired(aws: Aws, up: Up, by_hand: dict[str, object], key: str) -> None:
    up(TARGETS)
    aws.elbv2.modify_target_group(TargetGroupArn=_arn(aws), **by_hand)

    step = up(TARGETS)[TARGETS.address]

    assert list(step.changes) == [key]
    assert step.changes[key][0] == by_hand[key]
    assert up(TARGETS)[TARGETS.address].action is Action.NO_OP


def test_the_group_stays_when_the_tasks_move_to_another_port(aws: Aws, up: Up) -> None:
    up(TARGETS)
    arn = _arn(aws)

    # ECS registers each task with its own port; a new group would start without healthy targets.
    assert up(replace(TARGETS, port=9090))[TARGETS.address].action is Action.NO_OP
    assert _arn(aws) == arn


def test_a_target_group_is_found_while_a_rule_uses_it(up: Up) -> None:
    up(RULE)

    assert up(RULE)[TARGETS.address].action is Action.NO_OP


@pytest.mark.parametrize("call", range(6))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("elbv2", after=call), pytest.raises(PowerCut):
        up(TARGETS)

    up(TARGETS)

    assert up(TARGETS)[TARGETS.address].action is Action.NO_OP
    assert len(aws.elbv2.describe_target_groups()["TargetGroups"]) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("elbv2", "CreateTargetGroup"):
        assert up(TARGETS)[TARGETS.address].action is Action.CREATE

    assert len(aws.elbv2.describe_target_groups()["TargetGroups"]) == 1


def _arn(aws: Aws) -> str:
    return str(aws.elbv2.describe_target_groups(Names=[TARGETS.name])["TargetGroups"][0]["TargetGroupArn"])
