"""Simulated tasks: they start, become healthy and end after fixed delays. Their state advances when they are read."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.launch import CannotStart, check, definition, prepare
from orderops.local.ecs.records import STOPPED_TASKS_KEPT, EcsServiceRecord, EcsTask

# moto has a backend for each region, and the records are for all of them: one backend holds them.
RECORDS_REGION = "us-east-1"
# 128 plus SIGTERM (15).
ENDED_BY_SIGTERM = 143


@dataclass
class SimulatedRecords:
    """Services and tasks of the account, in all regions."""

    tasks: dict[str, EcsTask] = field(default_factory=dict)
    services: dict[tuple[str, str, str], EcsServiceRecord] = field(default_factory=dict)


def records() -> SimulatedRecords:
    """Return the records, stored on moto's ECS backend so that they are reset and saved with it."""
    backend = get_backend("ecs")[DEFAULT_ACCOUNT_ID][RECORDS_REGION]
    if not hasattr(backend, "simulated"):
        backend.simulated = SimulatedRecords()
    stored: SimulatedRecords = backend.simulated
    return stored


class SimulatedTasks:
    """Fleet without processes: a task runs after `delay` seconds, and is healthy after as many again."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    @property
    def all(self) -> dict[str, EcsTask]:
        return records().tasks

    def add(self, task: EcsTask) -> EcsTask:
        prepare(task, definition(task.definition, task.region), Path())
        for process in task.processes:
            process.port, process.address = process.container_port or 0, _address(task)
        self.all[task.arn] = task
        return task

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        return [t for t in self.all.values() if (t.region, t.cluster, t.group) == (region, cluster, group)]

    def is_healthy(self, task: EcsTask) -> bool:
        states = [state for state, _ in self.target_states(task)]
        runs = task.last_status == "RUNNING" and task.should_run and task.passes_checks
        return runs and all(state == "healthy" for state in states)

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        return [self.target_state(task, load_balancer["targetGroupArn"]) for load_balancer in task.load_balancers]

    def target_state(self, task: EcsTask, group_arn: str) -> tuple[str, str]:
        """Return state and description of the task as a target of this group."""
        group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][task.region].target_groups.get(group_arn)
        if group is None or not group.load_balancer_arns:
            return "unused", "Target group is not configured to receive traffic from the load balancer"
        if task.last_status == "DEACTIVATING":
            return "draining", "Target deregistration is in progress"
        if task.started_at is None or time.time() < task.started_at + self._delay:
            return "initial", "Initial health checks in progress"
        return "healthy", ""

    def tick(self) -> bool:
        """Advance every task; return True when one changed."""
        before = [(task.last_status, task.health) for task in self.all.values()]
        for task in self.all.values():
            self._step(task)
        after = [(task.last_status, task.health) for task in self.all.values()]
        self._forget_old()
        return before != after

    def _step(self, task: EcsTask) -> None:
        now = time.time()
        match task.last_status:
            case "PROVISIONING" | "PENDING" if not task.should_run:
                self._end(task)
            case "PROVISIONING" if now >= task.created_at + self._delay / 2:
                task.last_status = "PENDING"
            case "PENDING" if now >= task.created_at + self._delay:
                self._start(task)
            case "RUNNING" if not task.should_run:
                task.last_status = "DEACTIVATING"
            case "RUNNING" if not task.group.startswith("service:") and now >= (task.started_at or now) + self._delay:
                task.stop("EssentialContainerExited", "Essential container in task exited")
                # A simulated job has nothing to do, and succeeds.
                self._end(task, exit_code=0)
            case "RUNNING" if not task.passes_checks and now >= (task.started_at or now) + self._delay:
                for process in task.processes:
                    process.health = "HEALTHY" if process.check else process.health
            case "DEACTIVATING" if now >= (task.stopping_at or now) + self._delay:
                self._end(task, ENDED_BY_SIGTERM)

    def _start(self, task: EcsTask) -> None:
        try:
            check(task, definition(task.definition, task.region))
        except CannotStart as error:
            task.stop("TaskFailedToStart", str(error))
            self._end(task)
            return
        task.last_status = "RUNNING"
        # Not the time of the read that noticed it.
        task.started_at = task.created_at + self._delay

    def _end(self, task: EcsTask, exit_code: int | None = None) -> None:
        task.last_status, task.stopped_at = "STOPPED", time.time()
        for process in task.processes:
            process.exit_code, process.ended = exit_code, True

    def _forget_old(self) -> None:
        for arn, task in list(self.all.items()):
            if task.stopped and time.time() - (task.stopped_at or 0) > STOPPED_TASKS_KEPT:
                del self.all[arn]


def _address(task: EcsTask) -> str:
    """Return an address inside a VPC, always the same for the same task."""
    number = int(task.id[:4], 16)
    return f"10.0.{number >> 8}.{number & 255}"
