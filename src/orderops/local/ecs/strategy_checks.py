"""What ECS refuses of a deployment strategy: "DeploymentConfiguration" and "AdvancedConfiguration" in its reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.launch import trusts
from orderops.local.ecs.records import Json
from orderops.local.elb.weights import forwarded_groups, has_rule
from orderops.local.emulator.protocol import ApiError

PRINCIPAL = "ecs.amazonaws.com"
EMULATED = ("ROLLING", "BLUE_GREEN", "CANARY")
# "DeploymentLifecycleHookStage", without those at which PAUSE is not allowed.
PAUSES_AT = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
)
LONGEST_PAUSE = 20_160
LONGEST_BAKE = 1440


def check_strategy(region: str, settings: Json, given: Json) -> None:
    """Raise ApiError for settings that ECS would refuse; `given` is the deployment configuration of the request."""
    strategy = settings.get("deploymentConfiguration", {}).get("strategy") or "ROLLING"
    for problem in _problems(strategy, given):
        raise ApiError("InvalidParameterException", problem)
    if strategy not in EMULATED:
        raise ApiError("NotEmulated", f"the strategy {strategy} is not emulated")
    if strategy == "ROLLING":
        return
    for balancer in settings.get("loadBalancers") or ():
        for problem in _balancer_problems(region, balancer):
            raise ApiError("InvalidParameterException", problem)


def _problems(strategy: str, given: Json) -> Iterator[str]:
    if given.get("strategy") == "BLUE_GREEN" and given.get("bakeTimeInMinutes") is None:
        yield "bakeTimeInMinutes is required with the BLUE_GREEN deployment strategy."
    if not 0 <= (given.get("bakeTimeInMinutes") or 0) <= LONGEST_BAKE:
        yield f"bakeTimeInMinutes must be between 0 and {LONGEST_BAKE}."
    canary = given.get("canaryConfiguration") or {}
    if canary and strategy != "CANARY":
        yield "canaryConfiguration is valid only with the CANARY deployment strategy."
    if not 0.1 <= canary.get("canaryPercent", 5) <= 100:
        yield "canaryPercent must be between 0.1 and 100.0."
    if not 0 <= canary.get("canaryBakeTimeInMinutes", 0) <= LONGEST_BAKE:
        yield f"canaryBakeTimeInMinutes must be between 0 and {LONGEST_BAKE}."
    yield from _hook_problems(strategy, given.get("lifecycleHooks") or ())


def _hook_problems(strategy: str, hooks: Sequence[Json]) -> Iterator[str]:
    if hooks and strategy == "ROLLING":
        yield "Lifecycle hooks are not supported with the ROLLING deployment strategy."
    for hook in hooks:
        if hook.get("targetType", "AWS_LAMBDA") != "PAUSE":
            raise ApiError("NotEmulated", "lifecycle hooks that invoke Lambda functions are not emulated")
        if wrong := [stage for stage in hook["lifecycleStages"] if stage not in PAUSES_AT]:
            yield f"PAUSE hooks are not supported at {', '.join(wrong)}."
        if "PRE_PRODUCTION_TRAFFIC_SHIFT" in hook["lifecycleStages"]:
            raise ApiError("NotEmulated", "pauses at PRE_PRODUCTION_TRAFFIC_SHIFT are not emulated")
        if not 1 <= (hook.get("timeoutConfiguration") or {}).get("timeoutInMinutes", 1) <= LONGEST_PAUSE:
            yield f"timeoutInMinutes must be between 1 and {LONGEST_PAUSE}."


def _balancer_problems(region: str, balancer: Json) -> Iterator[str]:
    advanced = balancer.get("advancedConfiguration") or {}
    for name in ("alternateTargetGroupArn", "productionListenerRule", "roleArn"):
        if not advanced.get(name):
            yield f"advancedConfiguration.{name} is required with this deployment strategy."
    groups = [balancer.get("targetGroupArn", ""), advanced.get("alternateTargetGroupArn", "")]
    known = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].target_groups
    if missing := [group for group in groups if group not in known]:
        yield f"Unable to find target group with arn {missing[0]}"
    for name in ("productionListenerRule", "testListenerRule"):
        arn = advanced.get(name)
        if arn and not has_rule(region, arn):
            yield f"Unable to find the listener rule {arn}"
        elif arn and set(forwarded_groups(region, arn)) != set(groups):
            yield f"The listener rule {arn} must forward to both target groups of the service, and do nothing else."
    if not trusts(advanced.get("roleArn", ""), PRINCIPAL):
        yield f"Unable to assume the role {advanced.get('roleArn')}. Verify that it trusts {PRINCIPAL}."
