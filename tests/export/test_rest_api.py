"""What a REST API becomes where the account differs from what the emulator makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orderops.engine.resource import Observed, Resource
from orderops.export.kinds import KINDS
from orderops.export.part import Found, Part, References
from orderops.export.rest_api import with_keys
from orderops.frozen import replace
from orderops.resources.apigateway_keys import ApiKey
from support.declared_rest_api import PLAN, REST_API, REST_STAGE

LIMITS = {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 10}
STAGE = Observed(
    "a1/live",
    {
        "ApiId": "a1",
        "DeploymentId": "d1",
        "Deployment": "5c0ffee",
        "MethodSettings": {"orders/{id}/GET": LIMITS},
        "MethodPaths": {"orders/{id}/GET": "~1orders~1{id}/GET"},
        "AccessLogSettings": {"destinationArn": None, "format": None},
    },
)
API = Observed(
    "a1",
    {
        "Name": "orderops-dev-api",
        "DisableExecuteApiEndpoint": False,
        "Version": "1",
        "Integration": {"connectionId": "l1", "integrationTarget": "arn", "timeoutInMillis": 1, "uri": "http://b:80"},
        "Routes": {"POST /orders": "NONE apiKeyRequired Order"},
    },
)
USED = Observed("p1", {"Name": "orderops-dev-api", "ApiStages": ["a1:live"], "Throttle": None, "Quota": None})
KEY = ApiKey("shop", "k1", datetime(2026, 1, 1, tzinfo=UTC), enabled=True, in_plan=True, tags={})


def parts(resource: Resource, observed: Observed) -> list[Part]:
    found = Found(resource, observed, "ap-southeast-2", "123456789012", References())
    return list(KINDS[resource.kind](found))


def body_of(routes: dict[str, str], **integration: Any) -> dict[str, Any]:
    properties = {**API.properties, "Routes": routes, **integration}
    (part,) = parts(REST_API, replace(API, properties=properties))
    document: dict[str, Any] = part.body["body"].value
    return document


def test_the_path_of_a_limit_is_the_one_that_aws_answers_with() -> None:
    limit = parts(REST_STAGE, STAGE)[-1]

    assert limit.body["method_path"] == "~1orders~1{id}/GET"
    assert limit.import_id == "a1/live/~1orders~1{id}/GET"


def test_a_stage_without_an_access_log_has_no_block_for_it() -> None:
    assert parts(REST_STAGE, STAGE)[0].body["access_log_settings"].bodies == ()


@pytest.mark.parametrize(
    ("admits", "security", "validated"),
    [
        ("NONE apiKeyRequired Order", [{"api_key": []}], True),
        ("AWS_IAM", [{"sigv4": []}], False),
        ("NONE (no model)", [], False),
        ("NONE Another", [], False),
    ],
)
def test_the_definition_is_that_of_the_account(admits: str, security: Any, validated: bool) -> None:
    operation = body_of({"POST /orders": admits})["paths"]["/orders"]["post"]

    assert operation["security"] == security
    assert ("requestBody" in operation) is validated


def test_methods_that_lead_to_different_places_are_written_by_the_first_of_them() -> None:
    other = {"POST /orders": {**API.properties["Integration"], "uri": "http://c:80"}}

    operation = body_of({"POST /orders": "NONE"}, Integration=other)["paths"]["/orders"]["post"]

    assert operation["x-amazon-apigateway-integration"]["uri"] == "http://c:80/orders"


def test_an_api_without_methods_has_no_definition() -> None:
    (part,) = parts(REST_API, replace(API, properties={**API.properties, "Integration": None, "Routes": {}}))

    assert part.body["body"] is None


def test_a_key_of_no_plan_is_written_alone_and_two_of_one_name_are_told_apart() -> None:
    keys = [KEY, replace(KEY, id="k2", in_plan=False)]

    found = [(part.type, part.import_id, part.suffix) for part in parts(PLAN, with_keys(USED, keys))[1:]]

    assert found == [
        ("aws_api_gateway_api_key", "k1", "shop_k1"),
        ("aws_api_gateway_usage_plan_key", "p1/k1", "shop_k1"),
        ("aws_api_gateway_api_key", "k2", "shop_k2"),
    ]
