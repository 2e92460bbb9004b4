"""Application Auto Scaling: a policy needs its target, a target its service, and both go together."""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

SERVICE = "application-autoscaling"


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses. That registering moves the desired count is for who answers about services."""
    emulator.on_before(SERVICE, "RegisterScalableTarget", _can_be_registered)
    emulator.on_before(SERVICE, "PutScalingPolicy", _has_target)
    emulator.on_before(SERVICE, "DeregisterScalableTarget", _has_target)
    emulator.on_after(SERVICE, "DeregisterScalableTarget", _policies_go_too)


def mend(emulator: Emulator) -> None:
    """A policy put again replaces its alarms; moto makes others beside them."""
    emulator.on_before(SERVICE, "PutScalingPolicy", _remember_policy)
    emulator.on_after(SERVICE, "PutScalingPolicy", _without_old_alarms)


def _can_be_registered(call: Request) -> None:
    asked, target = call.json, _target(call)
    least = asked.get("MinCapacity", target and target.min_capacity)
    most = asked.get("MaxCapacity", target and target.max_capacity)
    if least is None or most is None:
        raise ApiError("ValidationException", "Both MinCapacity and MaxCapacity must be specified for a new target.")
    if least > most:
        raise ApiError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    if asked["ServiceNamespace"] == "ecs" and not _is_active(call.region, asked["ResourceId"]):
        raise ApiError("ValidationException", f"ECS service doesn't exist: {asked['ResourceId']}")


def _is_active(region: str, resource: str) -> bool:
    _, cluster, name = resource.split("/")
    service = get_backend("ecs")[DEFAULT_ACCOUNT_ID][region].services.get(f"{cluster}:{name}")
    return service is not None and service.status == "ACTIVE"


def _has_target(call: Request) -> None:
    if _target(call) is None:
        asked = call.json
        raise ApiError(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: {asked['ServiceNamespace']}, "
            f"resource ID: {asked['ResourceId']}, scalable dimension: {asked['ScalableDimension']}",
        )


def _policies_go_too(call: Request, _answer: Response) -> None:
    asked, backend = call.json, _backend(call)
    place = (asked["ServiceNamespace"], asked["ResourceId"], asked["ScalableDimension"])
    for policy in list(backend.policies.values()):
        if (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == place:
            backend.delete_scaling_policy(policy.policy_name, *place)


def _remember_policy(call: Request) -> None:
    asked = call.json
    place = (asked["ServiceNamespace"], asked["ResourceId"], asked["ScalableDimension"])
    call.environ["orderops.policies"] = [
        policy
        for policy in _backend(call).policies.values()
        if policy.policy_name == asked["PolicyName"]
        and (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == place
    ]


def _without_old_alarms(call: Request, _answer: Response) -> None:
    for policy in call.environ["orderops.policies"]:
        policy.delete_alarms(DEFAULT_ACCOUNT_ID, call.region)


def _target(call: Request) -> Any:
    asked = call.json
    return _backend(call).targets.get(asked["ScalableDimension"], {}).get(asked["ResourceId"])


def _backend(call: Request) -> Any:
    return get_backend("applicationautoscaling")[DEFAULT_ACCOUNT_ID][call.region]
