"""What ECS knows of services, deployments and tasks, and how AWS tells it; the records outlive the process."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

Json = dict[str, Any]
KEPT_EVENTS = 100
LINKED_ROLE = "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
STOPPED_TASKS_KEPT = 3600.0


@dataclass
class ContainerProcess:
    """One container of a task: a process."""

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

    def to_dict(self, task: EcsTask) -> Json:
        found: Json = {
            "containerArn": f"{task.arn.replace(':task/', ':container/')}/{self.name}",
            "taskArn": task.arn,
            "name": self.name,
            "image": self.image,
            "runtimeId": f"{task.id}-{self.pid or 0}",
            "lastStatus": task.last_status if task.last_status in ("RUNNING", "STOPPED") else "PENDING",
            "healthStatus": "UNKNOWN",
            "networkBindings": [],
            "networkInterfaces": [{"attachmentId": task.id, "privateIpv4Address": self.address}],
        }
        if self.exit_code is not None:
            found["exitCode"] = self.exit_code
        if self.reason:
            found["reason"] = self.reason
        return found


@dataclass
class EcsTask:
    """A task, from the wish for it to an hour after its end."""

    region: str
    cluster: str
    definition: str
    group: str
    started_by: str = ""
    launch_type: str = "FARGATE"
    overrides: Json = field(default_factory=dict)
    tags: list[Json] = field(default_factory=list)
    client_token: str = ""
    asked: Json | None = None
    cpu: str = ""
    memory: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    desired_status: str = "RUNNING"
    last_status: str = "PROVISIONING"
    health: str = "UNKNOWN"
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    kill_at: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    runs: list[ContainerProcess] = field(default_factory=list)
    balanced: list[Json] = field(default_factory=list)
    ever_healthy: bool = False
    failed_checks: bool = False
    counted: bool = False
    execute_command: bool = False

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:{self.region}:{DEFAULT_ACCOUNT_ID}:task/{self.cluster}/{self.id}"

    @property
    def wanted(self) -> bool:
        """Nobody asked for its end yet."""
        return self.desired_status == "RUNNING"

    @property
    def over(self) -> bool:
        return self.last_status == "STOPPED"

    def stop(self, code: str, reason: str) -> None:
        """Ask for its end; the first reason stands."""
        if self.wanted:
            self.desired_status, self.stop_code, self.stopped_reason = "STOPPED", code, reason
            self.stopping_at = time.time()

    def to_dict(self) -> Json:
        found: Json = {
            "taskArn": self.arn,
            "clusterArn": f"arn:aws:ecs:{self.region}:{DEFAULT_ACCOUNT_ID}:cluster/{self.cluster}",
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
            "containers": [run.to_dict(self) for run in self.runs],
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
        return {key: value for key, value in found.items() if value not in (None, "")}


@dataclass
class Deployment:
    """One roll-out of a task definition."""

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

    def __post_init__(self) -> None:
        self.reason = self.reason or f"ECS deployment {self.id} in progress."

    def turn(self, rollout: str, reason: str) -> None:
        self.rollout, self.reason, self.updated_at = rollout, reason, time.time()
        self.finished_at = self.updated_at


@dataclass
class EcsServiceRecord:
    """A service as it was asked for, its deployments (the primary first) and what happened to it."""

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
        return f"arn:aws:ecs:{self.region}:{DEFAULT_ACCOUNT_ID}:service/{self.cluster}/{self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.region, self.cluster, self.name

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def breaker(self) -> Json:
        found = self.settings.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker")
        return dict(found or {})

    def event(self, text: str) -> None:
        """Newest first, as AWS lists them."""
        self.events.insert(
            0, {"id": str(uuid.uuid4()), "createdAt": time.time(), "message": f"(service {self.name}) {text}"}
        )
        del self.events[KEPT_EVENTS:]

    def to_dict(self, tasks: list[EcsTask], tags: list[Json] | None) -> Json:
        alive = [task for task in tasks if not task.over]
        found: Json = {
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": f"arn:aws:ecs:{self.region}:{DEFAULT_ACCOUNT_ID}:cluster/{self.cluster}",
            "status": self.status,
            "desiredCount": self.desired,
            "runningCount": sum(task.last_status == "RUNNING" for task in alive),
            "pendingCount": sum(task.wanted and task.last_status != "RUNNING" for task in alive),
            "taskDefinition": self.primary.definition,
            "deployments": [self._deployment(one, alive) for one in self.deployments],
            "events": self.events,
            "createdAt": self.created_at,
            "roleArn": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/{LINKED_ROLE}",
            "platformFamily": "Linux",
            **self.settings,
        }
        return found if tags is None else {**found, "tags": tags}

    def _deployment(self, one: Deployment, alive: list[EcsTask]) -> Json:
        mine = [task for task in alive if task.started_by == one.id]
        failed = one.rollout == "FAILED"
        return {
            "id": one.id,
            "status": one.status,
            "taskDefinition": one.definition,
            "desiredCount": self.desired if one.status == "PRIMARY" and not failed else 0,
            "runningCount": sum(task.last_status == "RUNNING" for task in mine),
            "pendingCount": sum(task.wanted and task.last_status != "RUNNING" for task in mine),
            "failedTasks": one.failed_tasks,
            "createdAt": one.created_at,
            "updatedAt": one.updated_at,
            "launchType": self.settings.get("launchType", "FARGATE"),
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "networkConfiguration": self.settings.get("networkConfiguration", {}),
            "rolloutState": one.rollout,
            "rolloutStateReason": one.reason,
        }
