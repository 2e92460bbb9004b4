"""Which load balancers use a target group: moto adds them when a rule is created, and never again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.local.elb.weights import weights_in
from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"
CHANGES = ("ModifyRule", "DeleteRule", "ModifyListener", "DeleteListener", "DeleteLoadBalancer")


def register(emulator: Emulator, _delays: Delays) -> None:
    """Count again after each change of a rule or listener."""
    for action in CHANGES:
        emulator.on_after(SERVICE, action, _count)


def _count(request: Request, _answer: Response) -> None:
    elb = backend("elbv2", request.region)
    users: dict[str, set[str]] = {arn: set() for arn in elb.target_groups}
    for balancer in elb.load_balancers.values():
        for group in _forwarded(balancer):
            users.setdefault(group, set()).add(balancer.arn)
    for arn, group in elb.target_groups.items():
        group.load_balancer_arns = sorted(users[arn])


def _forwarded(balancer: Any) -> Iterator[str]:
    for listener in balancer.listeners.values():
        rules = (action for rule in listener.rules.values() for action in rule.actions)
        for action in [*listener.default_actions, *rules]:
            yield from weights_in(action.data)
