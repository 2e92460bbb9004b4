"""The HTTP API in front of an environment: its way to the internal load balancer, its routes and its stage."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.config.api import DeclaredRoute
from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.frozen import Frozen, replace
from orderops.infra.network import ANYWHERE, Network, linked_role
from orderops.resources.apigatewayv2_api import Apigatewayv2Api
from orderops.resources.apigatewayv2_authorizer import Apigatewayv2Authorizer
from orderops.resources.apigatewayv2_integration import Apigatewayv2Integration
from orderops.resources.apigatewayv2_route import Apigatewayv2Route, route_name
from orderops.resources.apigatewayv2_stage import Apigatewayv2Stage, RouteLimit
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.logs_group import LogsGroup


class ApiFront(Frozen):
    """An API, and everything that it has of its own."""

    api: Apigatewayv2Api
    stage: Apigatewayv2Stage
    listener: Elbv2Listener
    """Where it sends requests."""

    def resources(self) -> Iterator[Resource]:
        """The internal load balancer among them, the first that is needed first."""
        routes = self.stage.routes
        integration = routes[0].integration
        yield from (*integration.link.security_groups, self.listener.load_balancer, self.listener)
        yield from (linked_role("ops.apigateway"), self.api, integration.link, integration)
        yield from dict.fromkeys(route.authorizer for route in routes if route.authorizer)
        yield from (*routes, self.stage.log_group, self.stage)


def link_group_of(environment: Environment, network: Network) -> Ec2SecurityGroup | None:
    """The security group of the VPC link, which the load balancer admits; None without an API."""
    if not environment.api.declared:
        return None
    return Ec2SecurityGroup(
        f"{environment.prefix}-api",
        network.vpc,
        # AWS cannot change the description of an existing group: another wording would need a replacement.
        "what the API sends",
        egress=(IngressRule(0, ANYWHERE, "the load balancer", protocol="-1"),),
    )


def internal_of(environment: Environment, network: Network, public: Elbv2LoadBalancer) -> Elbv2LoadBalancer:
    """The load balancer behind an API: as the public one, but reachable from inside the VPC only."""
    name = f"{environment.prefix}-internal"
    return replace(public, name=name, subnets=network.private, gateway=None, internal=True)


def api_of(environment: Environment, network: Network, link_group: Ec2SecurityGroup, inner: Elbv2Listener) -> ApiFront:
    """The API with its routes, which lead to this listener."""
    declared, name = environment.api, f"{environment.prefix}-api"
    api = Apigatewayv2Api(name)
    link = Apigatewayv2VpcLink(name, network.private, (link_group,))
    integration = Apigatewayv2Integration(f"{name}:services", api, link, inner, declared.timeout_millis)
    authorizer = _authorizer(environment, api)
    routes = declared.routes_of(environment.services)
    stage = Apigatewayv2Stage(
        f"{name}:default",
        api,
        tuple(_route(api, integration, authorizer, route) for route in routes),
        LogsGroup(f"/orderops/{environment.name}/api-access", declared.access_log_days),
        RouteLimit(declared.requests_per_second, declared.burst),
        {route.key: RouteLimit(*route.limit) for route in routes if route.limit},
    )
    return ApiFront(api, stage, inner)


def _authorizer(environment: Environment, api: Apigatewayv2Api) -> Apigatewayv2Authorizer | None:
    jwt = environment.api.jwt
    if jwt.issuer is None:
        return None
    return Apigatewayv2Authorizer(f"{api.name}-jwt", api, jwt.issuer, tuple(jwt.audience))


def _route(
    api: Apigatewayv2Api,
    integration: Apigatewayv2Integration,
    authorizer: Apigatewayv2Authorizer | None,
    route: DeclaredRoute,
) -> Apigatewayv2Route:
    return Apigatewayv2Route(
        route_name(api.name, route.key),
        api,
        route.key,
        integration,
        authorizer if route.authorization == "jwt" else None,
        route.scopes,
        iam=route.authorization == "iam",
    )
