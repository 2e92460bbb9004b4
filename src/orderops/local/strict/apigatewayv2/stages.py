"""Stages: one of a name, merged by updates, cleared by calls of their own, and deployed by AWS itself."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.apigateway.store import HttpApi, Json, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import (
    answer,
    api_of,
    bad,
    check_unmapped,
    conflict,
    deleted,
    entry_of,
    given,
    listed,
    not_found,
    now,
    segments,
)
from orderops.local.strict.interfaces import backend

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}|\$default")
IDENTIFIED = re.compile(r"\$context\.(requestId|extendedRequestId)\b")
MOST = 10


def create_stage(request: Request) -> Response:
    api, sent = api_of(request), given(request)
    name = sent.get("stageName", "")
    if not NAME.fullmatch(name):
        raise bad(f"Invalid stage name {name}")
    if name in api.stages:
        raise conflict("Stage already exists")
    if len(api.stages) >= MOST:
        raise bad("Maximum number of Stages for this API has been reached")
    _check(api, sent)
    stage: Json = {
        "autoDeploy": False,
        "stageVariables": {},
        **sent,
        "routeSettings": _filled(sent.get("routeSettings", {})),
        "defaultRouteSettings": _with_metrics(sent.get("defaultRouteSettings", {})),
        "tags": sent.get("tags", {}),
        "createdDate": now(),
    }
    api.stages[name] = stage
    redeploy(api)
    return answer(stage, 201)


def get_stage(request: Request) -> Response:
    return answer(entry_of(request, api_of(request).stages, "stage"))


def get_stages(request: Request) -> Response:
    return listed(request, api_of(request).stages.values())


def update_stage(request: Request) -> Response:
    """Merge: a member that is left out stays, and so does each entry of a map."""
    api, sent = api_of(request), given(request)
    stage = entry_of(request, api.stages, "stage")
    _check(api, sent)
    if "autoDeploy" in sent:
        stage["autoDeploy"] = sent["autoDeploy"]
    for key in ("defaultRouteSettings", "accessLogSettings"):
        if sent.get(key):
            stage[key] = {**stage.get(key, {}), **sent[key]}
    for route_key, settings in sent.get("routeSettings", {}).items():
        stage["routeSettings"][route_key] = _with_metrics({**stage["routeSettings"].get(route_key, {}), **settings})
    variables = {**stage["stageVariables"], **sent.get("stageVariables", {})}
    stage["stageVariables"] = {name: value for name, value in variables.items() if value}
    stage["lastUpdatedDate"] = now()
    redeploy(api)
    return answer(stage)


def delete_stage(request: Request) -> Response:
    api = api_of(request)
    name = entry_of(request, api.stages, "stage")["stageName"]
    check_unmapped(request.region, api.id, name)
    del api.stages[name]
    return deleted()


def delete_route_settings(request: Request) -> Response:
    stage, key = entry_of(request, api_of(request).stages, "stage"), "/".join(segments(request)[5:])
    if key not in stage["routeSettings"]:
        raise not_found("RouteSettings", key)
    del stage["routeSettings"][key]
    return deleted()


def delete_access_log_settings(request: Request) -> Response:
    stage = entry_of(request, api_of(request).stages, "stage")
    stage.pop("accessLogSettings", None)
    return deleted()


def redeploy(api: HttpApi) -> None:
    """Give each stage that deploys by itself a new deployment."""
    for stage in api.stages.values():
        if stage["autoDeploy"]:
            id = new_id(6)
            stage["deploymentId"] = id
            stage["lastDeploymentStatusMessage"] = f"Successfully deployed stage with deployment ID '{id}'"


def _check(api: HttpApi, sent: Json) -> None:
    keys = {route["routeKey"] for route in api.routes.values()}
    for key in sent.get("routeSettings", {}):
        if key not in keys:
            text = f"Unable to find Route by key {key} within the provided RouteSettings"
            raise ApiError("NotFoundException", text, 404)
    for settings in (sent.get("defaultRouteSettings", {}), *sent.get("routeSettings", {}).values()):
        _check_limits(settings)
    if logs := sent.get("accessLogSettings"):
        _check_logs(api.region, logs)


def _check_limits(settings: Json) -> None:
    rate, burst = settings.get("throttlingRateLimit", 0), settings.get("throttlingBurstLimit", 0)
    if rate < 0 or burst < 0:
        raise bad("Throttling limits must not be negative")


def _check_logs(region: str, logs: Json) -> None:
    arn, form = logs.get("destinationArn", ""), logs.get("format", "")
    name = arn.partition(":log-group:")[2]
    if name not in backend("logs", region).groups:
        raise bad(f"Invalid ARN specified in the request: {arn}")
    if "\n" in form or not IDENTIFIED.search(form):
        raise bad("Access Log format must be single line and contain at least $context.requestId")


def _filled(settings: Json) -> Json:
    return {key: _with_metrics(value) for key, value in settings.items()}


def _with_metrics(settings: Json) -> dict[str, Any]:
    """Add what AWS assumes: a rate without a burst lets nothing through."""
    limits = {"throttlingBurstLimit": 0} if "throttlingRateLimit" in settings else {}
    return {"detailedMetricsEnabled": False, **limits, **settings}
