"""Usage plans, and the keys that go with them."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigateway_usage_plan import KeyQuota
from orderops.resources.apigatewayv2_stage import RouteLimit
from support.contract import Up, keeps_its_promises, remove
from support.declared_rest_api import PLAN


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(PLAN, aws, up, limit=RouteLimit(7, 8), quota=KeyQuota(5, "day"))


def test_limits_and_quota_are_taken_away_and_put_back(aws: Aws, up: Up) -> None:
    bare = replace(PLAN, limit=None, quota=None)
    up(PLAN)

    assert set(up(bare)[PLAN.address].changes) == {"Throttle", "Quota"}
    [plan] = aws.apigateway.get_usage_plans()["items"]
    assert "throttle" not in plan
    assert "quota" not in plan
    assert up(bare)[PLAN.address].action is Action.NO_OP

    up(PLAN)
    [plan] = aws.apigateway.get_usage_plans()["items"]
    assert (plan["throttle"], plan["quota"]["period"]) == ({"rateLimit": 5.0, "burstLimit": 10}, "MONTH")


def test_a_stage_taken_out_by_hand_is_put_back(aws: Aws, up: Up) -> None:
    up(PLAN)
    [plan] = aws.apigateway.get_usage_plans()["items"]
    [stage] = plan["apiStages"]
    value = f"{stage['apiId']}:{stage['stage']}"
    aws.apigateway.update_usage_plan(
        usagePlanId=plan["id"], patchOperations=[{"op": "remove", "path": "/apiStages", "value": value}]
    )

    assert up(PLAN)[PLAN.address].changes == {"ApiStages": ([], [value])}


def test_a_plan_is_deleted_with_the_keys_of_its_environment_and_no_others(aws: Aws, up: Up) -> None:
    up(PLAN)
    for name, tags in (
        ("ours", {"orderops:environment": "dev"}),
        ("theirs", {"orderops:environment": "qa"}),
        ("x", {}),
    ):
        aws.apigateway.create_api_key(name=name, enabled=True, tags=tags)

    remove(PLAN, aws)

    assert sorted(key["name"] for key in aws.apigateway.get_api_keys()["items"]) == ["theirs", "x"]


def test_a_plan_holds_the_keys_of_its_environment(aws: Aws, up: Up) -> None:
    up(PLAN)
    [found] = type(PLAN).listing(aws, Ownership("dev"))
    assert type(PLAN).holds(aws, found) == ""

    for name, environment in (("a", "dev"), ("b", "dev"), ("c", "qa")):
        aws.apigateway.create_api_key(name=name, tags={"orderops:environment": environment})

    assert type(PLAN).holds(aws, found) == "2 API keys"
