"""API keys: whose they are, and which of them open something."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.resources.apigateway_keys import api_keys, create_key, delete_key, plan_of
from support.contract import Up
from support.declared_rest_api import PLAN
from support.tag_keys import ADDRESS, ENVIRONMENT


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


@pytest.fixture
def plan(aws: Aws, up: Up) -> str:
    up(PLAN)
    found = plan_of(aws, "dev")
    assert found
    return found


def test_the_plan_is_that_of_the_environment(aws: Aws, plan: str) -> None:
    assert plan == aws.apigateway.get_usage_plans()["items"][0]["id"]
    assert plan_of(aws, "qa") is None


def test_a_key_is_of_its_environment_by_its_tags(aws: Aws, plan: str) -> None:
    id, value = create_key(aws, "dev", "shop", plan)

    [raw] = aws.apigateway.get_api_keys(includeValues=True)["items"]
    assert (raw["id"], raw["value"]) == (id, value)
    assert (raw["tags"][ENVIRONMENT], raw["tags"][ADDRESS]) == ("dev", "apigateway-api-key/shop")
    assert [key.name for key in api_keys(aws, "dev", plan)] == ["shop"]
    assert api_keys(aws, "qa", None) == []


def test_each_state_of_a_key_is_known(aws: Aws, plan: str) -> None:
    aws.apigateway.create_api_key(name="unfinished", enabled=True, tags={ENVIRONMENT: "dev"})
    create_key(aws, "dev", "active", plan)
    id, _ = create_key(aws, "dev", "disabled", plan)
    disabled = {"op": "replace", "path": "/enabled", "value": "false"}
    aws.apigateway.update_api_key(apiKey=id, patchOperations=[disabled])

    states = {key.name: key.state for key in api_keys(aws, "dev", plan)}

    assert states == {"active": "active", "disabled": "disabled", "unfinished": "unfinished"}


def test_a_key_that_is_gone_is_deleted_again_without_an_error(aws: Aws, plan: str) -> None:
    create_key(aws, "dev", "shop", plan)
    [key] = api_keys(aws, "dev", plan)

    for _ in range(2):
        delete_key(aws, key)

    assert api_keys(aws, "dev", plan) == []
