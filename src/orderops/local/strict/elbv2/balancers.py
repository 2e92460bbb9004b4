"""Balancers: provisioned for a while, protected against deletion, with interfaces that are released later."""

from __future__ import annotations

import time
from typing import Any
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, balancer_interfaces, retain_interfaces
from orderops.local.strict.xml import edited, parents_with, set_child

SERVICE = "elasticloadbalancing"
NO_ANSWER = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
NOT_IN_USE = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic from the load balancer",
}


def register(emulator: Emulator, delays: Delays) -> None:
    """Delay balancers as AWS does, and report targets without a server as unhealthy."""

    def created(request: Request, _answer: Response) -> None:
        balancers = backend("elbv2", request.region).load_balancers.values()
        balancer = next(balancer for balancer in balancers if balancer.name == request.form["Name"])
        balancer.ready_at = time.time() + delays.balancer

    def deleted(request: Request) -> None:
        _prepare_deletion(request, time.time() + delays.interfaces)

    emulator.on_after(SERVICE, "CreateLoadBalancer", created)
    emulator.on_after(SERVICE, "DescribeLoadBalancers", _mark_provisioning)
    emulator.on_before(SERVICE, "DeleteLoadBalancer", deleted)
    emulator.on_after(SERVICE, "DescribeTargetHealth", _mark_unserved)


def provisioning(balancer: Any) -> bool:
    """Tell whether the balancer is still being provisioned."""
    return bool(getattr(balancer, "ready_at", 0.0) > time.time())


def _mark_provisioning(request: Request, response: Response) -> Response | None:
    balancers = backend("elbv2", request.region).load_balancers.values()
    new = {balancer.arn for balancer in balancers if provisioning(balancer)}
    if not new:
        return None

    def mark(root: Element) -> None:
        for element in parents_with(root, "LoadBalancerArn"):
            state = element.find("State")
            if element.findtext("LoadBalancerArn") in new and state is not None and state.findtext("Code") == "active":
                set_child(state, "Code", "provisioning")

    return edited(response, mark)


def _prepare_deletion(request: Request, until: float) -> None:
    balancer = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    if balancer is None:
        return
    if balancer.attrs.get("deletion_protection.enabled") == "true":
        raise ApiError(
            "OperationNotPermitted",
            f"Load balancer '{balancer.arn}' cannot be deleted because deletion protection is enabled",
        )
    # AWS releases the interfaces some time after DeleteLoadBalancer; until then, subnets and groups cannot be deleted.
    retain_interfaces(request.region, balancer_interfaces(balancer, until))


def _mark_unserved(request: Request, response: Response) -> Response:
    """Report targets as unhealthy: no data plane answers for them."""
    elb, group = backend("elbv2", request.region), request.form.get("TargetGroupArn")
    health_values = NO_ANSWER if elb._any_listener_using(group) else NOT_IN_USE

    def mark(root: Element) -> None:
        for health in parents_with(root, "State", "healthy"):
            for name, text in health_values.items():
                set_child(health, name, text)

    return edited(response, mark) if b">healthy<" in response.body else response
