"""A declared REST API: an example of each of its resources."""

from __future__ import annotations

from orderops.resources.apigateway_account import ApigatewayAccount
from orderops.resources.apigateway_definition import RestRoute
from orderops.resources.apigateway_rest_api import ApigatewayRestApi
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan, KeyQuota
from orderops.resources.apigatewayv2_stage import RouteLimit
from support.declared_api import ACCESS, LINK, LISTENER

SCHEMA = {
    "type": "object",
    "required": ["customer"],
    "properties": {"customer": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
    "additionalProperties": False,
}
READY = RestRoute("GET /ready")
ORDER = RestRoute("GET /orders/{id}", needs_key=True)
PLACE = RestRoute("POST /orders", needs_key=True, model="Order", schema=SCHEMA)
REST_API = ApigatewayRestApi("orderops-dev-api", LINK, LISTENER, (READY, ORDER, PLACE))
ACCOUNT = ApigatewayAccount("log-role")
REST_STAGE = ApigatewayStage("orderops-dev-api:live", REST_API, ACCESS, ACCOUNT, RouteLimit(100, 200))
PLAN = ApigatewayUsagePlan("orderops-dev-api", REST_API, REST_STAGE, RouteLimit(5, 10), KeyQuota(1000, "month"))
