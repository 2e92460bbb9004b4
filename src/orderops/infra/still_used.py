"""Connections that undeclared resources still use, allowed until those resources are pruned.

A listener whose port was changed in the file, and a service that was taken out of it, go on serving until `--prune`. So
the security groups that they depend on stay open for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from orderops.engine.inventory import Owned
from orderops.engine.resource import Resource
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.stack import Stack
from orderops.resources.ec2_security_group import MAX_RULES, Ec2SecurityGroup, IngressRule, peer_of, port_of
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.text.lists import joined

KINDS: tuple[type[Resource], ...] = (Elbv2Listener, Ec2SecurityGroup)
"""The kinds that are looked at."""


def kept_open(stack: Stack, owned: Collection[Owned], declared: Collection[str]) -> list[Resource]:
    """The infrastructure, still open for undeclared listeners and services among the owned resources.

    Only what is open now stays so. Raises OrderopsError if a security group has no room for old and new rules.
    """
    undeclared = [resource for resource in owned if resource.address not in declared]
    groups = {
        stack.entrance.address: _open_at(stack, _former_ports(stack.entrance, owned, undeclared)),
        stack.database_group.address: _open_for(stack, _former_services(stack.database_group, owned, undeclared)),
    }
    return [groups.get(resource.address, resource) for resource in stack.infra]


def _former_ports(entrance: Ec2SecurityGroup, owned: Iterable[Owned], undeclared: Iterable[Owned]) -> list[int]:
    ports = {port for line in _ingress(entrance, owned) if (port := port_of(line)) is not None}
    listening = {resource.observed.properties["Port"] for resource in undeclared if resource.kind is Elbv2Listener}
    return sorted(ports & listening)


def _former_services(group: Ec2SecurityGroup, owned: Iterable[Owned], undeclared: Iterable[Owned]) -> dict[str, str]:
    """Id and name of each undeclared security group that may connect."""
    peers = {peer_of(line) for line in _ingress(group, owned)}
    groups = [resource.observed for resource in undeclared if resource.kind is Ec2SecurityGroup]
    return {observed.id: observed.name for observed in groups if observed.id in peers}


def _ingress(group: Ec2SecurityGroup, owned: Iterable[Owned]) -> list[str]:
    found = (resource.observed for resource in owned if resource.address == group.address)
    return [line for observed in found for line in observed.properties["Ingress"]]


def _open_at(stack: Stack, ports: Collection[int]) -> Ec2SecurityGroup:
    entrance = stack.entrance
    # Of one of the declared ports alone: each has a rule for each range.
    ranges = [rule for rule in entrance.ingress if rule.port == entrance.ingress[0].port]
    former = [replace(rule, port=port) for port in ports for rule in ranges]
    rules = (*entrance.ingress, *former)
    if former and len(rules) > MAX_RULES:
        old, env = joined([str(port) for port in ports]), stack.environment.name
        raise OrderopsError(
            f"port {old} of the load balancer is still open: with {len(entrance.ingress)} allowed_cidrs, old and new "
            f"port need {len(rules)} rules, and a security group has at most {MAX_RULES}",
            f"move with fewer allowed_cidrs, or close port {old} at once: orderops up --prune --env {env}",
        )
    return replace(entrance, ingress=rules)


def _open_for(stack: Stack, services: Mapping[str, str]) -> Ec2SecurityGroup:
    group, port = stack.database_group, stack.environment.database.port
    prefix = f"{stack.environment.prefix}-"
    rules = tuple(IngressRule(port, id, name.removeprefix(prefix)) for id, name in services.items())
    return replace(group, ingress=(*group.ingress, *rules))
