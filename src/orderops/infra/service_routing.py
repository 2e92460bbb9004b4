"""How requests reach a service: one target group and a rule, or two groups that change places at each release."""

from __future__ import annotations

import hashlib

from orderops.config.environment import LONGEST_NAME, Environment, ServiceConfig
from orderops.engine.resource import Resource
from orderops.frozen import Frozen, replace
from orderops.infra.network import Network
from orderops.infra.roles import role_of
from orderops.resources.ecs_strategy import SecondGroup
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.iam_role import Allow

CANDIDATE = "x-orderops-candidate"
"""Header whose value is the service's key: such a request reaches the release that is tested."""


class ServiceRouting(Frozen):
    """The target groups of a service and the rules that lead to them."""

    target_group: Elbv2TargetGroup
    rule: Elbv2Rule
    alternate: Elbv2TargetGroup | None = None
    second: SecondGroup | None = None
    also: ServiceRouting | None = None
    """The same behind another load balancer, while requests come by two."""

    @property
    def target_groups(self) -> tuple[Elbv2TargetGroup, ...]:
        """Both groups, or the only one."""
        return (self.target_group, self.alternate) if self.alternate else (self.target_group,)

    @property
    def rules(self) -> tuple[Elbv2Rule, ...]:
        """The rule for all requests, and the one for requests to the release that is tested."""
        return (self.rule, self.second.test_rule) if self.second else (self.rule,)

    def resources(self) -> list[Resource]:
        """All of them."""
        role = [self.second.role] if self.second else []
        also = self.also.resources() if self.also else []
        return [*self.target_groups, *self.rules, *role, *also]


def routing_of(
    environment: Environment, network: Network, listener: Elbv2Listener, key: str, inner: Elbv2Listener | None = None
) -> ServiceRouting:
    """The routing of a service as its strategy needs it; with `inner`, the same behind another listener as well."""
    routing = _routing_of(environment, network, listener, key)
    return replace(routing, also=_routing_of(environment, network, inner, key)) if inner else routing


def _routing_of(environment: Environment, network: Network, listener: Elbv2Listener, key: str) -> ServiceRouting:
    declared = environment.services[key]
    # A target group belongs to one load balancer, so the internal one has groups of its own.
    behind = "-int" if listener.load_balancer.internal else ""
    name = _named(environment, key, behind)
    priority, paths, hosts = environment.routing.priority(key), tuple(declared.paths), tuple(declared.hosts)
    target_group = _target_group(name, network, declared)
    rule_name = f"{name}:{listener.port}"
    if declared.strategy == "rolling":
        rule = Elbv2Rule(rule_name, listener, target_group, priority, paths, hosts=hosts)
        return ServiceRouting(target_group, rule)
    alternate = _target_group(_named(environment, key, f"{behind}-alt"), network, declared)
    rule = Elbv2Rule(rule_name, listener, target_group, priority, paths, alternate, hosts=hosts)
    test_rule = Elbv2Rule(
        f"{name}-candidate:{listener.port}",
        listener,
        target_group,
        environment.routing.test_priority(key),
        paths,
        alternate,
        header=(CANDIDATE, key),
        hosts=hosts,
    )
    return ServiceRouting(target_group, rule, alternate, _second(environment, name, declared, rule, test_rule))


def _named(environment: Environment, key: str, suffix: str) -> str:
    """The name of a service with a suffix, shortened where it would be too long."""
    name = f"{environment.service_name(key)}{suffix}"
    if len(name) <= LONGEST_NAME:
        return name
    # A shortened name may be that of another service, too.
    of = key if suffix == "-alt" else f"{key}{suffix}"
    mark = hashlib.sha256(of.encode()).hexdigest()[:4]
    return f"{name[: LONGEST_NAME - len(mark) - 1].rstrip('-')}-{mark}"


def _target_group(name: str, network: Network, declared: ServiceConfig) -> Elbv2TargetGroup:
    return Elbv2TargetGroup(
        name,
        network.vpc,
        declared.port,
        health_path=declared.health_path,
        deregistration_delay=declared.deregistration_delay_seconds,
    )


def _second(
    environment: Environment, name: str, declared: ServiceConfig, rule: Elbv2Rule, test_rule: Elbv2Rule
) -> SecondGroup:
    groups = tuple(group for group in (rule.target_group, rule.alternate) if group)
    reads = ("DescribeListeners", "DescribeRules", "DescribeTargetGroups", "DescribeTargetHealth")
    # What AmazonECSInfrastructureRolePolicyForLoadBalancers allows, on these groups and rules alone.
    allow = (
        # These actions support no resource-level permissions.
        Allow(tuple(f"elasticloadbalancing:{read}" for read in reads), ("*",)),
        Allow(("elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"), groups),
        Allow(("elasticloadbalancing:ModifyRule",), (rule, test_rule)),
        Allow(("elasticloadbalancing:ModifyListener",), (rule.listener,)),
    )
    canary = declared.strategy == "canary"
    return SecondGroup(
        role_of(environment, f"{name}-traffic", "ecs.amazonaws.com", allow),
        test_rule,
        bake_seconds=declared.bake_seconds,
        canary_percent=declared.canary_percent if canary else None,
        canary_minutes=declared.canary_minutes if canary else 0,
    )
