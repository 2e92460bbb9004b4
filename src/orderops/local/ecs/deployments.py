"""The calls of ECS about service deployments: the record of every roll-out, and giving one up."""

from __future__ import annotations

from collections.abc import Callable

from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.records import Deployment, EcsServiceRecord, Json
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.emulator.protocol import ApiError, Request


class ServiceDeployments:
    """Deployments as ListServiceDeployments and its kin know them."""

    def __init__(self, service_of: Callable[[str, str, str], EcsServiceRecord], scheduler: Scheduler) -> None:
        self._service_of = service_of
        self._scheduler = scheduler

    def answers(self) -> dict[str, Callable[[Request], Json]]:
        return {
            "ListServiceDeployments": self._list,
            "DescribeServiceDeployments": self._describe,
            "StopServiceDeployment": self._stop,
        }

    def _list(self, call: Request) -> Json:
        cluster = str(call.json.get("cluster") or "default").rpartition("/")[2]
        service = self._service_of(call.region, cluster, call.json["service"])
        wanted = call.json.get("status")
        told = [self._told(service, one) for one in _all(service)]
        keys = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status")
        brief = [
            {
                **{key: one[key] for key in keys if key in one},
                "targetServiceRevisionArn": one["targetServiceRevision"]["arn"],
            }
            for one in told
            if not wanted or one["status"] in wanted
        ]
        return {"serviceDeployments": brief}

    def _describe(self, call: Request) -> Json:
        found, failures = [], []
        for arn in call.json["serviceDeploymentArns"]:
            try:
                service, one = self._find(call, arn)
                found.append(self._told(service, one))
            except ApiError:
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"serviceDeployments": found, "failures": failures}

    def _stop(self, call: Request) -> Json:
        arn = call.json["serviceDeploymentArn"]
        service, one = self._find(call, arn)
        if one is not service.primary or one.rollout != "IN_PROGRESS":
            raise ApiError("ConflictException", "The service deployment is not in progress.")
        self._scheduler.roll_back(service, "Service deployment was stopped by the user.")
        return {"serviceDeploymentArn": arn}

    def _find(self, call: Request, arn: str) -> tuple[EcsServiceRecord, Deployment]:
        _, cluster, name, number = f"///{arn}".rsplit("/", 3)
        service = self._service_of(call.region, cluster, name)
        for one in _all(service):
            if _number(one) == number:
                return service, one
        raise ApiError("ServiceDeploymentNotFoundException", "The service deployment was not found.")

    def _told(self, service: EcsServiceRecord, one: Deployment) -> Json:
        place = f"{service.cluster}/{service.name}"
        head = f"arn:aws:ecs:{service.region}:{DEFAULT_ACCOUNT_ID}"
        every = [*service.deployments, *service.past]
        back = next((other for other in every if other.rolls_back == one.id), None)
        failed = one.rollout == "FAILED"
        breaker = "TRIGGERED" if failed and service.breaker.get("enable") else "MONITORING"
        told: Json = {
            "serviceDeploymentArn": f"{head}:service-deployment/{place}/{_number(one)}",
            "serviceArn": service.arn,
            "clusterArn": f"{head}:cluster/{service.cluster}",
            "createdAt": one.created_at,
            "startedAt": one.created_at,
            "updatedAt": one.updated_at,
            "status": _status(one, back),
            "statusReason": one.reason,
            "sourceServiceRevisions": [],
            "targetServiceRevision": {
                "arn": f"{head}:service-revision/{place}/{_number(one)}",
                "requestedTaskCount": service.desired,
            },
            "deploymentConfiguration": service.settings["deploymentConfiguration"],
            "deploymentCircuitBreaker": {
                "status": breaker if service.breaker.get("enable") else "DISABLED",
                "failureCount": one.failed_tasks,
                "threshold": max(3, -(-service.desired // 2)),
            },
            "finishedAt": one.finished_at,
        }
        return {key: value for key, value in told.items() if value is not None}


def _all(service: EcsServiceRecord) -> list[Deployment]:
    """Every roll-out that was asked for; a roll-back belongs to the one it undoes."""
    return [one for one in [*service.deployments, *service.past] if not one.rolls_back]


def _number(one: Deployment) -> str:
    return one.id.rpartition("/")[2]


def _status(one: Deployment, back: Deployment | None) -> str:
    if one.rollout == "COMPLETED":
        return "SUCCESSFUL"
    if one.rollout == "IN_PROGRESS":
        return "IN_PROGRESS" if one.status == "PRIMARY" else "STOPPED"
    if back is None:
        return "STOPPED"
    return "ROLLBACK_SUCCESSFUL" if back.rollout == "COMPLETED" else "ROLLBACK_IN_PROGRESS"
