"""Stages of a REST API: what callers reach, at which limits, and what is logged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigateway_definition import RestRoute
from orderops.resources.apigatewayv2_stage import RouteLimit
from support.contract import Up, keeps_its_promises
from support.declared_api import ACCESS
from support.declared_rest_api import ORDER, READY, REST_API, REST_STAGE

LIMITED = replace(REST_STAGE, limits={"GET /orders/{id}": RouteLimit(5, 10), "POST /orders": RouteLimit(20, 40)})


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(REST_STAGE, aws, up, limit=RouteLimit(50, 60), limits={"GET /ready": RouteLimit(1, 2)})


def test_a_changed_api_reaches_callers_in_the_same_run_and_the_plan_says_so(aws: Aws, up: Up) -> None:
    up(REST_STAGE)
    before = _deployed(aws)
    other = replace(REST_API, routes=(READY, replace(ORDER, needs_key=False)))
    stage = replace(REST_STAGE, api=other)

    planned = up(stage, dry_run=True)
    done = up(stage)

    assert "Deployment" in planned[stage.address].changes
    assert planned[stage.address].changes == done[stage.address].changes
    assert _deployed(aws) != before
    assert up(stage)[stage.address].action is Action.NO_OP


def test_a_run_that_ended_between_import_and_deployment_is_completed_by_the_next(aws: Aws, up: Up) -> None:
    up(REST_STAGE)
    other = replace(REST_API, routes=(READY,))
    up(other)

    changes = up(replace(REST_STAGE, api=other))[REST_STAGE.address].changes

    assert set(changes) == {"Deployment"}


def test_ten_deployments_are_kept_and_the_current_one_is_among_them(aws: Aws, up: Up) -> None:
    for number in range(13):
        up(replace(REST_STAGE, api=replace(REST_API, routes=(READY, RestRoute(f"GET /{number}")))))

    api = _api(aws)
    ids = [one["id"] for one in aws.apigateway.get_deployments(restApiId=api, limit=50)["items"]]
    assert len(ids) == 10
    assert _deployed(aws) in ids


def test_the_limit_of_one_route_is_taken_away_and_that_of_another_stays(aws: Aws, up: Up) -> None:
    up(LIMITED)

    up(replace(LIMITED, limits={"POST /orders": RouteLimit(20, 40)}))

    settings = {
        key: (one["throttlingRateLimit"], one["throttlingBurstLimit"])
        for key, one in _stage(aws)["methodSettings"].items()
    }
    assert settings == {"*/*": (100.0, 200), "orders/POST": (20.0, 40)}


def test_a_route_of_the_root_has_a_limit_of_its_own(aws: Aws, up: Up) -> None:
    api = replace(REST_API, routes=(RestRoute("GET /"),))
    stage = replace(REST_STAGE, api=api, limits={"GET /": RouteLimit(1, 2)})

    up(stage)

    assert up(stage)[stage.address].action is Action.NO_OP
    assert _stage(aws)["methodSettings"]["/GET"]["throttlingRateLimit"] == 1.0


def test_every_request_is_a_line_of_json_in_the_log_group(aws: Aws, up: Up) -> None:
    up(REST_STAGE)

    logs = _stage(aws)["accessLogSettings"]
    assert logs["destinationArn"] == f"arn:aws:logs:ap-southeast-2:123456789012:log-group:{ACCESS.name}"
    line = json.loads(logs["format"])
    assert line["requestId"] == "$context.requestId"
    assert line["routeKey"] == "$context.httpMethod $context.resourcePath"


def test_the_log_role_of_the_account_is_left_as_it_is(aws: Aws, up: Up) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = aws.iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
    aws.apigateway.update_account(patchOperations=[patch])

    assert up(REST_STAGE)["apigateway-account/log-role"].action is Action.NO_OP
    assert aws.apigateway.get_account()["cloudwatchRoleArn"] == arn


def _api(aws: Aws) -> str:
    return str(aws.apigateway.get_rest_apis()["items"][0]["id"])


def _stage(aws: Aws) -> dict[str, Any]:
    [stage] = aws.apigateway.get_stages(restApiId=_api(aws))["item"]
    return dict(stage)


def _deployed(aws: Aws) -> str:
    return str(_stage(aws)["deploymentId"])
