"""A declared HTTP API: an example of each of its resources."""

from __future__ import annotations

from orderops.frozen import replace
from orderops.resources.apigatewayv2_api import Apigatewayv2Api
from orderops.resources.apigatewayv2_authorizer import Apigatewayv2Authorizer
from orderops.resources.apigatewayv2_integration import Apigatewayv2Integration
from orderops.resources.apigatewayv2_route import Apigatewayv2Route
from orderops.resources.apigatewayv2_stage import Apigatewayv2Stage, RouteLimit
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.logs_group import LogsGroup
from support.declared_service import BALANCER, SUBNETS, VPC

INTERNAL = replace(BALANCER, name="orderops-dev-internal", internal=True)
LISTENER = Elbv2Listener(f"{INTERNAL.name}:80", INTERNAL)

API = Apigatewayv2Api("orderops-dev-api")
LINK_GROUP = Ec2SecurityGroup("orderops-dev-api", VPC, "what the API sends")
LINK = Apigatewayv2VpcLink("orderops-dev-api", SUBNETS, (LINK_GROUP,))
INTEGRATION = Apigatewayv2Integration("orderops-dev-api:services", API, LINK, LISTENER)
AUTHORIZER = Apigatewayv2Authorizer("orderops-dev-api-jwt", API, "https://login.example.com/", ("orders",))
READY = Apigatewayv2Route("orderops-dev-api:GET /ready", API, "GET /ready", INTEGRATION)
ORDER = Apigatewayv2Route("orderops-dev-api:GET /orders/:id", API, "GET /orders/{id}", INTEGRATION)
ACCESS = LogsGroup("/orderops/dev/api-access", 30)
STAGE = Apigatewayv2Stage("orderops-dev-api:default", API, (READY, ORDER), ACCESS, RouteLimit(100, 200))
