"""Blue/green and canary deployments: tasks in a second target group, which takes over the traffic stage by stage.

Source: "Amazon ECS blue/green deployments" in the ECS developer guide, and ServiceDeployment in its API reference.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from orderops.local.ecs.records import Deployment, EcsServiceRecord, EcsTask, Json, PauseRecord, TrafficShift
from orderops.local.elb.weights import forwarded_groups, set_weights

STAGES = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
# Seconds. AWS counts bake times in minutes, which is too long for a laptop.
LONGEST_BAKE = 15.0
MINUTE = 60.0
# "CanaryConfiguration" in the ECS API reference.
CANARY_PERCENT, CANARY_MINUTES = 5.0, 10
# "DeploymentLifecycleHookTimeoutConfiguration" in the ECS API reference.
PAUSE_MINUTES, PAUSE_ACTION = 1440, "ROLLBACK"
WHOLE = 100
GIVEN_UP = "The deployment waited at a pause until its time was over."


def has_traffic_shift(service: EcsServiceRecord) -> bool:
    """Tell whether the service's deployments get a target group of their own."""
    strategy = service.settings.get("deploymentConfiguration", {}).get("strategy", "ROLLING")
    return strategy != "ROLLING" and bool(_advanced(service))


def live_group(service: EcsServiceRecord) -> str:
    """Return the target group with the most traffic; "" for a service with only one."""
    weights = forwarded_groups(service.region, _advanced(service).get("productionListenerRule", ""))
    return max(weights, key=lambda group: weights[group], default="")


def begin(service: EcsServiceRecord, deployment: Deployment) -> None:
    """Give a deployment the target group without traffic; the first one of a service gets the one with it."""
    live = live_group(service)
    older = any(other is not deployment and other.rollout == "COMPLETED" for other in _all_deployments(service))
    deployment.group = next((group for group in _groups(service) if group != live), live) if older else live
    deployment.shift = TrafficShift(blue=live)


def send_back(service: EcsServiceRecord, deployment: Deployment) -> None:
    """Send all requests to the tasks before again."""
    if deployment.shift and deployment.shift.blue:
        _send(service, ("productionListenerRule", "testListenerRule"), {deployment.shift.blue: WHOLE})


def may_stop_older(deployment: Deployment) -> bool:
    """Tell whether tasks of older deployments are not needed any more."""
    return deployment.shift is None or deployment.shift.stage == "CLEAN_UP"


def step(
    service: EcsServiceRecord, deployment: Deployment, tasks: list[EcsTask], is_healthy: Callable[[EcsTask], bool]
) -> str:
    """Go through the stages as far as nothing holds them up; return why the deployment has to be given up, or ""."""
    shift = deployment.shift
    while shift and shift.stage != STAGES[-1]:
        if reason := _given_up(shift):
            return reason
        own = [task for task in tasks if task.started_by == deployment.id and task.should_run]
        if shift.stage == "SCALE_UP" and sum(map(is_healthy, own)) < service.desired:
            return ""
        if _held_up(service, deployment, shift):
            return ""
        if shift.stage == "PRODUCTION_TRAFFIC_SHIFT":
            _send(service, ("productionListenerRule",), {deployment.group: WHOLE})
        shift.stage, shift.since, shift.pause = STAGES[STAGES.index(shift.stage) + 1], time.time(), None
        deployment.updated_at = shift.since
        _enter(service, deployment, shift)
    return ""


def continue_at(shift: TrafficShift, hook: str, action: str) -> bool:
    """Answer a pause; False if it does not wait for an answer."""
    if shift.pause is None or shift.pause.id != hook or shift.pause.status != "AWAITING_ACTION":
        return False
    shift.pause.status = "SUCCEEDED" if action == "CONTINUE" else "FAILED"
    return True


def describe(service: EcsServiceRecord, deployment: Deployment) -> Json:
    """Return what DescribeServiceDeployments adds for such a deployment."""
    shift = deployment.shift
    if shift is None:
        return {}
    weights = forwarded_groups(service.region, _advanced(service).get("productionListenerRule", ""))
    return {
        "lifecycleStage": shift.stage,
        "lifecycleHookDetails": [shift.pause.to_dict()] if shift.pause else [],
        "weight": float(weights.get(deployment.group, 0)),
    }


def _given_up(shift: TrafficShift) -> str:
    pause = shift.pause
    if pause and pause.status == "AWAITING_ACTION" and time.time() >= pause.expires:
        pause.status = "TIMED_OUT"
        return GIVEN_UP if pause.action == "ROLLBACK" else ""
    return "A lifecycle hook asked for the rollback." if pause and pause.status == "FAILED" else ""


def _held_up(service: EcsServiceRecord, deployment: Deployment, shift: TrafficShift) -> bool:
    """Tell whether a pause or a bake time is not over."""
    if shift.pause and shift.pause.status == "AWAITING_ACTION":
        return True
    settings = service.settings["deploymentConfiguration"]
    if shift.stage == "BAKE_TIME":
        minutes = settings.get("bakeTimeInMinutes") or 0
    elif (
        shift.stage == "PRODUCTION_TRAFFIC_SHIFT"
        and settings["strategy"] == "CANARY"
        and deployment.group != shift.blue
    ):
        minutes = settings.get("canaryConfiguration", {}).get("canaryBakeTimeInMinutes", CANARY_MINUTES)
    else:
        return False
    return time.time() < shift.since + min(minutes * MINUTE, LONGEST_BAKE)


def _enter(service: EcsServiceRecord, deployment: Deployment, shift: TrafficShift) -> None:
    """Do what a stage begins with."""
    settings = service.settings["deploymentConfiguration"]
    if shift.stage == "TEST_TRAFFIC_SHIFT":
        _send(service, ("testListenerRule",), {deployment.group: WHOLE})
    elif shift.stage == "PRODUCTION_TRAFFIC_SHIFT" and settings["strategy"] == "CANARY":
        percent = settings.get("canaryConfiguration", {}).get("canaryPercent", CANARY_PERCENT)
        share = max(1, round(percent))
        _send(service, ("productionListenerRule",), {deployment.group: share, shift.blue: WHOLE - share})
    for hook in settings.get("lifecycleHooks") or ():
        if shift.stage in hook["lifecycleStages"]:
            limit = hook.get("timeoutConfiguration") or {}
            minutes = limit.get("timeoutInMinutes", PAUSE_MINUTES)
            shift.pause = PauseRecord(
                str(uuid.uuid4()), time.time() + minutes * MINUTE, limit.get("action", PAUSE_ACTION)
            )


def _send(service: EcsServiceRecord, rules: tuple[str, ...], weights: dict[str, int]) -> None:
    """Set the weights of the service's rules; its other target group gets what is left of nothing."""
    for rule in rules:
        if arn := _advanced(service).get(rule):
            others = {group: 0 for group in forwarded_groups(service.region, arn) if group not in weights}
            set_weights(service.region, arn, {**weights, **others})


def _groups(service: EcsServiceRecord) -> list[str]:
    balancers = service.settings.get("loadBalancers") or [{}]
    advanced = _advanced(service)
    return [balancers[0].get("targetGroupArn", ""), advanced.get("alternateTargetGroupArn", "")] if advanced else []


def _advanced(service: EcsServiceRecord) -> Json:
    balancers = service.settings.get("loadBalancers") or [{}]
    return dict(balancers[0].get("advancedConfiguration") or {})


def _all_deployments(service: EcsServiceRecord) -> list[Deployment]:
    return [*service.deployments, *service.past]
