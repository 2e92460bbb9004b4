"""ECS requests about services and tasks; moto keeps clusters, task definitions and tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.deployments import ServiceDeployments
from orderops.local.ecs.exec_sessions import ExecSessions
from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.records import EcsServiceRecord, EcsTask, Json
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.ecs.strategy_checks import check_strategy
from orderops.local.emulator.partition import account_arn
from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator

# Settings that DescribeServices returns as they were requested.
STORED_SETTINGS = (
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "deploymentConfiguration",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "deploymentController",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "placementConstraints",
    "placementStrategy",
)
# Per the ECS API reference, these start a deployment even with unchanged values.
REDEPLOY_IF_PRESENT = ("loadBalancers", "serviceRegistries")
# These start a deployment only with another value; other settings never do.
REDEPLOY_IF_CHANGED = ("networkConfiguration", "platformVersion", "capacityProviderStrategy", "enableExecuteCommand")
# Defaults of a rolling update, from the ECS API reference.
DEPLOYMENT_DEFAULTS = {
    "deploymentCircuitBreaker": {
        "enable": False,
        "rollback": False,
        "resetOnHealthyTask": True,
        "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
    },
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}
# Maximum of ListServices and ListTasks.
PAGE_SIZE = 100


class EcsCalls:
    """Handlers of the requests about services and tasks."""

    def __init__(self, emulator: Emulator, scheduler: Scheduler, tasks: Fleet) -> None:
        self._emulator = emulator
        self._scheduler = scheduler
        self._tasks = tasks
        handlers: dict[str, Callable[[Request], Json]] = {
            "CreateService": self._create_service,
            "UpdateService": self._update_service,
            "DeleteService": self._delete_service,
            "DescribeServices": self._describe_services,
            "ListServices": self._list_services,
            "RunTask": self._run_task,
            "StopTask": self._stop_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            **ServiceDeployments(self._service_of, scheduler).handlers(),
        }
        for action, handler in handlers.items():
            emulator.instead["ecs", action] = _as_json(handler)
        for action, handler in ExecSessions(tasks).handlers().items():
            emulator.instead["ssm", action] = _as_json(handler)
        emulator.on_before("ecs", "DeleteCluster", self._check_cluster_empty)
        emulator.on_after("application-autoscaling", "RegisterScalableTarget", self._clamp_desired_count)

    def _create_service(self, request: Request) -> Json:
        parameters = request.json
        cluster = _cluster(request)
        key = (request.region, cluster, parameters["serviceName"])
        existing = self._scheduler.services.get(key)
        if existing and existing.status != "INACTIVE":
            draining_message = "Unable to Start a service that is still Draining."
            active_message = "Creation of service was not idempotent."
            raise ApiError(
                "InvalidParameterException", draining_message if existing.status == "DRAINING" else active_message
            )
        definition = _definition(request, parameters.get("taskDefinition", ""))
        for load_balancer in parameters.get("loadBalancers") or ():
            _check_target_group(request, load_balancer)
        check_strategy(request.region, parameters, parameters.get("deploymentConfiguration") or {})
        # moto's own record keeps the tags, and Application Auto Scaling looks the service up there.
        response = self._emulator.call_moto(request, request.unchanged())
        if not response.ok:
            raise _MotoError(response)
        settings = {
            "launchType": "FARGATE",
            "platformVersion": "LATEST",
            "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "ECS"},
            "enableECSManagedTags": False,
            "propagateTags": "NONE",
            "enableExecuteCommand": False,
            "availabilityZoneRebalancing": "ENABLED",
            "healthCheckGracePeriodSeconds": 0,
            "loadBalancers": [],
            "serviceRegistries": [],
            **{name: parameters[name] for name in STORED_SETTINGS if name in parameters},
        }
        settings["deploymentConfiguration"] = _merged(DEPLOYMENT_DEFAULTS, settings.get("deploymentConfiguration", {}))
        service = EcsServiceRecord(
            request.region, cluster, parameters["serviceName"], settings, parameters.get("desiredCount") or 0, []
        )
        self._scheduler.deploy(service, definition.arn)
        self._scheduler.services[key] = service
        return {"service": self._describe(service, tags=True)}

    def _update_service(self, request: Request) -> Json:
        parameters = request.json
        service = self._service(request, parameters["service"])
        if service.status != "ACTIVE":
            raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
        definition = service.primary.definition
        if parameters.get("taskDefinition"):
            definition = _definition(request, parameters["taskDefinition"]).arn
        for load_balancer in parameters.get("loadBalancers") or ():
            _check_target_group(request, load_balancer)
        deploys = definition != service.primary.definition or _redeploys(service, parameters)
        changed = {name: parameters[name] for name in STORED_SETTINGS if parameters.get(name) is not None}
        if "deploymentConfiguration" in changed:
            # Fields that the request leaves out keep their values.
            previous = service.settings["deploymentConfiguration"]
            changed["deploymentConfiguration"] = _merged(previous, changed["deploymentConfiguration"])
        given = parameters.get("deploymentConfiguration") or {}
        check_strategy(request.region, {**service.settings, **changed}, given)
        service.settings.update(changed)
        if parameters.get("desiredCount") is not None:
            self._scale(service, parameters["desiredCount"])
        if deploys:
            self._scheduler.deploy(service, definition)
        return {"service": self._describe(service, tags=True)}

    def _delete_service(self, request: Request) -> Json:
        service = self._service(request, request.json["service"])
        if service.status == "INACTIVE":
            raise ApiError("ServiceNotFoundException", "Service not found.")
        if service.desired > 0 and not request.json.get("force"):
            raise ApiError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        # AWS keeps a deleted service as DRAINING until its last task has stopped, then as INACTIVE.
        service.status = "DRAINING"
        self._scale(service, 0)
        if record := _moto_record(service):
            record.status = "INACTIVE"
        return {"service": self._describe(service, tags=True)}

    def _describe_services(self, request: Request) -> Json:
        cluster = _cluster(request)
        tags = "TAGS" in request.json.get("include", [])
        services, failures = [], []
        for name in request.json["services"]:
            service = self._scheduler.services.get((request.region, cluster, name.rpartition("/")[2]))
            if service:
                services.append(self._describe(service, tags=tags))
            else:
                arn = _arn_of("service", request.region, cluster, name)
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"services": services, "failures": failures}

    def _list_services(self, request: Request) -> Json:
        cluster = _cluster(request)
        arns = sorted(
            service.arn
            for service in self._scheduler.services.values()
            if (service.region, service.cluster) == (request.region, cluster) and service.status != "INACTIVE"
        )
        return _page("serviceArns", arns, request.json)

    def _run_task(self, request: Request) -> Json:
        parameters, cluster = request.json, _cluster(request)
        tasks = self._tasks_of_token(parameters)
        if not tasks:
            definition = _definition(request, parameters["taskDefinition"])
            _check_network(definition, parameters)
            tasks = [
                self._tasks.add(_new_task(request.region, cluster, definition, parameters))
                for _ in range(parameters.get("count") or 1)
            ]
        return {"tasks": [task.to_dict() for task in tasks], "failures": []}

    def _tasks_of_token(self, parameters: Json) -> list[EcsTask]:
        """Return the tasks that an earlier request with the same client token started.

        Raises ApiError when its parameters were different.
        """
        token = parameters.get("clientToken", "")
        tasks = [task for task in self._tasks.all.values() if token and task.client_token == token]
        if any(task.request_parameters not in (None, parameters) for task in tasks):
            raise ApiError("ConflictException", "The client token was used with other parameters.")
        return tasks

    def _stop_task(self, request: Request) -> Json:
        cluster = _cluster(request)
        task = self._find_task(request, cluster, request.json["task"])
        if task is None:
            raise ApiError("InvalidParameterException", "The referenced task was not found.")
        task.stop("UserInitiated", request.json.get("reason") or "Task stopped by user")
        return {"task": task.to_dict()}

    def _describe_tasks(self, request: Request) -> Json:
        cluster = _cluster(request)
        tasks, failures = [], []
        for name in request.json["tasks"]:
            if task := self._find_task(request, cluster, name):
                tasks.append(task.to_dict())
            else:
                arn = _arn_of("task", request.region, cluster, name)
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"tasks": tasks, "failures": failures}

    def _list_tasks(self, request: Request) -> Json:
        parameters, cluster = request.json, _cluster(request)
        status = parameters.get("desiredStatus", "RUNNING")
        group = f"service:{parameters['serviceName'].rpartition('/')[2]}" if parameters.get("serviceName") else ""
        if group and (request.region, cluster, group.removeprefix("service:")) not in self._scheduler.services:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        arns = [
            task.arn
            for task in self._tasks.all.values()
            if (task.region, task.cluster, task.desired_status) == (request.region, cluster, status)
            and group in ("", task.group)
            and parameters.get("startedBy", task.started_by) == task.started_by
            and parameters.get("family", _family(task)) == _family(task)
            and parameters.get("launchType", task.launch_type) == task.launch_type
        ]
        return _page("taskArns", arns, parameters)

    def _check_cluster_empty(self, request: Request) -> None:
        cluster = (request.region, _cluster(request))
        if any(
            service.key[:2] == cluster and service.status != "INACTIVE" for service in self._scheduler.services.values()
        ):
            raise ApiError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any((task.region, task.cluster) == cluster and not task.stopped for task in self._tasks.all.values()):
            raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")

    def _clamp_desired_count(self, request: Request, _answer: Response) -> None:
        """Move the desired count into the new range, as Application Auto Scaling does when a target is registered."""
        parameters = request.json
        if parameters.get("ServiceNamespace") != "ecs":
            return
        _, cluster, name = parameters["ResourceId"].split("/")
        service = self._scheduler.services.get((request.region, cluster, name))
        if service and service.status == "ACTIVE":
            low, high = parameters.get("MinCapacity", service.desired), parameters.get("MaxCapacity", service.desired)
            self._scale(service, min(max(service.desired, low), high))

    def _scale(self, service: EcsServiceRecord, desired: int) -> None:
        if service.desired != desired:
            service.desired, service.steady = desired, False
            if record := _moto_record(service):
                record.desired_count = desired

    def _describe(self, service: EcsServiceRecord, *, tags: bool) -> Json:
        record = _moto_record(service)
        return service.to_dict(self._scheduler.tasks_of(service), list(record.tags or []) if tags and record else None)

    def _service(self, request: Request, name: str) -> EcsServiceRecord:
        return self._service_of(request.region, _cluster(request), name)

    def _service_of(self, region: str, cluster: str, name: str) -> EcsServiceRecord:
        service = self._scheduler.services.get((region, cluster, name.rpartition("/")[2]))
        if service is None:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        return service

    def _find_task(self, request: Request, cluster: str, name: str) -> EcsTask | None:
        arn = _arn_of("task", request.region, cluster, name)
        return self._tasks.all.get(arn)


class _MotoError(ApiError):
    """Error response that moto has already produced."""

    def __init__(self, response: Response) -> None:
        super().__init__("passed", "on")
        self.response = response


def _as_json(handler: Callable[[Request], Json]) -> Callable[[Request], Response]:
    def instead(request: Request) -> Response:
        try:
            return json_answer(handler(request))
        except _MotoError as error:
            return error.response

    return instead


def _arn_of(kind: str, region: str, cluster: str, name: str) -> str:
    return account_arn("ecs", region, f"{kind}/{cluster}/{name.rpartition('/')[2]}")


def _backend(region: str) -> Any:
    return get_backend("ecs")[DEFAULT_ACCOUNT_ID][region]


def _cluster(request: Request) -> str:
    name = str(request.json.get("cluster") or "default").rpartition("/")[2]
    cluster = _backend(request.region).clusters.get(name)
    if cluster is None or cluster.status == "INACTIVE":
        raise ApiError("ClusterNotFoundException", "Cluster not found.")
    return name


def _definition(request: Request, name: str) -> Any:
    try:
        return _backend(request.region).describe_task_definition(name)
    # moto raises various types for a malformed or missing definition; AWS has one error for all.
    except Exception:
        raise ApiError("ClientException", "TaskDefinition not found.") from None


def _check_network(definition: Any, parameters: Json) -> None:
    if definition.network_mode == "awsvpc" and not parameters.get("networkConfiguration"):
        raise ApiError(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )


def _new_task(region: str, cluster: str, definition: Any, parameters: Json) -> EcsTask:
    return EcsTask(
        region=region,
        cluster=cluster,
        definition=definition.arn,
        group=parameters.get("group") or f"family:{definition.family}",
        started_by=parameters.get("startedBy", ""),
        launch_type=parameters.get("launchType") or "FARGATE",
        overrides=parameters.get("overrides") or {},
        tags=parameters.get("tags") or [],
        client_token=parameters.get("clientToken", ""),
        request_parameters=parameters,
        execute_command=bool(parameters.get("enableExecuteCommand")),
    )


def _redeploys(service: EcsServiceRecord, parameters: Json) -> bool:
    """Tell whether an update begins a deployment of the same task definition."""
    return (
        bool(parameters.get("forceNewDeployment"))
        or any(parameters.get(name) is not None for name in REDEPLOY_IF_PRESENT)
        or any(parameters.get(name) not in (None, service.settings.get(name)) for name in REDEPLOY_IF_CHANGED)
    )


def _check_target_group(request: Request, load_balancer: Json) -> None:
    arn = load_balancer.get("targetGroupArn", "")
    group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][request.region].target_groups.get(arn)
    if group is None:
        raise ApiError("InvalidParameterException", f"Unable to find target group with arn {arn}")
    if not group.load_balancer_arns:
        text = f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        raise ApiError("InvalidParameterException", text)


def _moto_record(service: EcsServiceRecord) -> Any:
    """Return moto's record of a service, which holds its tags and which autoscaling looks up."""
    return _backend(service.region).services.get(f"{service.cluster}:{service.name}")


def _family(task: EcsTask) -> str:
    return task.definition.rpartition("/")[2].rpartition(":")[0]


def _page(name: str, items: list[str], parameters: Json) -> Json:
    begin = int(parameters.get("nextToken") or 0)
    end = begin + int(parameters.get("maxResults") or PAGE_SIZE)
    return {name: items[begin:end], **({"nextToken": str(end)} if end < len(items) else {})}


def _merged(previous: Json, given: Json) -> Json:
    """Return the deployment configuration; fields that a request leaves out, also of the breaker, keep their values."""
    breaker = {**previous.get("deploymentCircuitBreaker", {}), **given.get("deploymentCircuitBreaker", {})}
    return {**previous, **given, "deploymentCircuitBreaker": breaker}
