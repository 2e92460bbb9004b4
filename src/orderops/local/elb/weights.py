"""Weights of a rule's target groups, which ECS moves while a deployment takes over the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID


def forwarded_groups(region: str, rule_arn: str) -> dict[str, int]:
    """The target groups, with their weights, of a rule whose only action forwards; {} for any other rule."""
    rule = _rule(region, rule_arn)
    actions = [dict(action.data) for action in rule.actions] if rule else []
    if [action["Type"] for action in actions] != ["forward"]:
        return {}
    return weights_in(actions[0])


def weights_in(action: Mapping[str, Any]) -> dict[str, int]:
    """The target groups of an action, with their weights; {} for one that does not forward."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups") or [action]
    return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups if "TargetGroupArn" in group}


def set_weights(region: str, rule_arn: str, weights: Mapping[str, int]) -> None:
    """Send a rule's requests to target groups by weight; nothing if the rule is gone."""
    if not has_rule(region, rule_arn):
        return
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].modify_rule(rule_arn, [], [action])


def has_rule(region: str, rule_arn: str) -> bool:
    """Tell whether there is such a rule."""
    return _rule(region, rule_arn) is not None


def _rule(region: str, rule_arn: str) -> Any:
    for balancer in get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].load_balancers.values():
        for listener in balancer.listeners.values():
            if rule_arn in listener.rules:
                return listener.rules[rule_arn]
    return None
