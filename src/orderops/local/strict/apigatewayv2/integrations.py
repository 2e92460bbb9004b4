"""Integrations with listeners behind VPC links. Omitted members of an update stay; "" clears a parameter."""

from __future__ import annotations

import re

from orderops.local.apigateway.store import Json, link_records, link_status, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import answer, api_of, bad, conflict, deleted, entry_of, given, listed
from orderops.local.strict.apigatewayv2.stages import redeploy
from orderops.local.strict.interfaces import backend

PARAMETER = re.compile(r"(append|overwrite|remove):(header|querystring|path)(\.[\w-]+)?", re.ASCII)
# "Transform API requests and responses for HTTP APIs", reserved headers.
RESERVED = re.compile(
    r"access-control-|apigw-|authorization$|connection$|content-encoding$|content-length$|content-location$|forwarded$"
    r"|keep-alive$|origin$|proxy-|te$|trailers$|transfer-encoding$|upgrade$|x-amz-|x-amzn-|x-forwarded-|via$",
    re.IGNORECASE,
)
MOST = 300


def create_integration(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    if len(api.integrations) >= MOST:
        raise ApiError("BadRequestException", "Maximum number of Integrations for this API has been reached")
    integration: Json = {"connectionType": "INTERNET", "timeoutInMillis": 30_000, **sent}
    _check(request.region, integration)
    integration["integrationId"] = new_id(7)
    api.integrations[integration["integrationId"]] = integration
    redeploy(api)
    return answer(integration, 201)


def get_integration(request: Request) -> Response:
    return answer(entry_of(request, api_of(request).integrations, "Integration"))


def get_integrations(request: Request) -> Response:
    return listed(request, api_of(request).integrations.values())


def update_integration(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    integration = entry_of(request, api.integrations, "Integration")
    merged = {**integration, **sent}
    if "requestParameters" in sent:
        parameters = {**integration.get("requestParameters", {}), **sent["requestParameters"]}
        merged["requestParameters"] = {key: value for key, value in parameters.items() if value}
    _check(request.region, merged)
    integration |= merged
    redeploy(api)
    return answer(integration)


def delete_integration(request: Request) -> Response:
    api = api_of(request)
    integration = entry_of(request, api.integrations, "Integration")
    id = integration["integrationId"]
    if any(route.get("target") == f"integrations/{id}" for route in api.routes.values()):
        raise conflict(f"Cannot delete Integration '{id}' due to references from routes")
    del api.integrations[id]
    redeploy(api)
    return deleted()


def _check(region: str, integration: Json) -> None:
    if integration.get("integrationType") != "HTTP_PROXY" or integration["connectionType"] != "VPC_LINK":
        raise ApiError("NotEmulated", "only HTTP_PROXY integrations behind VPC links are emulated on the laptop")
    if not integration.get("integrationMethod"):
        raise bad("IntegrationMethod is required")
    if integration.get("payloadFormatVersion") != "1.0":
        raise bad("PayloadFormatVersion must be 1.0 for HTTP_PROXY integrations")
    if not 50 <= integration["timeoutInMillis"] <= 30_000:
        raise bad("TimeoutInMillis must be between 50 and 30000")
    link = link_records(region).get(integration.get("connectionId", ""))
    if link is None or link_status(link) == "DELETING":
        raise bad(f"Invalid VPC link ID specified {integration.get('connectionId')}")
    if integration.get("integrationUri") not in _listeners(region):
        raise bad(f"Invalid HTTP endpoint specified for URI {integration.get('integrationUri')}")
    for key in integration.get("requestParameters", {}):
        form = PARAMETER.fullmatch(key)
        if not form or (form[2] == "header" and RESERVED.match((form[3] or ".")[1:])):
            raise bad(f"Invalid mapping expression parameter specified: {key}")


def _listeners(region: str) -> set[str]:
    balancers = backend("elbv2", region).load_balancers.values()
    return {listener.arn for balancer in balancers for listener in balancer.listeners.values()}
