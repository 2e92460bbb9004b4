"""The calls of ECS about services and tasks; moto keeps clusters, task definitions and tags."""

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
from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator

KEPT = (
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
DEPLOYS_WHEN_SENT = ("loadBalancers", "serviceRegistries")
DEPLOYS_WHEN_CHANGED = ("networkConfiguration", "platformVersion", "capacityProviderStrategy", "enableExecuteCommand")
DEPLOYMENT_DEFAULTS = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}
PAGE = 100


class EcsCalls:
    """Services and tasks over the wire."""

    def __init__(self, emulator: Emulator, scheduler: Scheduler, tasks: Fleet) -> None:
        self._emulator = emulator
        self._scheduler = scheduler
        self._tasks = tasks
        answers: dict[str, Callable[[Request], Json]] = {
            "CreateService": self._create_service,
            "UpdateService": self._update_service,
            "DeleteService": self._delete_service,
            "DescribeServices": self._describe_services,
            "ListServices": self._list_services,
            "RunTask": self._run_task,
            "StopTask": self._stop_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            **ServiceDeployments(self._service_of, scheduler).answers(),
        }
        for action, answer in answers.items():
            emulator.instead["ecs", action] = _as_json(answer)
        for action, answer in ExecSessions(tasks).answers().items():
            emulator.instead["ssm", action] = _as_json(answer)
        emulator.on_before("ecs", "DeleteCluster", self._cluster_is_empty)
        emulator.on_after("application-autoscaling", "RegisterScalableTarget", self._into_range)

    def _create_service(self, call: Request) -> Json:
        asked = call.json
        cluster = _cluster(call)
        key = (call.region, cluster, asked["serviceName"])
        there = self._scheduler.services.get(key)
        if there and there.status != "INACTIVE":
            going = "Unable to Start a service that is still Draining."
            same = "Creation of service was not idempotent."
            raise ApiError("InvalidParameterException", going if there.status == "DRAINING" else same)
        definition = _definition(call, asked.get("taskDefinition", ""))
        for balanced in asked.get("loadBalancers") or ():
            _is_balanced(call, balanced)
        kept = self._emulator.ask_moto(call, call.again())
        if not kept.ok:
            raise _Passed(kept)
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
            **{name: asked[name] for name in KEPT if name in asked},
        }
        settings["deploymentConfiguration"] = {**DEPLOYMENT_DEFAULTS, **asked.get("deploymentConfiguration", {})}
        service = EcsServiceRecord(
            call.region, cluster, asked["serviceName"], settings, asked.get("desiredCount") or 0, []
        )
        self._scheduler.deploy(service, definition.arn)
        self._scheduler.services[key] = service
        return {"service": self._told(service, tags=True)}

    def _update_service(self, call: Request) -> Json:
        asked = call.json
        service = self._service(call, asked["service"])
        if service.status != "ACTIVE":
            raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
        definition = service.primary.definition
        if asked.get("taskDefinition"):
            definition = _definition(call, asked["taskDefinition"]).arn
        for balanced in asked.get("loadBalancers") or ():
            _is_balanced(call, balanced)
        deploys = definition != service.primary.definition or asked.get("forceNewDeployment")
        deploys = deploys or any(asked.get(name) is not None for name in DEPLOYS_WHEN_SENT)
        deploys = deploys or any(
            asked.get(name) not in (None, service.settings.get(name)) for name in DEPLOYS_WHEN_CHANGED
        )
        changed = {name: asked[name] for name in KEPT if asked.get(name) is not None}
        if "deploymentConfiguration" in changed:
            before = service.settings["deploymentConfiguration"]
            changed["deploymentConfiguration"] = {**before, **changed["deploymentConfiguration"]}
        service.settings.update(changed)
        if asked.get("desiredCount") is not None:
            self._scale(service, asked["desiredCount"])
        if deploys:
            self._scheduler.deploy(service, definition)
        return {"service": self._told(service, tags=True)}

    def _delete_service(self, call: Request) -> Json:
        service = self._service(call, call.json["service"])
        if service.status == "INACTIVE":
            raise ApiError("ServiceNotFoundException", "Service not found.")
        if service.desired > 0 and not call.json.get("force"):
            raise ApiError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service.status = "DRAINING"
        self._scale(service, 0)
        if found := _motos(service):
            found.status = "INACTIVE"
        return {"service": self._told(service, tags=True)}

    def _describe_services(self, call: Request) -> Json:
        cluster = _cluster(call)
        tags = "TAGS" in call.json.get("include", [])
        found, failures = [], []
        for name in call.json["services"]:
            service = self._scheduler.services.get((call.region, cluster, name.rpartition("/")[2]))
            if service:
                found.append(self._told(service, tags=tags))
            else:
                arn = f"arn:aws:ecs:{call.region}:{DEFAULT_ACCOUNT_ID}:service/{cluster}/{name.rpartition('/')[2]}"
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"services": found, "failures": failures}

    def _list_services(self, call: Request) -> Json:
        cluster = _cluster(call)
        arns = sorted(
            one.arn
            for one in self._scheduler.services.values()
            if (one.region, one.cluster) == (call.region, cluster) and one.status != "INACTIVE"
        )
        return _page("serviceArns", arns, call.json)

    def _run_task(self, call: Request) -> Json:
        asked = call.json
        cluster = _cluster(call)
        token = asked.get("clientToken", "")
        same = [task for task in self._tasks.all.values() if token and task.client_token == token]
        if same:
            if any(task.asked not in (None, asked) for task in same):
                raise ApiError("ConflictException", "The client token was used with other parameters.")
            return {"tasks": [task.to_dict() for task in same], "failures": []}
        definition = _definition(call, asked["taskDefinition"])
        if definition.network_mode == "awsvpc" and not asked.get("networkConfiguration"):
            raise ApiError(
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )
        begun = [
            self._tasks.add(
                EcsTask(
                    region=call.region,
                    cluster=cluster,
                    definition=definition.arn,
                    group=asked.get("group") or f"family:{definition.family}",
                    started_by=asked.get("startedBy", ""),
                    launch_type=asked.get("launchType") or "FARGATE",
                    overrides=asked.get("overrides") or {},
                    tags=asked.get("tags") or [],
                    client_token=token,
                    asked=asked,
                    execute_command=bool(asked.get("enableExecuteCommand")),
                )
            )
            for _ in range(asked.get("count") or 1)
        ]
        return {"tasks": [task.to_dict() for task in begun], "failures": []}

    def _stop_task(self, call: Request) -> Json:
        cluster = _cluster(call)
        task = self._find_task(call, cluster, call.json["task"])
        if task is None:
            raise ApiError("InvalidParameterException", "The referenced task was not found.")
        task.stop("UserInitiated", call.json.get("reason") or "Task stopped by user")
        return {"task": task.to_dict()}

    def _describe_tasks(self, call: Request) -> Json:
        cluster = _cluster(call)
        found, failures = [], []
        for name in call.json["tasks"]:
            if task := self._find_task(call, cluster, name):
                found.append(task.to_dict())
            else:
                arn = f"arn:aws:ecs:{call.region}:{DEFAULT_ACCOUNT_ID}:task/{cluster}/{name.rpartition('/')[2]}"
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"tasks": found, "failures": failures}

    def _list_tasks(self, call: Request) -> Json:
        asked, cluster = call.json, _cluster(call)
        status = asked.get("desiredStatus", "RUNNING")
        group = f"service:{asked['serviceName'].rpartition('/')[2]}" if asked.get("serviceName") else ""
        if group and (call.region, cluster, group.removeprefix("service:")) not in self._scheduler.services:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        arns = [
            task.arn
            for task in self._tasks.all.values()
            if (task.region, task.cluster, task.desired_status) == (call.region, cluster, status)
            and group in ("", task.group)
            and asked.get("startedBy", task.started_by) == task.started_by
            and asked.get("family", _family(task)) == _family(task)
            and asked.get("launchType", task.launch_type) == task.launch_type
        ]
        return _page("taskArns", arns, asked)

    def _cluster_is_empty(self, call: Request) -> None:
        place = (call.region, _cluster(call))
        if any(one.key[:2] == place and one.status != "INACTIVE" for one in self._scheduler.services.values()):
            raise ApiError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any((task.region, task.cluster) == place and not task.over for task in self._tasks.all.values()):
            raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")

    def _into_range(self, call: Request, _answer: Response) -> None:
        """Registering a scalable target moves the desired count into its range at once."""
        asked = call.json
        if asked.get("ServiceNamespace") != "ecs":
            return
        _, cluster, name = asked["ResourceId"].split("/")
        service = self._scheduler.services.get((call.region, cluster, name))
        if service and service.status == "ACTIVE":
            low, high = asked.get("MinCapacity", service.desired), asked.get("MaxCapacity", service.desired)
            self._scale(service, min(max(service.desired, low), high))

    def _scale(self, service: EcsServiceRecord, desired: int) -> None:
        if service.desired != desired:
            service.desired, service.steady = desired, False
            if found := _motos(service):
                found.desired_count = desired

    def _told(self, service: EcsServiceRecord, *, tags: bool) -> Json:
        found = _motos(service)
        return service.to_dict(self._scheduler.tasks_of(service), list(found.tags or []) if tags and found else None)

    def _service(self, call: Request, name: str) -> EcsServiceRecord:
        return self._service_of(call.region, _cluster(call), name)

    def _service_of(self, region: str, cluster: str, name: str) -> EcsServiceRecord:
        service = self._scheduler.services.get((region, cluster, name.rpartition("/")[2]))
        if service is None:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        return service

    def _find_task(self, call: Request, cluster: str, name: str) -> EcsTask | None:
        arn = f"arn:aws:ecs:{call.region}:{DEFAULT_ACCOUNT_ID}:task/{cluster}/{name.rpartition('/')[2]}"
        return self._tasks.all.get(arn)


class _Passed(ApiError):
    """A refusal that moto has already put into words."""

    def __init__(self, answer: Response) -> None:
        super().__init__("passed", "on")
        self.answer = answer


def _as_json(answer: Callable[[Request], Json]) -> Callable[[Request], Response]:
    def instead(call: Request) -> Response:
        try:
            return json_answer(answer(call))
        except _Passed as passed:
            return passed.answer

    return instead


def _backend(region: str) -> Any:
    return get_backend("ecs")[DEFAULT_ACCOUNT_ID][region]


def _cluster(call: Request) -> str:
    name = str(call.json.get("cluster") or "default").rpartition("/")[2]
    cluster = _backend(call.region).clusters.get(name)
    if cluster is None or cluster.status == "INACTIVE":
        raise ApiError("ClusterNotFoundException", "Cluster not found.")
    return name


def _definition(call: Request, name: str) -> Any:
    try:
        return _backend(call.region).describe_task_definition(name)
    except Exception:
        raise ApiError("ClientException", "TaskDefinition not found.") from None


def _is_balanced(call: Request, balanced: Json) -> None:
    arn = balanced.get("targetGroupArn", "")
    group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][call.region].target_groups.get(arn)
    if group is None:
        raise ApiError("InvalidParameterException", f"Unable to find target group with arn {arn}")
    if not group.load_balancer_arns:
        text = f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        raise ApiError("InvalidParameterException", text)


def _motos(service: EcsServiceRecord) -> Any:
    """moto's record of a service, which holds its tags and is what autoscaling looks for."""
    return _backend(service.region).services.get(f"{service.cluster}:{service.name}")


def _family(task: EcsTask) -> str:
    return task.definition.rpartition("/")[2].rpartition(":")[0]


def _page(name: str, found: list[str], asked: Json) -> Json:
    begin = int(asked.get("nextToken") or 0)
    end = begin + int(asked.get("maxResults") or PAGE)
    return {name: found[begin:end], **({"nextToken": str(end)} if end < len(found) else {})}
