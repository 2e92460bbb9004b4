"""The account's HTTP APIs as they are served on this machine. Call only while holding the emulator's lock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.keys import KeyHolder
from orderops.local.apigateway.matching import GatewayRoute
from orderops.local.apigateway.store import HttpApi, Json, api_records, every_api, link_records, link_status
from orderops.local.elb.reach import lets_groups_in
from orderops.local.emulator.protocol import Response
from orderops.local.ports import HOST, free_port

OVERWRITTEN = re.compile(r"overwrite:header\.(.+)")
DEFAULT = "$default"
STREAM = "access"


@dataclass(frozen=True)
class ServedApi:
    """An API with a stage, and the port of its own on which it answers."""

    id: str
    region: str
    port: int
    routes: tuple[GatewayRoute, ...]
    log_group: str
    log_format: str
    stage: str = ""
    """The stage of a REST API, which is the first part of the path; "" for an HTTP API."""
    holders: Mapping[str, KeyHolder] = field(default_factory=dict)
    """The holders of API keys by their values."""


def served_apis() -> list[ServedApi]:
    """Return the APIs that answer: those with the stage that is no part of the path."""
    return [_served(api) for api in every_api() if DEFAULT in api.stages and "_port" in api.record]


def linked_listeners() -> set[str]:
    """Return the ARNs of the listeners to which VPC links lead."""
    return {one["integrationUri"] for api in every_api() for one in api.integrations.values()}


def on_this_machine(region: str, answer: Response) -> Response:
    """Let an API that was just created answer on a port of this machine instead of a host of AWS."""
    document = json.loads(answer.body)
    record = api_records(region)[document["apiId"]]
    record["_port"] = free_port()
    record["api"]["apiEndpoint"] = f"http://{HOST}:{record['_port']}"
    return replace(answer, body=json.dumps({**document, "apiEndpoint": record["api"]["apiEndpoint"]}).encode())


def write_lines(lines: Iterable[tuple[str, str, int, str]]) -> None:
    """Write lines of access logs, each with its region, log group and time in milliseconds."""
    for region, group, at, text in lines:
        logs = get_backend("logs")[DEFAULT_ACCOUNT_ID][region]
        if group not in logs.groups:
            continue
        if STREAM not in logs.groups[group].streams:
            logs.create_log_stream(group, STREAM)
        logs.put_log_events(group, STREAM, [{"timestamp": at, "message": text}])


def _served(api: HttpApi) -> ServedApi:
    stage = api.stages[DEFAULT]
    logs = stage.get("accessLogSettings", {})
    return ServedApi(
        api.id,
        api.region,
        api.record["_port"],
        tuple(_routes(api, stage)),
        logs.get("destinationArn", "").partition(":log-group:")[2],
        logs.get("format", ""),
    )


def _routes(api: HttpApi, stage: Json) -> Iterator[GatewayRoute]:
    for route in api.routes.values():
        integration = api.integrations.get(route.get("target", "").removeprefix("integrations/"))
        if integration is None:
            continue
        jwt = api.authorizers.get(route.get("authorizerId", ""), {}).get("jwtConfiguration", {})
        limits = {**stage["defaultRouteSettings"], **stage["routeSettings"].get(route["routeKey"], {})}
        found = (OVERWRITTEN.fullmatch(key) for key in integration.get("requestParameters", {}))
        yield GatewayRoute(
            key=route["routeKey"],
            authorization=route["authorizationType"],
            issuer=jwt.get("issuer", ""),
            audience=frozenset(jwt.get("audience", ())),
            scopes=frozenset(route.get("authorizationScopes", ())),
            listener=integration["integrationUri"],
            reachable=reachable(api.region, integration["integrationUri"], integration["connectionId"]),
            headers={form[1]: integration["requestParameters"][form[0]] for form in found if form},
            timeout=integration["timeoutInMillis"] / 1000,
            rate=limits.get("throttlingRateLimit"),
            burst=limits.get("throttlingBurstLimit"),
        )


def reachable(region: str, listener: str, link_id: str) -> bool:
    """Tell whether a link is available, and the load balancer of a listener admits it."""
    link = link_records(region).get(link_id)
    found = _listener(region, listener)
    if link is None or found is None or link_status(link) != "AVAILABLE":
        return False
    balancer, port = found
    return lets_groups_in(region, balancer.security_groups or (), port, link["securityGroupIds"])


def _listener(region: str, arn: str) -> tuple[Any, int] | None:
    for balancer in get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].load_balancers.values():
        if arn in balancer.listeners:
            return balancer, int(balancer.listeners[arn].port)
    return None
