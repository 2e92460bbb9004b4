"""The health of the entrance: the load balancer and its targets, and what the service answers through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import Ownership
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.laptop import explaining, repairing
from orderops.infra.domain import public_url
from orderops.infra.readiness import AskReady, ReadyAnswer, ReadyState, asked_service, on_this_machine
from orderops.infra.workspace import Workspace
from orderops.resources.apigateway_rest_api import rest_apis
from orderops.resources.apigatewayv2_api import apis
from orderops.resources.apigatewayv2_domain_name import domain_name
from orderops.text.lists import joined

API = "ApiEndpoint"
"""The key of the URL of an API, beside what AWS describes of the load balancer; "" while there is no API."""


def read_entrance(workspace: Workspace) -> Mapping[str, Any] | None:
    """The load balancer as AWS describes it, and the URL of the API before it; None if there is none."""
    names = [workspace.stack.balancer.name]
    response = if_found(workspace.aws.elbv2.describe_load_balancers, "LoadBalancerNotFound", Names=names)
    if not response:
        return None
    balancer: Mapping[str, Any] = response["LoadBalancers"][0]
    return {**balancer, API: _api_url(workspace)} if workspace.stack.api else balancer


def _api_url(workspace: Workspace) -> str:
    """By the first name that leads to it, once that is there."""
    owner = Ownership(workspace.environment.name)
    for name in workspace.stack.listeners.names[:1]:
        named = domain_name(workspace.aws, name.name)
        if named and owner.has(named.tags or {}):
            return str(named.properties["Url"])
    list_apis = rest_apis if workspace.environment.api.kind == "rest" else apis
    found = list_apis(workspace.aws, owner)
    return next((str(api.properties[API]) for api in found), "")


def url_of(workspace: Workspace, entrance: Mapping[str, Any]) -> str:
    """Where the API answers, or else the load balancer."""
    return str(entrance[API]) if entrance.get(API) else public_url(workspace.environment, entrance["DNSName"])


def urls_of(workspace: Workspace, entrance: Mapping[str, Any] | None) -> dict[str, str]:
    """What clients open, by name."""
    if entrance is None:
        return {}
    url = url_of(workspace, entrance)
    return {"url": url, **({"users": f"{url}/users"} if workspace.environment.demonstration else {})}


def balancer_status(workspace: Workspace, entrance: Mapping[str, Any] | None) -> ComponentStatus:
    """The component for the load balancer and its targets."""
    if entrance is None:
        return ComponentStatus("balancer", ComponentState.ABSENT, "no load balancer")
    state = entrance.get("State", {}).get("Code", "active")
    if state not in ("active", "active_impaired"):
        starting = ComponentState.STARTING if state == "provisioning" else ComponentState.DOWN
        detail = ": ".join(filter(None, (state, entrance["State"].get("Reason"))))
        return ComponentStatus("balancer", starting, detail, repairing(workspace, state))
    return _targets(workspace)


def _targets(workspace: Workspace) -> ComponentStatus:
    routings = [base.routing for base in workspace.stack.services.values() if base.routing]
    counts = [_of_service(workspace.aws, [group.name for group in routing.target_groups]) for routing in routings]
    healthy, known = sum(count for count, _, _ in counts), sum(count for _, count, _ in counts)
    reasons = [reason for _, _, reason in counts if reason]
    detail = f"{healthy} of {known} targets healthy" + (f"; {reasons[0]}" if reasons else "")
    state = ComponentState.OK if healthy == known else ComponentState.DEGRADED
    if any(not count for count, _, _ in counts):
        state = ComponentState.DOWN
    follows = tuple(f"service {base.key}" for base in workspace.stack.services.values() if base.routing)
    return ComponentStatus("balancer", state, detail, "orderops status --watch", follows=follows)


def _of_service(aws: Aws, groups: Sequence[str]) -> tuple[int, int, str]:
    """The same of all target groups of a service: of two, each is empty for every other release."""
    counts = [_healthy(aws, group) for group in groups]
    reasons = [reason for _, _, reason in counts if reason]
    return sum(one[0] for one in counts), sum(one[1] for one in counts), reasons[0] if reasons else ""


def _healthy(aws: Aws, name: str) -> tuple[int, int, str]:
    """Number of healthy targets, number of targets that are not draining, and why the first is not healthy."""
    found = if_found(aws.elbv2.describe_target_groups, "TargetGroupNotFound", Names=[name])
    if not found:
        return 0, 0, f"no target group {name}"
    arn = found["TargetGroups"][0]["TargetGroupArn"]
    response = if_found(aws.elbv2.describe_target_health, "TargetGroupNotFound", TargetGroupArn=arn)
    targets = [target["TargetHealth"] for target in (response or {}).get("TargetHealthDescriptions", ())]
    staying = [target for target in targets if target["State"] != "draining"]
    reasons = [target.get("Description") or target["State"] for target in staying if target["State"] != "healthy"]
    return len(staying) - len(reasons), len(staying), reasons[0] if reasons else ""


def read_readiness(workspace: Workspace, entrance: Mapping[str, Any] | None, ask: AskReady) -> ReadyAnswer | None:
    """Ask the service for readiness; None without a load balancer."""
    if entrance is None:
        return None
    if entrance.get(API) == "":
        return ReadyAnswer(ReadyState.NOT_ASKED, f"no API yet: orderops up --env {workspace.environment.name}")
    if asked_service(workspace.environment) is None:
        return ReadyAnswer(ReadyState.NOT_ASKED, "the load balancer routes /ready to no service")
    return ask(url_of(workspace, entrance))


def readiness_status(workspace: Workspace, answer: ReadyAnswer | None) -> ComponentStatus:
    """The component for what the service answers."""
    label = "readiness"
    if answer is None:
        return ComponentStatus(label, ComponentState.ABSENT, "no load balancer")
    detail = answer.detail
    match answer.state:
        case ReadyState.READY:
            return ComponentStatus(label, ComponentState.OK, detail)
        case ReadyState.NOT_READY | ReadyState.FAILING:
            service = asked_service(workspace.environment)
            follows = ("database", f"queue {service}", f"service {service}", "balancer")
            return ComponentStatus(label, ComponentState.DOWN, detail, explaining(workspace), follows=follows)
        case ReadyState.UNREACHABLE if on_this_machine(answer.url):
            return ComponentStatus(label, ComponentState.DOWN, detail, "orderops local status", follows=("balancer",))
        case ReadyState.UNREACHABLE:
            admitted = workspace.environment.balancer.allowed_cidrs
            only = "" if "0.0.0.0/0" in admitted else f"; it admits only {joined(admitted)}"
            return ComponentStatus(label, ComponentState.UNKNOWN, f"not reachable from this machine: {detail}{only}")
    return ComponentStatus(label, ComponentState.UNKNOWN, detail)
