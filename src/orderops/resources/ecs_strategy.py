"""How a service changes its release: rolling, or with a second target group that takes over the traffic.

Sources: "Amazon ECS blue/green deployments" in the ECS developer guide; DeploymentConfiguration, AdvancedConfiguration
and DeploymentLifecycleHook in its API reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from orderops.engine.resource import Outputs
from orderops.frozen import Frozen
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup, is_named
from orderops.resources.iam_role import IamRole

TESTED = "POST_TEST_TRAFFIC_SHIFT"
"""The stage in which only requests of the test rule reach the new tasks."""
SHIFTED = "POST_PRODUCTION_TRAFFIC_SHIFT"
"""The stage in which all requests reach them, and the tasks before still run."""
UNTESTED_MINUTES = 30
"""Minutes after which ECS returns to the release before, if nobody has looked at the new one."""
UNWATCHED_MINUTES = 5
"""Minutes after the bake at which ECS completes a release that nobody watches any more."""
ROLLING = {"strategy": "ROLLING", "lifecycleHooks": []}
HOOK_KEYS = ("targetType", "lifecycleStages", "timeoutConfiguration")


class SecondGroup(Frozen):
    """A deployment whose tasks join the rule's other target group, are tested there, and take over the traffic."""

    role: IamRole
    """What ECS changes rules and target groups with."""
    test_rule: Elbv2Rule
    bake_seconds: int
    canary_percent: float | None = None
    """Percent of the requests that the new tasks get first; None to shift all at once."""
    canary_minutes: int = 0

    @property
    def duration(self) -> timedelta:
        """How long it takes at most beside starting tasks: the pauses and the canary's share."""
        minutes = self.canary_minutes + UNTESTED_MINUTES + UNWATCHED_MINUTES
        return timedelta(minutes=minutes, seconds=self.bake_seconds)

    def configuration(self) -> dict[str, Any]:
        """The members of deploymentConfiguration that belong to the strategy."""
        baked = math.ceil(self.bake_seconds / 60) + UNWATCHED_MINUTES
        configuration: dict[str, Any] = {
            "strategy": "BLUE_GREEN" if self.canary_percent is None else "CANARY",
            # The bake is the second pause, which a watching run ends to the second, or sooner on request.
            "bakeTimeInMinutes": 0,
            "lifecycleHooks": [_pause(SHIFTED, baked, "CONTINUE"), _pause(TESTED, UNTESTED_MINUTES, "ROLLBACK")],
        }
        if self.canary_percent is not None:
            configuration["canaryConfiguration"] = {
                "canaryPercent": float(self.canary_percent),
                "canaryBakeTimeInMinutes": self.canary_minutes,
            }
        return configuration


def observed_configuration(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same members as ECS returns them."""
    hooks = [{key: hook[key] for key in HOOK_KEYS if key in hook} for hook in raw.get("lifecycleHooks") or ()]
    configuration = {
        "strategy": raw.get("strategy", "ROLLING"),
        "lifecycleHooks": sorted(hooks, key=lambda hook: str(hook.get("lifecycleStages"))),
    }
    if configuration["strategy"] != "ROLLING":
        configuration["bakeTimeInMinutes"] = raw.get("bakeTimeInMinutes", 0)
    # UpdateService keeps what a request leaves out, so another strategy may still carry a canary's share.
    if configuration["strategy"] == "CANARY":
        canary = raw.get("canaryConfiguration") or {}
        configuration["canaryConfiguration"] = {
            key: canary.get(key) for key in ("canaryPercent", "canaryBakeTimeInMinutes")
        }
    return configuration


def shift_duration(observed: Mapping[str, Any]) -> timedelta:
    """How long a share of the requests goes to new tasks first, by the properties of an observed service."""
    configuration = observed.get("deploymentConfiguration") or {}
    return timedelta(minutes=(configuration.get("canaryConfiguration") or {}).get("canaryBakeTimeInMinutes") or 0)


def balanced(
    rule: Elbv2Rule, second: SecondGroup | None, container: str, port: int, outputs: Outputs
) -> dict[str, Any]:
    """The service's load balancer as a property; with two groups, which of them is live is no part of it."""
    target = {"containerName": container, "containerPort": port}
    if second is None or rule.alternate is None:
        return {"targetGroupArn": outputs[rule.target_group].arn, **target}
    return {
        "targetGroupArns": [outputs[group].arn for group in (rule.target_group, rule.alternate)],
        **target,
        "productionListenerRule": outputs[rule].arn,
        "testListenerRule": outputs[second.test_rule].arn,
        "roleArn": outputs[second.role].arn,
    }


def observed_balancer(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same property of what ECS returns."""
    target = {key: raw[key] for key in ("targetGroupArn", "containerName", "containerPort") if key in raw}
    advanced = raw.get("advancedConfiguration") or {}
    if not advanced.get("alternateTargetGroupArn"):
        return target
    groups = [target.pop("targetGroupArn", ""), advanced["alternateTargetGroupArn"]]
    rest = {key: advanced.get(key) for key in ("productionListenerRule", "testListenerRule", "roleArn")}
    return {"targetGroupArns": groups, **target, **rest}


def in_order(balanced: Mapping[str, Any], first: Elbv2TargetGroup) -> dict[str, Any]:
    """An observed property with its target groups in the order of a declaration: ECS may return them the other way."""
    groups = sorted(balanced.get("targetGroupArns", ()), key=lambda arn: not is_named(arn, first))
    return {**balanced, "targetGroupArns": groups} if groups else dict(balanced)


def production_rule(balancers: Sequence[Mapping[str, Any]]) -> str:
    """The ARN of the rule that leads to two target groups, of observed load balancers; "" without such a rule."""
    return next((str(one["productionListenerRule"]) for one in balancers if one.get("productionListenerRule")), "")


def given_balancer(balanced: Mapping[str, Any]) -> dict[str, Any]:
    """The property as a parameter of CreateService and UpdateService."""
    if "targetGroupArns" not in balanced:
        return dict(balanced)
    first, second = balanced["targetGroupArns"]
    keys = ("productionListenerRule", "testListenerRule", "roleArn")
    target = {key: balanced[key] for key in ("containerName", "containerPort")}
    advanced = {"alternateTargetGroupArn": second, **{key: balanced[key] for key in keys}}
    return {"targetGroupArn": first, **target, "advancedConfiguration": advanced}


def _pause(stage: str, minutes: int, action: str) -> dict[str, Any]:
    limit = {"timeoutInMinutes": minutes, "action": action}
    return {"targetType": "PAUSE", "lifecycleStages": [stage], "timeoutConfiguration": limit}
