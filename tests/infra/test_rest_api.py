"""A REST API in front: what it consists of, and where its bodies come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orderops
from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.address import outputs_of, service_url
from orderops.infra.rest_api import RestFront
from orderops.infra.stack import Stack, stack
from orderops.resources.apigateway_usage_plan import KeyQuota
from orderops.resources.apigatewayv2_stage import RouteLimit
from orderops.service.openapi import description
from orderops.service.settings import read_settings

SETTINGS = {
    "QUEUE_URL": "https://sqs.ap-southeast-2.amazonaws.com/123456789012/orders",
    "DATABASE_SECRET": "secret",
    "AWS_REGION": "ap-southeast-2",
    "ORDEROPS_ENVIRONMENT": "dev",
}
# What only tells people something.
WORDS = ("title", "description", "examples")


def declared(**api: Any) -> Stack:
    table = {"name": "dev", "database": {}, "services": {"shop": {}}, "api": api}
    return stack(Environment.model_validate(table), "1" * 12)


def front(**api: Any) -> RestFront:
    found = declared(**api).api
    assert isinstance(found, RestFront)
    return found


def resolved(node: Any, schemas: dict[str, Any]) -> Any:
    """A schema without references and words."""
    if isinstance(node, list):
        return [resolved(one, schemas) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return resolved(schemas[node["$ref"].rpartition("/")[2]], schemas)
    return {
        key: {name: resolved(one, schemas) for name, one in value.items()}
        if key == "properties"
        else resolved(value, schemas)
        for key, value in node.items()
        if key not in WORDS
    }


def test_the_bodies_are_those_of_the_services_openapi_document() -> None:
    document = description(read_settings(SETTINGS))
    schemas = document["components"]["schemas"]
    expected = {
        f"{method.upper()} {path}": resolved(operation["requestBody"]["content"]["application/json"]["schema"], schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }

    stored = json.loads((Path(orderops.__file__).parent / "infra" / "order_processor_bodies.json").read_text())

    assert {key: body["schema"] for key, body in stored.items()} == expected


def test_only_with_validation_a_body_has_a_model() -> None:
    plain = {route.key: route.model for route in front(api_keys=True).api.routes}
    judged = {route.key: route.model for route in front(validate_requests=True).api.routes}

    assert set(plain.values()) == {""}
    assert {key: model for key, model in judged.items() if model} == {"POST /orders": "Order"}


def test_a_plan_is_there_with_keys_alone() -> None:
    assert front(validate_requests=True).plan is None
    plan = front(api_keys=True, plan={"quota": 5, "period": "day", "burst": 3, "requests_per_second": 2}).plan
    assert plan is not None
    assert (plan.quota, plan.limit) == (KeyQuota(5, "day"), RouteLimit(2, 3))
    bare = front(api_keys=True).plan
    assert bare is not None
    assert (bare.quota, bare.limit) == (None, None)


def test_keys_and_limits_of_routes_are_those_of_the_file() -> None:
    routes = {"GET /": {"api_key": False}, "GET /orders": {"requests_per_second": 5, "burst": 6}}
    found = front(api_keys=True, routes=routes)

    keyed = {route.key for route in found.api.routes if route.needs_key}
    assert keyed == {"GET /orders", "GET /orders/{id}", "POST /orders"}
    assert found.stage.limits == {"GET /orders": RouteLimit(5, 6)}


def test_callers_are_led_to_the_stage_and_the_load_balancer_is_internal() -> None:
    whole = declared(api_keys=True)
    assert whole.api
    outputs = Outputs("ap-southeast-2", "1" * 12)
    outputs[whole.balancer] = Observed("lb", {"DNSName": "lb.example.com"})
    outputs[whole.api.api] = Observed("api", {"ApiEndpoint": "https://api.example.com/live"})

    assert service_url(whole, outputs) == "https://api.example.com/live"
    assert outputs_of(whole, outputs)["api_url"] == "https://api.example.com/live"
    assert whole.balancer.internal
