"""REST APIs: what is imported, what is read back, and what is set back."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigateway_definition import RestRoute
from support.contract import Up, keeps_its_promises
from support.declared_rest_api import ORDER, PLACE, READY, REST_API
from support.faults import Fault


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    signed = RestRoute("ANY /shop/{proxy+}", iam=True)

    keeps_its_promises(REST_API, aws, up, routes=(READY, PLACE, signed), timeout_millis=10_000)


def test_each_route_is_sent_on_without_the_name_of_the_stage_and_with_the_callers_address(aws: Aws, up: Up) -> None:
    greedy = RestRoute("ANY /shop/{proxy+}")
    up(replace(REST_API, routes=(ORDER, greedy)))

    methods = _methods(aws)
    order, shop = methods["GET /orders/{id}"]["methodIntegration"], methods["ANY /shop/{proxy+}"]["methodIntegration"]
    [balancer] = aws.elbv2.describe_load_balancers()["LoadBalancers"]
    assert order["uri"] == f"http://{balancer['DNSName']}:80/orders/{{id}}"
    assert shop["uri"] == f"http://{balancer['DNSName']}:80/shop/{{proxy}}"
    assert order["integrationTarget"] == balancer["LoadBalancerArn"]
    assert order["requestParameters"] == {
        "integration.request.path.id": "method.request.path.id",
        "integration.request.header.X-Client-Ip": "context.identity.sourceIp",
    }
    assert shop["requestParameters"]["integration.request.path.proxy"] == "method.request.path.proxy"
    assert (order["type"], order["timeoutInMillis"]) == ("HTTP_PROXY", 29_000)


def test_a_route_has_its_key_its_signature_and_its_model(aws: Aws, up: Up) -> None:
    up(replace(REST_API, routes=(READY, PLACE, RestRoute("GET /orders", needs_key=True, iam=True))))

    methods = _methods(aws)
    shown = {key: (raw["authorizationType"], raw["apiKeyRequired"]) for key, raw in methods.items()}
    assert shown == {
        "GET /ready": ("NONE", False),
        "POST /orders": ("NONE", True),
        "GET /orders": ("AWS_IAM", True),
    }
    assert methods["POST /orders"]["requestModels"] == {"application/json": "Order"}
    assert "requestValidatorId" in methods["POST /orders"]
    assert "requestValidatorId" not in methods["GET /ready"]


@pytest.mark.parametrize("open_again", [False, True])
def test_a_key_demanded_or_dropped_by_hand_is_set_back(aws: Aws, up: Up, open_again: bool) -> None:
    api = replace(REST_API, routes=(replace(READY, needs_key=open_again),))
    up(replace(REST_API, routes=(replace(READY, needs_key=not open_again),)))

    step = up(api)[api.address]

    words = {True: "NONE apiKeyRequired", False: "NONE"}
    assert step.changes == {"Routes": ({"GET /ready": words[not open_again]}, {"GET /ready": words[open_again]})}
    assert up(api)[api.address].action is Action.NO_OP


def test_a_changed_schema_alone_is_a_difference(aws: Aws, up: Up) -> None:
    up(REST_API)
    longer = replace(PLACE, schema={**(PLACE.schema or {}), "required": ["customer", "note"]})

    assert set(up(replace(REST_API, routes=(READY, ORDER, longer)))[REST_API.address].changes) == {"Version"}


def test_a_name_and_an_endpoint_changed_by_hand_are_set_back(aws: Aws, up: Up) -> None:
    up(REST_API)
    [api] = aws.apigateway.get_rest_apis()["items"]
    patches = [
        {"op": "replace", "path": "/name", "value": "other"},
        {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"},
    ]
    aws.apigateway.update_rest_api(restApiId=api["id"], patchOperations=patches)

    changes = up(REST_API)[REST_API.address].changes

    assert changes == {"Name": ("other", REST_API.name), "DisableExecuteApiEndpoint": (True, False)}
    assert up(REST_API)[REST_API.address].action is Action.NO_OP


def test_an_api_whose_answer_was_lost_is_found_by_its_tags_and_not_made_again(
    aws: Aws, up: Up, lose_answer: Fault
) -> None:
    up(*REST_API.needs())

    with lose_answer("apigateway", "CreateRestApi"):
        up(REST_API)

    assert len(aws.apigateway.get_rest_apis()["items"]) == 1


def test_the_url_has_the_stage_in_its_path_and_no_tag_can_change_it_on_aws(aws: Aws, up: Up) -> None:
    up(REST_API)
    [api] = aws.apigateway.get_rest_apis()["items"]

    [found] = type(REST_API).listing(aws, _everything())

    url = f"https://{api['id']}.execute-api.ap-southeast-2.amazonaws.com/live"
    assert found.properties["ApiEndpoint"] == url


def _everything() -> Any:
    from orderops.aws.ownership import Ownership

    return Ownership("dev")


def _methods(aws: Aws) -> dict[str, dict[str, Any]]:
    [api] = aws.apigateway.get_rest_apis()["items"]
    resources = aws.apigateway.get_resources(restApiId=api["id"], embed=["methods"])["items"]
    return {
        f"{method} {resource['path']}": raw
        for resource in resources
        for method, raw in resource.get("resourceMethods", {}).items()
    }
