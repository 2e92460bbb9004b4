"""What security groups let through: clients to a balancer's port, and a balancer to its targets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID


def lets_clients_in(region: str, groups: Collection[str], port: int) -> bool:
    """Tell whether any client may connect; every client of a laptop stands for all address ranges."""
    return not groups or any(not rule.source_group for rule in _rules(region, groups, port))


def lets_balancer_in(region: str, groups: Collection[str], port: int, target_group: str) -> bool:
    """Tell whether the balancers of a target group may connect to tasks with these security groups."""
    sources = set(_balancer_groups(region, target_group))
    return not groups or any(
        not rule.source_group or rule.source_group.get("GroupId") in sources for rule in _rules(region, groups, port)
    )


def lets_groups_in(region: str, groups: Collection[str], port: int, sources: Collection[str]) -> bool:
    """Tell whether interfaces with these security groups, such as those of a VPC link, may connect to a balancer."""
    return not groups or any(
        not rule.source_group or rule.source_group.get("GroupId") in sources for rule in _rules(region, groups, port)
    )


def _rules(region: str, groups: Collection[str], port: int) -> Iterator[Any]:
    """Yield the ingress rules that cover a TCP port."""
    ec2 = get_backend("ec2")[DEFAULT_ACCOUNT_ID][region]
    for group in (ec2.get_security_group_from_id(id) for id in groups):
        for rule in group.ingress_rules if group else ():
            if rule.ip_protocol == "-1" or (rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port):
                yield rule


def _balancer_groups(region: str, target_group: str) -> Iterator[str]:
    elb = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region]
    found = elb.target_groups.get(target_group)
    for arn in found.load_balancer_arns if found else ():
        if balancer := elb.load_balancers.get(arn):
            yield from balancer.security_groups or ()
