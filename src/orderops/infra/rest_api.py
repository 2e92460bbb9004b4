"""The REST API in front of an environment: the same way in as an HTTP API, with keys, a usage plan and validation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from orderops.config.api import DeclaredRoute
from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.frozen import Frozen
from orderops.infra.network import Network, linked_role
from orderops.resources.apigateway_account import NAME, ApigatewayAccount
from orderops.resources.apigateway_definition import RestRoute
from orderops.resources.apigateway_rest_api import STAGE, ApigatewayRestApi
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan, KeyQuota
from orderops.resources.apigatewayv2_stage import RouteLimit
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.logs_group import LogsGroup


class RestFront(Frozen):
    """A REST API, and everything that it has of its own."""

    api: ApigatewayRestApi
    stage: ApigatewayStage
    plan: ApigatewayUsagePlan | None
    """None where callers need no keys."""

    def resources(self) -> Iterator[Resource]:
        """The internal load balancer among them, the first that is needed first."""
        link, listener = self.api.link, self.api.listener
        yield from (*link.security_groups, listener.load_balancer, listener)
        yield from (linked_role("ops.apigateway"), link, self.api, self.stage.account, self.stage.log_group, self.stage)
        if self.plan:
            yield self.plan


def rest_api_of(
    environment: Environment, network: Network, link_group: Ec2SecurityGroup, inner: Elbv2Listener
) -> RestFront:
    """The API with its routes, which lead to this listener."""
    declared, name = environment.api, f"{environment.prefix}-api"
    routes = declared.routes_of(environment.services)
    bodies = order_processor_bodies() if declared.validate_requests else {}
    api = ApigatewayRestApi(
        name,
        Apigatewayv2VpcLink(name, network.private, (link_group,)),
        inner,
        tuple(_route(route, bodies) for route in routes),
        declared.timeout_millis,
    )
    stage = ApigatewayStage(
        f"{name}:{STAGE}",
        api,
        LogsGroup(f"/orderops/{environment.name}/api-access", declared.access_log_days),
        ApigatewayAccount(NAME, environment.iam.permissions_boundary),
        RouteLimit(declared.requests_per_second, declared.burst),
        {route.key: RouteLimit(*route.limit) for route in routes if route.limit},
    )
    return RestFront(api, stage, _plan(environment, api, stage))


def order_processor_bodies() -> Mapping[str, Mapping[str, Any]]:
    """The bodies of the order processor's OpenAPI document: a name and a schema (draft 4) for each route with one.

    The service is an application of its own, which is not imported here; a test compares the two.
    """
    document: Mapping[str, Mapping[str, Any]] = json.loads(
        (files("orderops") / "infra" / "order_processor_bodies.json").read_text(encoding="utf-8")
    )
    return document


def _plan(environment: Environment, api: ApigatewayRestApi, stage: ApigatewayStage) -> ApigatewayUsagePlan | None:
    if not environment.api.api_keys:
        return None
    declared = environment.api.plan
    limit = RouteLimit(*declared.limit) if declared.limit else None
    quota = KeyQuota(declared.quota, declared.period) if declared.quota else None
    return ApigatewayUsagePlan(api.name, api, stage, limit, quota)


def _route(route: DeclaredRoute, bodies: Mapping[str, Mapping[str, Any]]) -> RestRoute:
    body = bodies.get(route.key, {})
    return RestRoute(
        route.key, route.needs_key, route.authorization == "iam", body.get("model", ""), body.get("schema")
    )
