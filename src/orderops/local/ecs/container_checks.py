"""Health checks of containers: commands that ECS runs beside them, as Docker's HEALTHCHECK does.

Defaults and their meaning are those of "HealthCheck" in the ECS API reference.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from orderops.local.ecs.launch import check_command
from orderops.local.ecs.records import ContainerProcess, EcsTask

INTERVAL, TIMEOUT, RETRIES = 30.0, 5.0, 3
# Seconds. A process of the laptop is up sooner than a container, so its first checks need not wait for the interval.
MAX_FIRST_INTERVAL = 1.0


@dataclass(frozen=True)
class _RunningCheck:
    child: subprocess.Popen[bytes]
    deadline: float


class ContainerChecks:
    """Checks under way. A step starts one or looks at one, and never waits for it."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], _RunningCheck] = {}

    def step(self, task: EcsTask) -> None:
        """Take one step for each container of a running task."""
        for process in task.processes:
            if process.check and not process.ended:
                self._step(task, process)

    def forget(self, task: EcsTask) -> None:
        """End the checks of a task that stops."""
        for process in task.processes:
            if running := self._running.pop((task.arn, process.name), None):
                _end(running)

    def _step(self, task: EcsTask, process: ContainerProcess) -> None:
        key = (task.arn, process.name)
        running = self._running.get(key)
        if running is None:
            if time.time() >= process.next_check:
                self._running[key] = _started(task, process)
            return
        code = running.child.poll()
        if code is None and time.time() < running.deadline:
            return
        if code is None:
            _end(running)
        del self._running[key]
        _judge(task, process, passed=code == 0)


def _started(task: EcsTask, process: ContainerProcess) -> _RunningCheck:
    command, environment = check_command(task, process)
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)
    return _RunningCheck(child, time.time() + float((process.check or {}).get("timeout") or TIMEOUT))


def _end(running: _RunningCheck) -> None:
    running.child.kill()
    running.child.wait()


def _judge(task: EcsTask, process: ContainerProcess, *, passed: bool) -> None:
    check = process.check or {}
    interval = float(check.get("interval") or INTERVAL)
    if passed:
        process.health, process.failed_checks = "HEALTHY", 0
    elif process.health == "HEALTHY" or time.time() >= (task.started_at or 0) + float(check.get("startPeriod") or 0):
        process.failed_checks += 1
        if process.failed_checks >= int(check.get("retries") or RETRIES):
            process.health = "UNHEALTHY"
    process.next_check = time.time() + (interval if process.health == "HEALTHY" else min(interval, MAX_FIRST_INTERVAL))
