"""How a service with a second target group is declared and read back."""

from __future__ import annotations

import pytest

from orderops.engine.resource import Observed, Outputs
from orderops.frozen import replace
from orderops.resources.ecs_strategy import (
    SecondGroup,
    balanced,
    given_balancer,
    in_order,
    observed_balancer,
    observed_configuration,
    shift_duration,
)
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.iam_role import IamRole
from support.declared_service import RULE, TARGETS, VPC

ALTERNATE = Elbv2TargetGroup("orderops-dev-shop-alt", VPC, 8080)
PAIR = replace(RULE, alternate=ALTERNATE)
TEST_RULE = Elbv2Rule("orderops-dev-shop-candidate", RULE.listener, TARGETS, 99, alternate=ALTERNATE)
ROLE = IamRole("orderops-dev-shop-traffic", "ecs.amazonaws.com")
SECOND = SecondGroup(ROLE, TEST_RULE, bake_seconds=90)
ARN = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:targetgroup/{}/1"


@pytest.fixture
def outputs() -> Outputs:
    found = Outputs("ap-southeast-2", "123456789012")
    for group in (TARGETS, ALTERNATE):
        found[group] = Observed(group.name, {}, arn=ARN.format(group.name), name=group.name)
    for rule in (PAIR, TEST_RULE):
        found[rule] = Observed(rule.name, {}, arn=f"arn:{rule.name}", name=rule.name)
    found[ROLE] = Observed(ROLE.name, {}, arn=f"arn:{ROLE.name}", name=ROLE.name)
    return found


def test_the_bake_is_a_pause_that_completes_and_the_test_one_that_returns() -> None:
    configuration = SECOND.configuration()

    hooks = {hook["lifecycleStages"][0]: hook for hook in configuration["lifecycleHooks"]}
    assert {stage: hook["targetType"] for stage, hook in hooks.items()} == {
        "POST_TEST_TRAFFIC_SHIFT": "PAUSE",
        "POST_PRODUCTION_TRAFFIC_SHIFT": "PAUSE",
    }
    # 90 s are two minutes, and five more for a run that watches to its end.
    assert hooks["POST_PRODUCTION_TRAFFIC_SHIFT"]["timeoutConfiguration"] == {
        "timeoutInMinutes": 7,
        "action": "CONTINUE",
    }
    assert hooks["POST_TEST_TRAFFIC_SHIFT"]["timeoutConfiguration"] == {"timeoutInMinutes": 30, "action": "ROLLBACK"}
    assert (configuration["strategy"], configuration["bakeTimeInMinutes"]) == ("BLUE_GREEN", 0)


def test_a_canary_names_its_share() -> None:
    canary = replace(SECOND, canary_percent=10, canary_minutes=5)

    assert canary.configuration()["strategy"] == "CANARY"
    assert canary.configuration()["canaryConfiguration"] == {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5}


@pytest.mark.parametrize("second", [SECOND, replace(SECOND, canary_percent=10, canary_minutes=5)])
def test_what_is_sent_is_read_back_as_no_difference(second: SecondGroup) -> None:
    sent = second.configuration()
    # What ECS adds, and the order in which it returns the pauses.
    returned = {
        "maximumPercent": 200,
        **sent,
        "lifecycleHooks": [{**hook, "hookDetails": None} for hook in reversed(sent["lifecycleHooks"])],
    }

    assert observed_configuration(returned) == sent


def test_the_share_of_a_canary_that_was_declared_once_is_no_difference_later() -> None:
    kept = {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5}

    assert observed_configuration({**SECOND.configuration(), "canaryConfiguration": kept}) == SECOND.configuration()


def test_a_service_made_before_strategies_existed_is_rolling() -> None:
    assert observed_configuration({}) == {"strategy": "ROLLING", "lifecycleHooks": []}


@pytest.mark.parametrize("live", ["orderops-dev-shop", "orderops-dev-shop-alt"])
def test_which_group_ecs_names_first_is_no_difference(outputs: Outputs, live: str) -> None:
    desired = balanced(PAIR, SECOND, "shop", 8080, outputs)
    idle = next(name for name in (TARGETS.name, ALTERNATE.name) if name != live)
    sent = given_balancer(desired)
    returned = {
        **sent,
        "targetGroupArn": ARN.format(live),
        "advancedConfiguration": {**sent["advancedConfiguration"], "alternateTargetGroupArn": ARN.format(idle)},
    }

    assert in_order(observed_balancer(returned), TARGETS) == desired


def test_the_declared_group_is_sent_as_the_first(outputs: Outputs) -> None:
    sent = given_balancer(balanced(PAIR, SECOND, "shop", 8080, outputs))

    assert sent["targetGroupArn"] == ARN.format("orderops-dev-shop")
    assert sent["advancedConfiguration"]["alternateTargetGroupArn"] == ARN.format("orderops-dev-shop-alt")
    assert sent["advancedConfiguration"]["testListenerRule"] == "arn:orderops-dev-shop-candidate"


def test_with_one_group_nothing_of_a_second_is_sent(outputs: Outputs) -> None:
    assert given_balancer(balanced(RULE, None, "shop", 8080, outputs)) == {
        "targetGroupArn": ARN.format("orderops-dev-shop"),
        "containerName": "shop",
        "containerPort": 8080,
    }


def test_a_restart_waits_for_the_share_of_a_canary() -> None:
    configuration = {"canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5}}

    assert shift_duration({"deploymentConfiguration": configuration}).total_seconds() == 300
    assert shift_duration({"deploymentConfiguration": None}).total_seconds() == 0
