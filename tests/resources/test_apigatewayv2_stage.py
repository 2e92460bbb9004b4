"""Stages of an HTTP API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigatewayv2_stage import Apigatewayv2Stage, RouteLimit
from support.contract import Up, keeps_its_promises
from support.declared_api import ACCESS, ORDER, STAGE
from support.fake_answers import AnsweredSession

LIMITED = replace(STAGE, limits={"GET /ready": RouteLimit(5, 10), "GET /orders/{id}": RouteLimit(20, 40)})


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(STAGE, aws, up, limit=RouteLimit(50, 60), limits={"GET /orders/{id}": RouteLimit(1, 2)})


def test_the_limit_of_one_route_is_taken_away_and_that_of_another_stays(aws: Aws, up: Up) -> None:
    up(LIMITED)

    up(replace(LIMITED, limits={"GET /ready": RouteLimit(5, 10)}))

    settings = _stage(aws)["RouteSettings"]
    assert set(settings) == {"GET /ready"}
    assert (settings["GET /ready"]["ThrottlingRateLimit"], settings["GET /ready"]["ThrottlingBurstLimit"]) == (5.0, 10)


def test_every_request_is_a_line_of_json_in_the_log_group(aws: Aws, up: Up) -> None:
    up(STAGE)

    logs = _stage(aws)["AccessLogSettings"]
    assert logs["DestinationArn"] == f"arn:aws:logs:ap-southeast-2:123456789012:log-group:{ACCESS.name}"
    line = json.loads(logs["Format"])
    assert line["requestId"] == "$context.requestId"
    assert {"ip", "routeKey", "status", "authorizer.error", "integrationErrorMessage"} <= line.keys()


def test_a_new_deployment_is_no_difference(aws: Aws, up: Up) -> None:
    up(STAGE)
    before = _stage(aws)["DeploymentId"]

    up(replace(ORDER, iam=True))

    assert _stage(aws)["DeploymentId"] != before
    assert up(STAGE)[STAGE.address].action is Action.NO_OP


def test_a_log_and_a_limit_taken_away_by_hand_are_set_again(aws: Aws, up: Up) -> None:
    up(LIMITED)
    where = {"ApiId": _api(aws), "StageName": "$default"}
    aws.apigatewayv2.delete_access_log_settings(**where)
    aws.apigatewayv2.delete_route_settings(**where, RouteKey="GET /orders/{id}")

    assert set(up(LIMITED)[STAGE.address].changes) == {"AccessLogSettings", "RouteSettings"}
    assert up(LIMITED)[STAGE.address].action is Action.NO_OP


def test_a_deployment_that_aws_could_not_make_is_a_difference() -> None:
    tags = {"orderops:environment": "dev"}
    stage = {"stageName": "$default", "lastDeploymentStatusMessage": "Failed to deploy: no integration", "tags": tags}
    apis = json.dumps({"items": [{"apiId": "a1", "name": "orderops-dev-api", "tags": tags}]})
    session = AnsweredSession((200, apis), (200, json.dumps({"items": [stage]})))

    [found] = Apigatewayv2Stage.listing(session.aws, Ownership("dev"))

    assert found.properties["LastDeployment"] == "Failed to deploy: no integration"
    assert found.name == STAGE.name


def _api(aws: Aws) -> str:
    return str(aws.apigatewayv2.get_apis()["Items"][0]["ApiId"])


def _stage(aws: Aws) -> dict[str, Any]:
    [stage] = aws.apigatewayv2.get_stages(ApiId=_api(aws))["Items"]
    return dict(stage)
