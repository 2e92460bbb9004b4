"""Application Auto Scaling: policies need a target, targets need a service, and both are deleted together."""

from __future__ import annotations

import re
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

SERVICE = "application-autoscaling"
METRIC_ID = re.compile(r"[a-z][A-Za-z0-9_]*")


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects. The ECS handlers change the desired count when a target is registered."""
    emulator.on_before(SERVICE, "RegisterScalableTarget", _check_registration)
    emulator.on_before(SERVICE, "PutScalingPolicy", _check_target)
    emulator.on_before(SERVICE, "PutScalingPolicy", _check_metrics)
    emulator.on_before(SERVICE, "DeregisterScalableTarget", _check_target)
    # AWS deletes the policies with their target; moto keeps them.
    emulator.on_after(SERVICE, "DeregisterScalableTarget", _delete_policies)


def patch(emulator: Emulator) -> None:
    """Replace a policy's alarms when it is put again; moto leaves the old ones."""
    # moto creates a policy's alarms again on every put, and forgets the old ones without deleting them.
    emulator.on_before(SERVICE, "PutScalingPolicy", _note_policies)
    emulator.on_after(SERVICE, "PutScalingPolicy", _delete_old_alarms)


def _check_registration(request: Request) -> None:
    parameters, target = request.json, _target(request)
    minimum = parameters.get("MinCapacity", target and target.min_capacity)
    maximum = parameters.get("MaxCapacity", target and target.max_capacity)
    if minimum is None or maximum is None:
        raise ApiError("ValidationException", "Both MinCapacity and MaxCapacity must be specified for a new target.")
    if minimum > maximum:
        raise ApiError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    if parameters["ServiceNamespace"] == "ecs" and not _service_active(request.region, parameters["ResourceId"]):
        raise ApiError("ValidationException", f"ECS service doesn't exist: {parameters['ResourceId']}")


def _service_active(region: str, resource: str) -> bool:
    _, cluster, name = resource.split("/")
    service = get_backend("ecs")[DEFAULT_ACCOUNT_ID][region].services.get(f"{cluster}:{name}")
    return service is not None and service.status == "ACTIVE"


def _check_target(request: Request) -> None:
    if _target(request) is None:
        parameters = request.json
        raise ApiError(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: {parameters['ServiceNamespace']}, "
            f"resource ID: {parameters['ResourceId']}, scalable dimension: {parameters['ScalableDimension']}",
        )


def _check_metrics(request: Request) -> None:
    """Check metric math as TargetTrackingMetricDataQuery in the API reference requires it."""
    configuration = request.json.get("TargetTrackingScalingPolicyConfiguration") or {}
    customized = configuration.get("CustomizedMetricSpecification")
    if configuration and bool(customized) == bool(configuration.get("PredefinedMetricSpecification")):
        raise ApiError("ValidationException", "Specify either a predefined or a customized metric.")
    queries = (customized or {}).get("Metrics") or []
    names = [query["Id"] for query in queries]
    if len(set(names)) < len(names) or not all(METRIC_ID.fullmatch(name) for name in names):
        raise ApiError("ValidationException", "Metric ids must be unique, and begin with a lower-case letter.")
    if any(("Expression" in query) == ("MetricStat" in query) for query in queries):
        raise ApiError("ValidationException", "Specify either Expression or MetricStat in each metric data query.")
    if queries and sum(query.get("ReturnData", True) for query in queries) != 1:
        raise ApiError("ValidationException", "Exactly one metric data query must return data.")


def _delete_policies(request: Request, _answer: Response) -> None:
    parameters, backend = request.json, _backend(request)
    target_key = (parameters["ServiceNamespace"], parameters["ResourceId"], parameters["ScalableDimension"])
    for policy in list(backend.policies.values()):
        if (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == target_key:
            backend.delete_scaling_policy(policy.policy_name, *target_key)


def _note_policies(request: Request) -> None:
    parameters = request.json
    target_key = (parameters["ServiceNamespace"], parameters["ResourceId"], parameters["ScalableDimension"])
    request.environ["orderops.policies"] = [
        policy
        for policy in _backend(request).policies.values()
        if policy.policy_name == parameters["PolicyName"]
        and (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == target_key
    ]


def _delete_old_alarms(request: Request, _answer: Response) -> None:
    for policy in request.environ["orderops.policies"]:
        policy.delete_alarms(DEFAULT_ACCOUNT_ID, request.region)


def _target(request: Request) -> Any:
    parameters = request.json
    return _backend(request).targets.get(parameters["ScalableDimension"], {}).get(parameters["ResourceId"])


def _backend(request: Request) -> Any:
    return get_backend("applicationautoscaling")[DEFAULT_ACCOUNT_ID][request.region]
