"""The account's REST APIs as they are served on this machine. Call only while holding the emulator's lock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.account import ServedApi, reachable
from orderops.local.apigateway.keys import KeyHolder, PlanLimits
from orderops.local.apigateway.matching import GatewayRoute
from orderops.local.apigateway.rest_store import RestApi, api_keys, every_rest_api, rest_records, usage_plans
from orderops.local.apigateway.store import Json
from orderops.local.emulator.protocol import Response
from orderops.local.ports import HOST, free_port

URL_TAG = "orderops:laptop-url"
"""The tag that tells a client of the laptop where an API answers; AWS has no field for it. Copied from the program."""
HEADER = re.compile(r"integration\.request\.header\.(.+)")
IN_PATH = "integration.request.path."


def served_rest_apis() -> list[ServedApi]:
    """Return the APIs that have a stage, which serves the copy that was deployed, and not the definition.

    An API has one port here, so of several stages the first answers.
    """
    served = [(api, stage) for api in every_rest_api() if "_port" in api.record for stage in _first(api)]
    return [_served(api, stage) for api, stage in served]


def rest_listeners() -> set[str]:
    """Return the ARNs of the listeners to which the deployed integrations lead."""
    found = {_listener(api.region, method["methodIntegration"]) for api in every_rest_api() for _, method in _all(api)}
    return {arn for arn in found if arn}


def rest_api_on_this_machine(region: str, answer: Response) -> Response:
    """Let an API that was just created answer on a port of this machine, and tell its URL by a tag."""
    document = json.loads(answer.body)
    record = rest_records(region)[document["id"]]
    record["_port"] = free_port()
    record["api"]["tags"] = {**record["api"]["tags"], URL_TAG: f"http://{HOST}:{record['_port']}"}
    return replace(answer, body=json.dumps({**document, "tags": record["api"]["tags"]}).encode())


def _served(api: RestApi, stage: Json) -> ServedApi:
    logs = stage.get("accessLogSettings", {})
    resources = api.deployments[stage["deploymentId"]]["_resources"]
    return ServedApi(
        api.id,
        api.region,
        api.record["_port"],
        () if api.record["api"]["disableExecuteApiEndpoint"] else tuple(_routes(api.region, resources, stage)),
        logs.get("destinationArn", "").partition(":log-group:")[2],
        logs.get("format", ""),
        stage["stageName"],
        dict(_holders(api, stage["stageName"])),
    )


def _first(api: RestApi) -> Iterator[Json]:
    yield from list(api.stages.values())[:1]


def _routes(region: str, resources: dict[str, Json], stage: Json) -> Iterator[GatewayRoute]:
    for path, method in _methods(resources):
        integration = method["methodIntegration"]
        settings = stage["methodSettings"]
        limits = settings.get(f"{path.strip('/')}/{method['httpMethod']}", settings.get("*/*", {}))
        found = ((HEADER.fullmatch(key), value) for key, value in integration["requestParameters"].items())
        listener = _listener(region, integration)
        yield GatewayRoute(
            key=f"{method['httpMethod']} {path}",
            authorization=method["authorizationType"],
            issuer="",
            audience=frozenset(),
            scopes=frozenset(),
            listener=listener,
            reachable=bool(listener) and reachable(region, listener, integration["connectionId"]),
            headers={form[1]: f"${value}" for form, value in found if form},
            timeout=integration["timeoutInMillis"] / 1000,
            rate=limits.get("throttlingRateLimit"),
            burst=limits.get("throttlingBurstLimit"),
            needs_key=method["apiKeyRequired"],
            schema=method.get("_schema"),
            target=urlsplit(integration["uri"]).path or "/",
            variables={
                key.removeprefix(IN_PATH): value.removeprefix("method.request.path.")
                for key, value in integration["requestParameters"].items()
                if key.startswith(IN_PATH)
            },
        )


def _all(api: RestApi) -> Iterator[tuple[str, Json]]:
    for stage in _first(api):
        yield from _methods(api.deployments[stage["deploymentId"]]["_resources"])


def _methods(resources: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    for path, resource in resources.items():
        yield from ((path, method) for method in resource.get("resourceMethods", {}).values())


def _listener(region: str, integration: Json) -> str:
    """Return the listener of the target on the port of the URI; "" if there is none."""
    balancer: Any = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].load_balancers.get(
        integration["integrationTarget"]
    )
    port = urlsplit(integration["uri"]).port or 80
    listeners = balancer.listeners.values() if balancer else ()
    return next((str(one.arn) for one in listeners if int(one.port) == port), "")


def _holders(api: RestApi, stage: str) -> Iterator[tuple[str, KeyHolder]]:
    """Yield the value of each key that may use a stage, with its limits."""
    keys = api_keys(api.region)
    for plan in usage_plans(api.region).values():
        if {"apiId": api.id, "stage": stage} not in plan["apiStages"]:
            continue
        throttle, quota = plan.get("throttle", {}), plan.get("quota", {})
        limits = PlanLimits(
            throttle.get("rateLimit"), throttle.get("burstLimit"), quota.get("limit"), quota.get("period", "MONTH")
        )
        for key in (keys[id] for id in plan["_keys"]):
            if key["enabled"]:
                yield key["_value"], KeyHolder(key["id"], plan["id"], limits)
