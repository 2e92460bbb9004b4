"""ECS requests about service deployments."""

from __future__ import annotations

from collections.abc import Callable

from orderops.local.ecs.records import Deployment, EcsServiceRecord, Json
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.ecs.traffic_shift import continue_at, describe
from orderops.local.emulator.partition import account_arn
from orderops.local.emulator.protocol import ApiError, Request


class ServiceDeployments:
    """Handlers of the requests that list, describe, stop and continue service deployments."""

    def __init__(self, service_of: Callable[[str, str, str], EcsServiceRecord], scheduler: Scheduler) -> None:
        self._service_of = service_of
        self._scheduler = scheduler

    def handlers(self) -> dict[str, Callable[[Request], Json]]:
        return {
            "ListServiceDeployments": self._list,
            "DescribeServiceDeployments": self._describe,
            "StopServiceDeployment": self._stop,
            "ContinueServiceDeployment": self._continue,
        }

    def _list(self, request: Request) -> Json:
        cluster = str(request.json.get("cluster") or "default").rpartition("/")[2]
        service = self._service_of(request.region, cluster, request.json["service"])
        statuses = request.json.get("status")
        documents = [self._document(service, document) for document in _requested_deployments(service)]
        keys = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status")
        summaries = [
            {
                **{key: document[key] for key in keys if key in document},
                "targetServiceRevisionArn": document["targetServiceRevision"]["arn"],
            }
            for document in documents
            if not statuses or document["status"] in statuses
        ]
        return {"serviceDeployments": summaries}

    def _describe(self, request: Request) -> Json:
        documents, failures = [], []
        for arn in request.json["serviceDeploymentArns"]:
            try:
                service, deployment = self._find(request, arn)
                documents.append(self._document(service, deployment))
            except ApiError:
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"serviceDeployments": documents, "failures": failures}

    def _stop(self, request: Request) -> Json:
        arn = request.json["serviceDeploymentArn"]
        service, deployment = self._find(request, arn)
        if deployment is not service.primary or deployment.rollout != "IN_PROGRESS":
            raise ApiError("ConflictException", "The service deployment is not in progress.")
        self._scheduler.roll_back(service, "Service deployment was stopped by the user.")
        return {"serviceDeploymentArn": arn}

    def _continue(self, request: Request) -> Json:
        arn, action = request.json["serviceDeploymentArn"], request.json.get("action") or "CONTINUE"
        _, deployment = self._find(request, arn)
        if deployment.shift is None or not continue_at(deployment.shift, request.json["hookId"], action):
            raise ApiError("InvalidParameterException", "The lifecycle hook is not awaiting an action.")
        return {"serviceDeploymentArn": arn}

    def _find(self, request: Request, arn: str) -> tuple[EcsServiceRecord, Deployment]:
        _, cluster, name, number = f"///{arn}".rsplit("/", 3)
        service = self._service_of(request.region, cluster, name)
        for deployment in _requested_deployments(service):
            if _number(deployment) == number:
                return service, deployment
        raise ApiError("ServiceDeploymentNotFoundException", "The service deployment was not found.")

    def _document(self, service: EcsServiceRecord, deployment: Deployment) -> Json:
        path = f"{service.cluster}/{service.name}"
        deployments = [*service.deployments, *service.past]
        rollback = next((other for other in deployments if other.rolls_back == deployment.id), None)
        failed = deployment.rollout == "FAILED"
        rolling = deployment.shift is None
        breaker = "TRIGGERED" if failed and service.breaker.get("enable") else "MONITORING"
        shift = describe(service, deployment)
        document: Json = {
            "serviceDeploymentArn": account_arn(
                "ecs", service.region, f"service-deployment/{path}/{_number(deployment)}"
            ),
            "serviceArn": service.arn,
            "clusterArn": account_arn("ecs", service.region, f"cluster/{service.cluster}"),
            "createdAt": deployment.created_at,
            "startedAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "status": _status(deployment, rollback),
            "statusReason": deployment.reason,
            "sourceServiceRevisions": [],
            "targetServiceRevision": {
                "arn": account_arn("ecs", service.region, f"service-revision/{path}/{_number(deployment)}"),
                "requestedTaskCount": service.desired,
                **({"requestedProductionTrafficWeight": shift["weight"]} if shift else {}),
            },
            "lifecycleStage": shift.get("lifecycleStage"),
            "lifecycleHookDetails": shift.get("lifecycleHookDetails"),
            "deploymentConfiguration": service.settings["deploymentConfiguration"],
            "deploymentCircuitBreaker": {
                "status": breaker if service.breaker.get("enable") and rolling else "DISABLED",
                "failureCount": deployment.failed_tasks,
                "threshold": service.failure_threshold,
            },
            "finishedAt": deployment.finished_at,
        }
        return {key: value for key, value in document.items() if value is not None}


def _requested_deployments(service: EcsServiceRecord) -> list[Deployment]:
    """Return the deployments that an operator started; a rollback is reported with the deployment that it undoes."""
    return [deployment for deployment in [*service.deployments, *service.past] if not deployment.rolls_back]


def _number(deployment: Deployment) -> str:
    return deployment.id.rpartition("/")[2]


def _status(deployment: Deployment, rollback: Deployment | None) -> str:
    if deployment.rollout == "COMPLETED":
        return "SUCCESSFUL"
    if deployment.rollout == "IN_PROGRESS":
        return "IN_PROGRESS" if deployment.status == "PRIMARY" else "STOPPED"
    if rollback is None:
        return "STOPPED"
    return "ROLLBACK_SUCCESSFUL" if rollback.rollout == "COMPLETED" else "ROLLBACK_IN_PROGRESS"
