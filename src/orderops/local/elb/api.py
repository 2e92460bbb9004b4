"""Load balancer requests that depend on real ports, and the account's listeners as routes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.elb.reach import lets_clients_in
from orderops.local.elb.routing import Listener, RoutingRule
from orderops.local.elb.targets import MAX_DRAIN, HealthCheck, Targets
from orderops.local.emulator.protocol import ApiError, Request, Response, element, xml_answer
from orderops.local.emulator.server import Emulator
from orderops.local.ports import port_is_free, taken_text

SERVICE = "elasticloadbalancing"
HSTS_ATTRIBUTE = "routing.http.response.strict_transport_security.header_value"
LAPTOP_ZONE = "localhost."
# The default rule comes after all numbered rules.
DEFAULT_PRIORITY = float("inf")


def register(emulator: Emulator, targets: Targets, listens_on: Callable[[int], bool]) -> None:
    """Report the health of real targets, and reject a listener on a port that another program has."""

    def health(request: Request) -> Response:
        return _health(request, targets)

    def check_port(request: Request) -> None:
        port = int(request.form.get("Port", 0))
        if port and not listens_on(port) and not port_is_free(port):
            raise ApiError("InvalidConfigurationRequest", taken_text(port))

    emulator.on_before("route53", "ListHostedZonesByName", _delegate)
    # moto reports every registered target as healthy.
    emulator.instead[SERVICE, "DescribeTargetHealth"] = health
    emulator.before[SERVICE, "CreateListener"] = [check_port]


def _delegate(request: Request) -> None:
    """Make the hosted zone of the names that every resolver leads to this machine (RFC 6761, section 6.3)."""
    route53 = get_backend("route53")[DEFAULT_ACCOUNT_ID][get_partition(request.region)]
    if all(zone.name != LAPTOP_ZONE for zone in route53.zones.values()):
        route53.create_hosted_zone(LAPTOP_ZONE, private_zone=False)


def balancers() -> list[Any]:
    return [
        balancer
        for _, _, backend in get_backend("elbv2").iter_backends()
        for balancer in backend.load_balancers.values()
    ]


def routes(inner: Collection[str] = ()) -> list[Listener]:
    """Return every listener of every balancer that clients can reach, or an API by a VPC link: those in `inner`."""
    return [
        Listener(
            arn=listener.arn,
            balancer=balancer.name,
            port=int(listener.port),
            rules=tuple(sorted((_rule(rule) for rule in listener.rules.values()), key=lambda rule: rule.priority)),
            idle_timeout=float(balancer.attrs.get("idle_timeout.timeout_seconds", 60)),
            internal=listener.arn in inner,
            certificates=tuple(_certificates(balancer, listener)),
            added_headers=tuple(_added_headers(listener)),
        )
        for balancer in balancers()
        for listener in balancer.listeners.values()
        # A port that no rule opens answers nobody.
        # One behind a VPC link has no clients but the API, which asks the security groups itself. Without a link, an
        # internal balancer has no clients here, and must not take the port of a public one.
        if listener.port and (listener.arn in inner or _lets_clients_in(balancer, int(listener.port)))
    ]


def checks() -> dict[str, HealthCheck]:
    """Return the health check of each target group."""
    checks_by_group = {}
    for _, _, backend in get_backend("elbv2").iter_backends():
        for group in backend.target_groups.values():
            checks_by_group[group.arn] = HealthCheck(
                path=group.health_check_path or "/",
                matcher=str((group.matcher or {}).get("HttpCode", "200")),
                timeout=float(group.health_check_timeout_seconds or 5),
                healthy_after=int(group.healthy_threshold_count),
                unhealthy_after=int(group.unhealthy_threshold_count),
                drain=float(group.attributes.get("deregistration_delay.timeout_seconds", MAX_DRAIN)),
                in_use=bool(group.load_balancer_arns),
            )
    return checks_by_group


def _lets_clients_in(balancer: Any, port: int) -> bool:
    return balancer.scheme != "internal" and lets_clients_in(_region(balancer), balancer.security_groups or (), port)


def _certificates(balancer: Any, listener: Any) -> Iterator[tuple[str, ...]]:
    """Yield the names on each certificate of an HTTPS listener."""
    known = get_backend("acm")[DEFAULT_ACCOUNT_ID][_region(balancer)]._certificates
    for arn in listener.certificates if listener.protocol == "HTTPS" else ():
        if certificate := known.get(arn):
            yield (certificate.common_name, *(name for name in certificate.sans if name != certificate.common_name))


def _added_headers(listener: Any) -> Iterator[tuple[str, str]]:
    value = (listener.attributes or {}).get(HSTS_ATTRIBUTE)
    if value and listener.protocol == "HTTPS":
        yield "strict-transport-security", value


def _region(balancer: Any) -> str:
    return str(balancer.arn.split(":")[3])


def _rule(rule: Any) -> RoutingRule:
    priority = DEFAULT_PRIORITY if rule.priority in ("default", None) else float(rule.priority)
    return RoutingRule(priority, tuple(rule.conditions or ()), tuple(dict(action.data) for action in rule.actions))


def _health(request: Request, targets: Targets) -> Response:
    arn = request.form.get("TargetGroupArn", "")
    group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][request.region].target_groups.get(arn)
    if group is None:
        raise ApiError("TargetGroupNotFound", "One or more target groups not found")
    filters = [(target.get("Id", ""), target.get("Port")) for target in request.members("Targets")]
    members = []
    for target in targets.of(arn):
        if filters and not any(name == "127.0.0.1" and port in (None, str(target.port)) for name, port in filters):
            continue
        health = element("State", target.state)
        if target.reason:
            health += element("Reason", target.reason) + element("Description", target.description)
        members.append(
            f"<member><Target>{element('Id', '127.0.0.1')}{element('Port', target.port)}</Target>"
            f"{element('HealthCheckPort', target.port)}<TargetHealth>{health}</TargetHealth></member>"
        )
    return xml_answer(request, f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>")
