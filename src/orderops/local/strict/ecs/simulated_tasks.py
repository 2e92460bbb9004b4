"""Tasks that nobody runs: they start, are healthy and end in their time, and a look finds how far they are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.launch import CannotStart, check, definition, prepare
from orderops.local.ecs.records import STOPPED_TASKS_KEPT, EcsServiceRecord, EcsTask

HOME = "us-east-1"
ENDED_BY_SIGTERM = 143


@dataclass
class Paper:
    """The services and tasks of the account, of all regions."""

    tasks: dict[str, EcsTask] = field(default_factory=dict)
    services: dict[tuple[str, str, str], EcsServiceRecord] = field(default_factory=dict)


def kept() -> Paper:
    """Where they stand written: with what moto keeps of ECS, so they are forgotten and remembered with that."""
    backend = get_backend("ecs")[DEFAULT_ACCOUNT_ID][HOME]
    if not hasattr(backend, "paper"):
        backend.paper = Paper()
    found: Paper = backend.paper
    return found


class PaperTasks:
    """A fleet on paper: a task runs after `pace` seconds, and is healthy after as many again."""

    def __init__(self, pace: float) -> None:
        self._pace = pace

    @property
    def all(self) -> dict[str, EcsTask]:
        return kept().tasks

    def add(self, task: EcsTask) -> EcsTask:
        prepare(task, definition(task.definition, task.region), Path())
        for run in task.runs:
            run.port, run.address = run.container_port or 0, _address(task)
        self.all[task.arn] = task
        return task

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        return [t for t in self.all.values() if (t.region, t.cluster, t.group) == (region, cluster, group)]

    def is_healthy(self, task: EcsTask) -> bool:
        states = [state for state, _ in self.target_states(task)]
        return task.last_status == "RUNNING" and task.wanted and all(state == "healthy" for state in states)

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        return [self.target_state(task, one["targetGroupArn"]) for one in task.balanced]

    def target_state(self, task: EcsTask, group_arn: str) -> tuple[str, str]:
        """How the task is as a target of this group."""
        group = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][task.region].target_groups.get(group_arn)
        if group is None or not group.load_balancer_arns:
            return "unused", "Target group is not configured to receive traffic from the load balancer"
        if task.last_status == "DEACTIVATING":
            return "draining", "Target deregistration is in progress"
        if task.started_at is None or time.time() < task.started_at + self._pace:
            return "initial", "Initial health checks in progress"
        return "healthy", ""

    def tick(self) -> bool:
        """Take every task to where it is by now; true when one moved."""
        before = [task.last_status for task in self.all.values()]
        for task in self.all.values():
            self._step(task)
        after = [task.last_status for task in self.all.values()]
        self._forget_old()
        return before != after

    def _step(self, task: EcsTask) -> None:
        now = time.time()
        match task.last_status:
            case "PROVISIONING" | "PENDING" if not task.wanted:
                self._end(task)
            case "PROVISIONING" if now >= task.created_at + self._pace / 2:
                task.last_status = "PENDING"
            case "PENDING" if now >= task.created_at + self._pace:
                self._start(task)
            case "RUNNING" if not task.wanted:
                task.last_status = "DEACTIVATING"
            case "RUNNING" if not task.group.startswith("service:") and now >= (task.started_at or now) + self._pace:
                task.stop("EssentialContainerExited", "Essential container in task exited")
                self._end(task, exit_code=0)  # There is nothing to do on paper, and it is done well.
            case "DEACTIVATING" if now >= (task.stopping_at or now) + self._pace:
                self._end(task, ENDED_BY_SIGTERM)

    def _start(self, task: EcsTask) -> None:
        try:
            check(task, definition(task.definition, task.region))
        except CannotStart as error:
            task.stop("TaskFailedToStart", str(error))
            self._end(task)
            return
        task.last_status = "RUNNING"
        task.started_at = task.created_at + self._pace  # When it did, and not when somebody looked.

    def _end(self, task: EcsTask, exit_code: int | None = None) -> None:
        task.last_status, task.stopped_at = "STOPPED", time.time()
        for run in task.runs:
            run.exit_code, run.ended = exit_code, True

    def _forget_old(self) -> None:
        for arn, task in list(self.all.items()):
            if task.over and time.time() - (task.stopped_at or 0) > STOPPED_TASKS_KEPT:
                del self.all[arn]


def _address(task: EcsTask) -> str:
    """An address inside a VPC, always the same for the same task."""
    number = int(task.id[:4], 16)
    return f"10.0.{number >> 8}.{number & 255}"
