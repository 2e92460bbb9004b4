"""The calls of the balancers that a listening port stands behind, and the account's listeners as routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.elb.routing import Listener, RoutingRule
from orderops.local.elb.targets import LONGEST_DRAIN, HealthCheck, Targets
from orderops.local.emulator.protocol import ApiError, Request, Response, element, xml_answer
from orderops.local.emulator.server import Emulator
from orderops.local.ports import port_is_free, taken_text

SERVICE = "elasticloadbalancing"
LAST = float("inf")


def take_part(emulator: Emulator, targets: Targets, listens_on: Callable[[int], bool]) -> None:
    """Tell the health of what is really there, and refuse a listener whose port another program has."""

    def health(call: Request) -> Response:
        return _health(call, targets)

    def port(call: Request) -> None:
        wanted = int(call.form.get("Port", 0))
        if wanted and not listens_on(wanted) and not port_is_free(wanted):
            raise ApiError("InvalidConfigurationRequest", taken_text(wanted))

    emulator.instead[SERVICE, "DescribeTargetHealth"] = health
    emulator.before[SERVICE, "CreateListener"] = [port]


def balancers() -> list[Any]:
    return [one for _, _, backend in get_backend("elbv2").iter_backends() for one in backend.load_balancers.values()]


def routes() -> list[Listener]:
    """Every listener of every balancer."""
    return [
        Listener(
            arn=listener.arn,
            balancer=balancer.name,
            port=int(listener.port),
            rules=tuple(sorted((_rule(rule) for rule in listener.rules.values()), key=lambda rule: rule.priority)),
            idle_timeout=float(balancer.attrs.get("idle_timeout.timeout_seconds", 60)),
        )
        for balancer in balancers()
        for listener in balancer.listeners.values()
        if listener.port
    ]


def checks() -> dict[str, HealthCheck]:
    """How each target group asks after its targets."""
    found = {}
    for _, _, backend in get_backend("elbv2").iter_backends():
        for group in backend.target_groups.values():
            found[group.arn] = HealthCheck(
                path=group.health_check_path or "/",
                matcher=str((group.matcher or {}).get("HttpCode", "200")),
                timeout=float(group.health_check_timeout_seconds or 5),
                healthy_after=int(group.healthy_threshold_count),
                unhealthy_after=int(group.unhealthy_threshold_count),
                drain=float(group.attributes.get("deregistration_delay.timeout_seconds", LONGEST_DRAIN)),
                in_use=bool(group.load_balancer_arns),
            )
    return found


def _rule(rule: Any) -> RoutingRule:
    priority = LAST if rule.priority in ("default", None) else float(rule.priority)
    return RoutingRule(priority, tuple(rule.conditions or ()), tuple(dict(action.data) for action in rule.actions))


def _health(call: Request, targets: Targets) -> Response:
    arn = call.form.get("TargetGroupArn", "")
    group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][call.region].target_groups.get(arn)
    if group is None:
        raise ApiError("TargetGroupNotFound", "One or more target groups not found")
    asked = [(one.get("Id", ""), one.get("Port")) for one in call.members("Targets")]
    members = []
    for target in targets.of(arn):
        if asked and not any(name == "127.0.0.1" and port in (None, str(target.port)) for name, port in asked):
            continue
        health = element("State", target.state)
        if target.reason:
            health += element("Reason", target.reason) + element("Description", target.description)
        members.append(
            f"<member><Target>{element('Id', '127.0.0.1')}{element('Port', target.port)}</Target>"
            f"{element('HealthCheckPort', target.port)}<TargetHealth>{health}</TargetHealth></member>"
        )
    return xml_answer(call, f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>")
