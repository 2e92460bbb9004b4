"""Balancers that are provisioned for a while, that may be protected, and whose interfaces outlive them."""

from __future__ import annotations

import time
from typing import Any
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, leave_behind, of_balancer
from orderops.local.strict.xml import edited, having, put

SERVICE = "elasticloadbalancing"
NOBODY = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
NOT_IN_USE = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic from the load balancer",
}


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Let balancers come and go as on AWS, and call no target healthy that nobody serves."""

    def created(call: Request, _answer: Response) -> None:
        balancers = backend("elbv2", call.region).load_balancers.values()
        made = next(one for one in balancers if one.name == call.form["Name"])
        made.ready_at = time.time() + pace.balancer

    def deleted(call: Request) -> None:
        _delete(call, time.time() + pace.interfaces)

    emulator.on_after(SERVICE, "CreateLoadBalancer", created)
    emulator.on_after(SERVICE, "DescribeLoadBalancers", _described)
    emulator.on_before(SERVICE, "DeleteLoadBalancer", deleted)
    emulator.on_after(SERVICE, "DescribeTargetHealth", _unserved)


def provisioning(balancer: Any) -> bool:
    """It was made a moment ago."""
    return bool(getattr(balancer, "ready_at", 0.0) > time.time())


def _described(call: Request, answer: Response) -> Response | None:
    balancers = backend("elbv2", call.region).load_balancers.values()
    young = {one.arn for one in balancers if provisioning(one)}
    if not young:
        return None

    def mark(root: Element) -> None:
        for each in having(root, "LoadBalancerArn"):
            state = each.find("State")
            if each.findtext("LoadBalancerArn") in young and state is not None and state.findtext("Code") == "active":
                put(state, "Code", "provisioning")

    return edited(answer, mark)


def _delete(call: Request, until: float) -> None:
    balancer = backend("elbv2", call.region).load_balancers.get(call.form.get("LoadBalancerArn"))
    if balancer is None:
        return
    if balancer.attrs.get("deletion_protection.enabled") == "true":
        raise ApiError(
            "OperationNotPermitted",
            f"Load balancer '{balancer.arn}' cannot be deleted because deletion protection is enabled",
        )
    leave_behind(call.region, of_balancer(balancer, until))


def _unserved(call: Request, answer: Response) -> Response:
    """No data plane answered for these targets, so nobody answers at them."""
    elb, group = backend("elbv2", call.region), call.form.get("TargetGroupArn")
    told = NOBODY if elb._any_listener_using(group) else NOT_IN_USE

    def mark(root: Element) -> None:
        for health in having(root, "State", "healthy"):
            for name, text in told.items():
                put(health, name, text)

    return edited(answer, mark) if b">healthy<" in answer.body else answer
