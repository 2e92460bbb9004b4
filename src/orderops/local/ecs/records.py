"""Records of services, deployments and tasks, in AWS's shapes; they outlive the daemon."""

from __future__ import annotations

import math
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.partition import account_arn

Json = dict[str, Any]
# DescribeServices returns the last 100 events.
KEPT_EVENTS = 100
LINKED_ROLE = "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
# Seconds. ECS shows a stopped task for about an hour.
STOPPED_TASKS_KEPT = 3600.0


@dataclass
class ContainerProcess:
    """Container of a task, run as a process."""

    name: str
    image: str
    essential: bool
    stop_timeout: float
    container_port: int | None
    log: str
    log_group: str = ""
    log_stream: str = ""
    log_read: int = 0
    pid: int | None = None
    created: float = 0.0
    port: int = 0
    exit_code: int | None = None
    ended: bool = False
    reason: str = ""
    address: str = "127.0.0.1"
    check: Json | None = None
    """The health check of the container definition."""
    health: str = "UNKNOWN"
    next_check: float = 0.0
    failed_checks: int = 0

    def to_dict(self, task: EcsTask) -> Json:
        document: Json = {
            "containerArn": f"{task.arn.replace(':task/', ':container/')}/{self.name}",
            "taskArn": task.arn,
            "name": self.name,
            "image": self.image,
            "runtimeId": f"{task.id}-{self.pid or 0}",
            "lastStatus": task.last_status if task.last_status in ("RUNNING", "STOPPED") else "PENDING",
            "healthStatus": self.health,
            "networkBindings": [],
            "networkInterfaces": [{"attachmentId": task.id, "privateIpv4Address": self.address}],
        }
        if self.exit_code is not None:
            document["exitCode"] = self.exit_code
        if self.reason:
            document["reason"] = self.reason
        return document


@dataclass
class EcsTask:
    """Task, kept until one hour after its end."""

    region: str
    cluster: str
    definition: str
    group: str
    started_by: str = ""
    launch_type: str = "FARGATE"
    overrides: Json = field(default_factory=dict)
    tags: list[Json] = field(default_factory=list)
    client_token: str = ""
    request_parameters: Json | None = None
    cpu: str = ""
    memory: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    desired_status: str = "RUNNING"
    last_status: str = "PROVISIONING"
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    kill_at: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    processes: list[ContainerProcess] = field(default_factory=list)
    load_balancers: list[Json] = field(default_factory=list)
    ever_healthy: bool = False
    failed_checks: bool = False
    failure_counted: bool = False
    execute_command: bool = False
    key_id: str = ""
    """The id of the access key that its processes have."""

    @property
    def arn(self) -> str:
        return account_arn("ecs", self.region, f"task/{self.cluster}/{self.id}")

    @property
    def health(self) -> str:
        """The health of its essential containers, as "healthStatus" in the ECS API reference."""
        states = {process.health for process in self.processes if process.essential and process.check}
        if "UNHEALTHY" in states:
            return "UNHEALTHY"
        return "HEALTHY" if states == {"HEALTHY"} else "UNKNOWN"

    @property
    def passes_checks(self) -> bool:
        """True once its containers are healthy; at once where none has a check."""
        return self.health == "HEALTHY" or not any(process.check for process in self.processes)

    @property
    def should_run(self) -> bool:
        """True until a stop is requested."""
        return self.desired_status == "RUNNING"

    @property
    def stopped(self) -> bool:
        return self.last_status == "STOPPED"

    def targets(self) -> list[tuple[str, ContainerProcess]]:
        """The target groups that the task is registered in, each with the process that answers."""
        processes = {process.name: process for process in self.processes if process.port}
        return [
            (load_balancer["targetGroupArn"], processes[load_balancer["containerName"]])
            for load_balancer in self.load_balancers
            if load_balancer["containerName"] in processes
        ]

    def stop(self, code: str, reason: str) -> None:
        """Request the stop of the task; the first reason is kept."""
        # Later reasons are consequences of the first.
        if self.should_run:
            self.desired_status, self.stop_code, self.stopped_reason = "STOPPED", code, reason
            self.stopping_at = time.time()

    def to_dict(self) -> Json:
        document: Json = {
            "taskArn": self.arn,
            "clusterArn": account_arn("ecs", self.region, f"cluster/{self.cluster}"),
            "taskDefinitionArn": self.definition,
            "group": self.group,
            "launchType": self.launch_type,
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "desiredStatus": self.desired_status,
            "lastStatus": self.last_status,
            "healthStatus": self.health,
            "connectivity": "CONNECTED",
            "createdAt": self.created_at,
            "containers": [process.to_dict(self) for process in self.processes],
            "overrides": self.overrides or {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
            "attachments": [],
            "attributes": [],
            "availabilityZone": f"{self.region}a",
            "enableExecuteCommand": self.execute_command,
            "tags": self.tags,
            "version": 1,
            "cpu": self.cpu,
            "memory": self.memory,
            "startedBy": self.started_by,
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "startedAt": self.started_at,
            "stoppingAt": self.stopping_at,
            "executionStoppedAt": self.stopped_at,
            "stoppedAt": self.stopped_at,
        }
        return {key: value for key, value in document.items() if value not in (None, "")}


@dataclass
class PauseRecord:
    """Pause of a deployment at one of its stages, until somebody answers or its time is over."""

    id: str
    expires: float
    action: str
    status: str = "AWAITING_ACTION"

    def to_dict(self) -> Json:
        return {
            "hookId": self.id,
            "targetType": "PAUSE",
            "status": self.status,
            "expiresAt": self.expires,
            "timeoutAction": self.action,
        }


@dataclass
class TrafficShift:
    """How far a deployment with a target group of its own has taken over the traffic."""

    blue: str
    """Target group of the tasks before."""
    stage: str = "RECONCILE_SERVICE"
    since: float = field(default_factory=time.time)
    pause: PauseRecord | None = None


@dataclass
class Deployment:
    """Rollout of one task definition."""

    definition: str
    status: str = "PRIMARY"
    id: str = field(default_factory=lambda: f"ecs-svc/{random.randrange(10**18, 10**19)}")
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed_tasks: int = 0
    failures_in_a_row: int = 0
    next_start: float = 0.0
    rolls_back: str = ""
    finished_at: float | None = None
    group: str = ""
    """Target group of its tasks; "" for that of the service."""
    shift: TrafficShift | None = None

    def __post_init__(self) -> None:
        self.reason = self.reason or f"ECS deployment {self.id} in progress."

    def finish(self, rollout: str, reason: str) -> None:
        self.rollout, self.reason, self.updated_at = rollout, reason, time.time()
        self.finished_at = self.updated_at


@dataclass
class EcsServiceRecord:
    """Service with its settings, its deployments (primary first) and its events."""

    region: str
    cluster: str
    name: str
    settings: Json
    desired: int
    deployments: list[Deployment]
    past: list[Deployment] = field(default_factory=list)
    status: str = "ACTIVE"
    created_at: float = field(default_factory=time.time)
    events: list[Json] = field(default_factory=list)
    steady: bool = False

    @property
    def arn(self) -> str:
        return account_arn("ecs", self.region, f"service/{self.cluster}/{self.name}")

    @property
    def key(self) -> tuple[str, str, str]:
        return self.region, self.cluster, self.name

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def breaker(self) -> Json:
        settings = self.settings.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker")
        return dict(settings or {})

    @property
    def failure_threshold(self) -> int:
        """The number of failed tasks that fails a deployment, as ThresholdConfiguration of the ECS API defines it."""
        configured = self.breaker.get("thresholdConfiguration") or {"type": "BOUNDED_PERCENT", "value": 50}
        if configured["type"] == "COUNT":
            return int(configured["value"])
        share = math.ceil(self.desired * int(configured["value"]) / 100)
        return share if configured["type"] == "UNBOUNDED_PERCENT" else max(3, min(200, share))

    def add_event(self, text: str) -> None:
        """Add an event; AWS lists the newest first."""
        self.events.insert(
            0, {"id": str(uuid.uuid4()), "createdAt": time.time(), "message": f"(service {self.name}) {text}"}
        )
        del self.events[KEPT_EVENTS:]

    def to_dict(self, tasks: list[EcsTask], tags: list[Json] | None) -> Json:
        alive = [task for task in tasks if not task.stopped]
        document: Json = {
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": account_arn("ecs", self.region, f"cluster/{self.cluster}"),
            "status": self.status,
            "desiredCount": self.desired,
            "runningCount": sum(task.last_status == "RUNNING" for task in alive),
            "pendingCount": sum(task.should_run and task.last_status != "RUNNING" for task in alive),
            "taskDefinition": self.primary.definition,
            "deployments": [self._deployment(deployment, alive) for deployment in self.deployments],
            "events": self.events,
            "createdAt": self.created_at,
            "roleArn": f"arn:{get_partition(self.region)}:iam::{DEFAULT_ACCOUNT_ID}:role/{LINKED_ROLE}",
            "platformFamily": "Linux",
            **self.settings,
        }
        return document if tags is None else {**document, "tags": tags}

    def _deployment(self, deployment: Deployment, alive: list[EcsTask]) -> Json:
        tasks = [task for task in alive if task.started_by == deployment.id]
        failed = deployment.rollout == "FAILED"
        return {
            "id": deployment.id,
            "status": deployment.status,
            "taskDefinition": deployment.definition,
            "desiredCount": self.desired if deployment.status == "PRIMARY" and not failed else 0,
            "runningCount": sum(task.last_status == "RUNNING" for task in tasks),
            "pendingCount": sum(task.should_run and task.last_status != "RUNNING" for task in tasks),
            "failedTasks": deployment.failed_tasks,
            "createdAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "launchType": self.settings.get("launchType", "FARGATE"),
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "networkConfiguration": self.settings.get("networkConfiguration", {}),
            "rolloutState": deployment.rollout,
            "rolloutStateReason": deployment.reason,
        }
