"""Routes: one for each key, with an integration and an authorizer that exist."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.apigateway.store import HttpApi, Json, new_id
from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.apigatewayv2.answers import answer, api_of, bad, conflict, deleted, entry_of, given, listed
from orderops.local.strict.apigatewayv2.stages import redeploy

KEY = re.compile(r"(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) (/\S*)")
PIECE = re.compile(r"\{[\w.-]+\}|[^{}]*", re.ASCII)
GREEDY = re.compile(r"\{[\w.-]+\+\}", re.ASCII)
MOST = 300


def create_route(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    if len(api.routes) >= MOST:
        raise bad("Maximum number of Routes for this API has been reached")
    route: Json = {"apiKeyRequired": False, "authorizationType": "NONE", **sent}
    _check(api, route)
    _check_new(api, route["routeKey"])
    route["routeId"] = new_id(7)
    api.routes[route["routeId"]] = route
    redeploy(api)
    return answer(route, 201)


def get_route(request: Request) -> Response:
    return answer(entry_of(request, api_of(request).routes, "Route"))


def get_routes(request: Request) -> Response:
    return listed(request, api_of(request).routes.values())


def update_route(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    route = entry_of(request, api.routes, "Route")
    merged: dict[str, Any] = {**route, **sent}
    if merged["authorizationType"] != "JWT" and "authorizerId" not in sent:
        merged.pop("authorizerId", None)
    _check(api, merged)
    if merged["routeKey"] != route["routeKey"]:
        _check_new(api, merged["routeKey"])
    route.clear()
    route |= merged
    redeploy(api)
    return answer(route)


def delete_route(request: Request) -> Response:
    api = api_of(request)
    del api.routes[entry_of(request, api.routes, "Route")["routeId"]]
    redeploy(api)
    return deleted()


def _check_new(api: HttpApi, key: str) -> None:
    if any(route["routeKey"] == key for route in api.routes.values()):
        raise conflict(f"Route with key {key} already exists for this API")


def _check(api: HttpApi, route: Json) -> None:
    _check_key(route.get("routeKey", ""))
    if route["apiKeyRequired"]:
        raise bad("ApiKeyRequired is not currently supported for HTTP APIs")
    kind, target = route["authorizationType"], route.get("target", "")
    if kind not in ("NONE", "JWT", "AWS_IAM"):
        raise bad(f"Invalid authorization type specified {kind}")
    if kind == "JWT" and route.get("authorizerId") not in api.authorizers:
        raise bad("Invalid authorizer ID specified")
    if kind != "JWT" and (route.get("authorizerId") or route.get("authorizationScopes")):
        raise bad(f"An authorizer and its scopes are not supported for authorization type {kind}")
    if target and target.removeprefix("integrations/") not in api.integrations:
        raise bad(f"Invalid target specified {target}")


def _check_key(key: str) -> None:
    if key == "$default":
        return
    form = KEY.fullmatch(key)
    if form is None:
        raise bad(f"The provided route key is not formatted properly for HTTP protocol: {key}")
    *pieces, last = form[2].split("/")
    if not all(PIECE.fullmatch(piece) for piece in pieces) or not (PIECE.fullmatch(last) or GREEDY.fullmatch(last)):
        raise bad(f"The provided route key is not formatted properly, a greedy variable is its last part only: {key}")
