"""Deployments, which are copies of a definition, and the stages that serve them."""

from __future__ import annotations

import copy
import re
import time

from orderops.local.apigateway.rest_store import RestApi, account_settings, usage_plans
from orderops.local.apigateway.store import Json, new_id
from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.apigateway.answers import answer, api_of, listed, patches, segments, wrong_patch
from orderops.local.strict.apigateway.web_acls import forget_web_acl, with_web_acl
from orderops.local.strict.apigatewayv2.answers import bad, check_unmapped, not_found
from orderops.local.strict.interfaces import backend

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
IDENTIFIED = re.compile(r"\$context\.(requestId|extendedRequestId)\b")
MOST_STAGES = 10
DEFAULTS: Json = {
    "metricsEnabled": False,
    "dataTraceEnabled": False,
    "throttlingBurstLimit": 5000,
    "throttlingRateLimit": 10000.0,
    "cachingEnabled": False,
}


def create_deployment(request: Request) -> Response:
    """Copy the definition, and let the named stage serve the copy; the stage is made if there is none."""
    api, sent = api_of(request), request.json
    methods = [one for resource in api.resources.values() for one in resource.get("resourceMethods", {}).values()]
    if not methods:
        raise bad("The REST API doesn't contain any methods")
    if any("methodIntegration" not in method for method in methods):
        raise bad("No integration defined for method")
    name = sent.get("stageName")
    if name is not None:
        _check_stage(api, name)
    deployment: Json = {
        "id": new_id(6),
        "description": sent.get("description", ""),
        "createdDate": time.time(),
        "_resources": copy.deepcopy(api.resources),
    }
    api.deployments[deployment["id"]] = deployment
    if name is not None:
        made: Json = {"stageName": name, "methodSettings": {}, "createdDate": time.time(), "tags": {}}
        stage = api.stages.setdefault(name, {**made, "cacheClusterEnabled": False, "tracingEnabled": False})
        stage |= {"deploymentId": deployment["id"], "lastUpdatedDate": time.time()}
    return answer(deployment, 201)


def get_deployment(request: Request) -> Response:
    return answer(_deployment(request))


def get_deployments(request: Request) -> Response:
    return listed(request, api_of(request).deployments.values())


def delete_deployment(request: Request) -> Response:
    api, id = api_of(request), _deployment(request)["id"]
    if any(stage["deploymentId"] == id for stage in api.stages.values()):
        raise bad("Active stages pointing to this deployment must be moved or deleted")
    del api.deployments[id]
    return Response(202, b"", [])


def get_stages(request: Request) -> Response:
    api = api_of(request)
    return answer({"item": [with_web_acl(api.region, api.id, stage) for stage in api.stages.values()]})


def get_stage(request: Request) -> Response:
    return answer(with_web_acl(request.region, api_of(request).id, _stage(request)))


def update_stage(request: Request) -> Response:
    """Change a stage, all of the patches or none."""
    stage = _stage(request)
    changed = copy.deepcopy(stage)
    for op, pieces, value in patches(request):
        match op, pieces:
            case "replace", ["accessLogSettings", "destinationArn" | "format" as key]:
                changed.setdefault("accessLogSettings", {})[key] = value
            case "remove", ["accessLogSettings"]:
                changed.pop("accessLogSettings", None)
            case "replace", [path, method, "throttling", "rateLimit" | "burstLimit" as key]:
                _limit(api_of(request), changed, path, method, key, value)
            case "remove", [path, method] if f"{path.strip('/')}/{method}" in changed["methodSettings"]:
                del changed["methodSettings"][f"{path.strip('/')}/{method}"]
            case _:
                raise wrong_patch(op, pieces)
    if "accessLogSettings" in changed:
        _check_logs(request.region, changed["accessLogSettings"])
    stage.clear()
    stage |= {**changed, "lastUpdatedDate": time.time()}
    return answer(stage)


def delete_stage(request: Request) -> Response:
    api, name = api_of(request), _stage(request)["stageName"]
    check_unmapped(request.region, api.id, name)
    del api.stages[name]
    forget_web_acl(api.region, api.id, name)
    for plan in usage_plans(request.region).values():
        plan["apiStages"] = [one for one in plan["apiStages"] if (one["apiId"], one["stage"]) != (api.id, name)]
    return Response(202, b"", [])


def _stage(request: Request) -> Json:
    api, name = api_of(request), segments(request)[3]
    if name not in api.stages:
        raise not_found("stage", name)
    return api.stages[name]


def _deployment(request: Request) -> Json:
    api, id = api_of(request), segments(request)[3]
    if id not in api.deployments:
        raise not_found("Deployment", id)
    return api.deployments[id]


def _check_stage(api: RestApi, name: str) -> None:
    if not NAME.fullmatch(name):
        raise bad("Stage name only allows a-zA-Z0-9-_")
    if name not in api.stages and len(api.stages) >= MOST_STAGES:
        raise bad("Maximum number of Stages for this API has been reached")


def _limit(api: RestApi, stage: Json, path: str, method: str, key: str, value: str) -> None:
    if (path, method) != ("*", "*") and method not in api.resources.get(path, {}).get("resourceMethods", {}):
        raise bad(f"Invalid method setting path: {path}/{method}")
    try:
        number = float(value) if key == "rateLimit" else int(value)
    except ValueError:
        raise bad(f"Invalid value specified for {key}: {value}") from None
    if number < 0:
        raise bad("Throttling limits must not be negative")
    # As API Gateway answers: the path without its first slash.
    settings = stage["methodSettings"].setdefault(f"{path.strip('/')}/{method}", dict(DEFAULTS))
    settings[f"throttling{key[0].upper()}{key[1:]}"] = number


def _check_logs(region: str, logs: Json) -> None:
    if not account_settings(region).get("cloudwatchRoleArn"):
        raise bad("CloudWatch Logs role ARN must be set in account settings to enable logging")
    arn, form = logs.get("destinationArn", ""), logs.get("format", "")
    if arn.partition(":log-group:")[2] not in backend("logs", region).groups:
        raise bad(f"Invalid ARN specified in the request: {arn}")
    if form and ("\n" in form or not IDENTIFIED.search(form)):
        raise bad("Access Log format must be single line and contain at least $context.requestId")
