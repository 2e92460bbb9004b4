"""REST APIs: what AWS refuses, keeps and fills in, where moto accepts everything."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.laptop import until
from support.rest_imports import Import
from support.strict_clients import Client, Refused

pytest_plugins = ["support.rest_imports"]

TRUST = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
KEY = {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}


@pytest.fixture
def plan(strict: Client, api: str, put: Import) -> str:
    put.deployed()
    stages = [{"apiId": api, "stage": "live"}]
    return str(strict("apigateway").create_usage_plan(name="plan", apiStages=stages)["id"])


def test_an_import_makes_the_resources_of_its_paths(strict: Client, api: str, put: Import) -> None:
    put(
        "/orders/{id}",
        {"components": {"securitySchemes": KEY}},
        parameters=[{"name": "id", "in": "path", "required": True}],
        security=[{"api_key": []}],
    )

    resources = strict("apigateway").get_resources(restApiId=api, embed=["methods"])["items"]

    assert sorted(one["path"] for one in resources) == ["/", "/orders", "/orders/{id}"]
    [method] = [one["resourceMethods"]["GET"] for one in resources if "resourceMethods" in one]
    assert (method["apiKeyRequired"], method["authorizationType"]) == (True, "NONE")
    assert method["requestParameters"] == {"method.request.path.id": True}
    assert strict("apigateway").get_resources(restApiId=api)["items"][2]["resourceMethods"] == {"GET": {}}


def test_an_import_takes_the_place_of_the_one_before_and_its_title_is_the_name(strict: Client, put: Import) -> None:
    put("/a/b")
    put("/c")

    assert sorted(one["path"] for one in strict("apigateway").get_resources(restApiId=put.api)["items"]) == ["/", "/c"]
    assert strict("apigateway").get_rest_api(restApiId=put.api)["name"] == "t"


WRONG: dict[str, dict[str, Any]] = {
    "no target": {"integrationTarget": None},
    "no load balancer": {"integrationTarget": "arn:aws:elasticloadbalancing:ap-southeast-2:1:loadbalancer/app/a/1"},
    "no link": {"connectionId": "abc"},
    "too slow": {"timeoutInMillis": 29_001},
    "no host": {"uri": "/orders"},
    "an unknown variable": {"requestParameters": {"integration.request.path.id": "method.request.path.id"}},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_a_wrong_integration_is_refused(put: Import, refused: Refused, changed: dict[str, Any]) -> None:
    put.integration = {key: value for key, value in {**put.integration, **changed}.items() if value is not None}

    with refused("BadRequestException"):
        put()


def test_a_link_of_version_two_needs_a_target_in_the_words_of_aws(put: Import) -> None:
    del put.integration["integrationTarget"]

    with pytest.raises(
        ClientError, match=f"IntegrationTarget is required for VpcLinkV2 {put.integration['connectionId']}"
    ):
        put()


@pytest.mark.parametrize("path", ["/a b", "/{a+}/b", "/{a"])
def test_a_wrong_path_is_refused(put: Import, refused: Refused, path: str) -> None:
    with refused("BadRequestException"):
        put(path)


def test_a_place_has_one_variable(put: Import) -> None:
    operation = {"responses": {}, "x-amazon-apigateway-integration": put.integration}
    more = {"paths": {"/a/{b}": {"get": operation}, "/a/{c}/d": {"get": operation}}}

    with pytest.raises(ClientError, match="already has a variable path part"):
        put(document=more)


@pytest.mark.parametrize(
    "schema",
    [
        {"exclusiveMinimum": 3},
        {"properties": {"a": {"const": 1}}},
        {"$defs": {}},
        {"type": ["string", "null"]},
        {"items": [{"examples": []}]},
    ],
)
def test_a_schema_of_a_later_draft_is_refused(put: Import, refused: Refused, schema: dict[str, Any]) -> None:
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}

    with refused("BadRequestException"):
        put(document={"components": {"schemas": {"Order": schema}}}, requestBody=body)


def test_a_property_may_have_the_name_of_a_keyword(put: Import) -> None:
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}

    put(document={"components": {"schemas": {"Order": {"properties": {"const": {}, "if": {}}}}}}, requestBody=body)


@pytest.mark.parametrize("api_without", ["methods", "integration"])
def test_an_api_without_methods_or_integrations_is_not_deployed(
    strict: Client, put: Import, refused: Refused, api_without: str
) -> None:
    if api_without == "integration":
        put(document={"paths": {"/x": {"get": {"responses": {}}}}})

    with refused("BadRequestException"):
        strict("apigateway").create_deployment(restApiId=put.api, stageName="live")


def test_a_deployment_in_use_stays(strict: Client, put: Import, refused: Refused) -> None:
    first, second = put.deployed(), put.deployed()

    with refused("BadRequestException"):
        strict("apigateway").delete_deployment(restApiId=put.api, deploymentId=second)
    strict("apigateway").delete_deployment(restApiId=put.api, deploymentId=first)
    assert strict("apigateway").get_stage(restApiId=put.api, stageName="live")["deploymentId"] == second


def test_an_access_log_needs_a_role_of_the_account(strict: Client, moto: Client, put: Import, refused: Refused) -> None:
    put.deployed()
    moto("logs").create_log_group(logGroupName="/api")
    arn = "arn:aws:logs:ap-southeast-2:123456789012:log-group:/api"
    patches = [
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn},
        {"op": "replace", "path": "/accessLogSettings/format", "value": "$context.requestId"},
    ]
    of = {"restApiId": put.api, "stageName": "live"}

    with refused("BadRequestException"):
        strict("apigateway").update_stage(**of, patchOperations=patches)
    assert "accessLogSettings" not in strict("apigateway").get_stage(**of)

    document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    role = strict("iam").create_role(RoleName="logs", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role}
    # A role of a moment ago is not known to API Gateway.
    with refused("BadRequestException"):
        strict("apigateway").update_account(patchOperations=[patch])
    until(lambda: _accepted(strict, patch), what="the role is known")
    assert (
        strict("apigateway").update_stage(**of, patchOperations=patches)["accessLogSettings"]["destinationArn"] == arn
    )
    with refused("BadRequestException"):
        strict("apigateway").update_stage(**of, patchOperations=[{**patches[1], "value": "$context.status"}])


def _accepted(strict: Client, patch: dict[str, str]) -> bool:
    try:
        strict("apigateway").update_account(patchOperations=[patch])
    except ClientError:
        return False
    return True


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "replace", "path": "/~1nothing/GET/throttling/rateLimit", "value": "1"},
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "-1"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "many"},
        {"op": "remove", "path": "/~1orders/GET"},
        {"op": "replace", "path": "/nothing", "value": ""},
    ],
    ids=["no method", "negative", "no number", "no setting", "no property"],
)
def test_a_wrong_patch_of_a_stage_is_refused(
    strict: Client, put: Import, refused: Refused, patch: dict[str, str]
) -> None:
    put.deployed()

    with refused("BadRequestException"):
        strict("apigateway").update_stage(restApiId=put.api, stageName="live", patchOperations=[patch])


def test_a_limit_of_one_method_is_named_without_the_first_slash(strict: Client, put: Import) -> None:
    put.deployed()
    patch = {"op": "replace", "path": "/~1orders/GET/throttling/rateLimit", "value": "7"}

    stage = strict("apigateway").update_stage(restApiId=put.api, stageName="live", patchOperations=[patch])

    assert stage["methodSettings"]["orders/GET"]["throttlingRateLimit"] == 7.0
    assert stage["methodSettings"]["orders/GET"]["throttlingBurstLimit"] == 5000


def test_a_plan_needs_a_stage_that_exists(strict: Client, api: str, refused: Refused) -> None:
    with refused("NotFoundException"):
        strict("apigateway").create_usage_plan(name="plan", apiStages=[{"apiId": api, "stage": "live"}])


def test_a_plan_with_a_stage_is_not_deleted_and_the_answer_names_the_stage(strict: Client, api: str, plan: str) -> None:
    text = f"Cannot delete Usage Plan {plan} because there are API Stages associated with it, including {api}:live"
    with pytest.raises(ClientError, match=text):
        strict("apigateway").delete_usage_plan(usagePlanId=plan)

    patch = {"op": "remove", "path": "/apiStages", "value": f"{api}:live"}
    strict("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=[patch])
    strict("apigateway").delete_usage_plan(usagePlanId=plan)
    assert strict("apigateway").get_usage_plans()["items"] == []


def test_a_quota_has_a_limit_and_a_period(strict: Client, plan: str, refused: Refused) -> None:
    alone = {"op": "add", "path": "/quota/limit", "value": "5"}
    with refused("BadRequestException"):
        strict("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=[alone])

    both = [alone, {"op": "add", "path": "/quota/period", "value": "DAY"}]
    quota = strict("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=both)["quota"]
    assert quota == {"limit": 5, "period": "DAY", "offset": 0}


def test_the_value_of_a_key_is_told_once_and_to_those_that_ask_for_values(strict: Client) -> None:
    client = strict("apigateway")
    made = client.create_api_key(name="shop", enabled=True)

    assert len(made["value"]) == 40
    assert "value" not in client.get_api_key(apiKey=made["id"])
    assert "value" not in client.get_api_keys()["items"][0]
    assert client.get_api_key(apiKey=made["id"], includeValue=True)["value"] == made["value"]
    assert client.get_api_keys(includeValues=True)["items"][0]["value"] == made["value"]


def test_a_value_is_of_one_key_and_has_twenty_characters(strict: Client, refused: Refused) -> None:
    strict("apigateway").create_api_key(name="a", value="v" * 20)

    with refused("ConflictException"):
        strict("apigateway").create_api_key(name="b", value="v" * 20)
    with refused("BadRequestException"):
        strict("apigateway").create_api_key(name="c", value="v" * 19)


def test_a_key_is_in_one_plan_of_a_stage(strict: Client, api: str, plan: str, refused: Refused) -> None:
    client = strict("apigateway")
    key = client.create_api_key(name="shop")["id"]
    client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    other = client.create_usage_plan(name="other", apiStages=[{"apiId": api, "stage": "live"}])["id"]

    for id in (plan, other):
        with refused("ConflictException"):
            client.create_usage_plan_key(usagePlanId=id, keyId=key, keyType="API_KEY")
    assert client.get_usage_plan_key(usagePlanId=plan, keyId=key)["name"] == "shop"
    with refused("NotFoundException"):
        client.get_usage_plan_key(usagePlanId=other, keyId=key)
    client.delete_api_key(apiKey=key)
    assert client.get_usage_plan_keys(usagePlanId=plan)["items"] == []


def test_one_api_is_deleted_at_a_time(strict: Client) -> None:
    client = strict("apigateway")
    ids = [client.create_rest_api(name="x")["id"] for _ in range(2)]

    began = time.monotonic()
    for id in ids:
        # botocore waits and sends it again.
        client.delete_rest_api(restApiId=id)

    assert time.monotonic() - began > 0.2
    assert client.get_rest_apis()["items"] == []


def test_http_apis_are_answered_as_before_beside_rest_apis(strict: Client, api: str) -> None:
    http = strict("apigatewayv2").create_api(Name="orders", ProtocolType="HTTP")["ApiId"]

    assert [one["ApiId"] for one in strict("apigatewayv2").get_apis()["Items"]] == [http]
    assert strict("apigatewayv2").get_stages(ApiId=http)["Items"] == []
    assert strict("apigateway").get_stages(restApiId=api)["item"] == []
