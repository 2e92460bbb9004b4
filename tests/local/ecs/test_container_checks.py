"""Health checks of containers, as "HealthCheck" in the ECS API reference describes them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderops.local.ecs import container_checks
from orderops.local.ecs.container_checks import ContainerChecks
from orderops.local.ecs.records import ContainerProcess, EcsTask, Json
from support.laptop import Laptop, Stack, until

START_PERIOD = 60


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(container_checks, "time", clock)
    return clock


class CheckedTask:
    """A task whose check succeeds as long as a file exists."""

    def __init__(self, clock: Clock, file: Path, check: Json, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.file = clock, file
        self.process = ContainerProcess("app", "image", essential=True, stop_timeout=1, container_port=80, log="")
        self.process.check = {"command": ["CMD", "true"], **check}
        self.task = EcsTask("region", "cluster", "definition", "service:app", processes=[self.process])
        self.task.started_at = clock.now
        self.checks = ContainerChecks()
        self.started = 0

        def command(*_: Any) -> tuple[list[str], dict[str, str]]:
            self.started += 1
            return ["/bin/sh", "-c", f"test -e {file}"], {}

        monkeypatch.setattr(container_checks, "check_command", command)

    def after(self, seconds: float) -> str:
        """Let time pass, have the check run to its end if it is due, and return the health of the task."""
        self.clock.now += seconds
        self.checks.step(self.task)
        for running in self.checks._running.values():
            running.child.wait()
        self.checks.step(self.task)
        return self.task.health


@pytest.fixture
def checked(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CheckedTask]:
    check = {"interval": 10, "timeout": 5, "retries": 3, "startPeriod": START_PERIOD}
    yield CheckedTask(clock, tmp_path / "well", check, monkeypatch)


def test_a_container_is_unknown_until_its_check_passes(checked: CheckedTask) -> None:
    assert checked.after(1) == "UNKNOWN"
    assert not checked.task.passes_checks
    checked.file.touch()

    assert checked.after(1) == "HEALTHY"
    assert checked.task.passes_checks


def test_failures_within_the_start_period_do_not_count(checked: CheckedTask) -> None:
    assert {checked.after(10) for _ in range(5)} == {"UNKNOWN"}
    assert checked.process.failed_checks == 0

    assert [checked.after(10) for _ in range(3)] == ["UNKNOWN", "UNKNOWN", "UNHEALTHY"]


def test_a_success_within_the_start_period_makes_failures_count(checked: CheckedTask) -> None:
    checked.file.touch()
    checked.after(1)
    checked.file.unlink()

    assert [checked.after(10) for _ in range(3)] == ["HEALTHY", "HEALTHY", "UNHEALTHY"]


def test_a_success_takes_back_failures(checked: CheckedTask) -> None:
    checked.file.touch()
    checked.after(1)
    checked.file.unlink()
    checked.after(10)
    checked.after(10)
    checked.file.touch()
    assert checked.after(10) == "HEALTHY"
    checked.file.unlink()

    assert [checked.after(10) for _ in range(2)] == ["HEALTHY", "HEALTHY"]


def test_a_healthy_container_is_checked_once_in_an_interval(checked: CheckedTask) -> None:
    checked.file.touch()
    checked.after(1)
    before = checked.started

    checked.after(9)
    assert checked.started == before
    checked.after(2)
    assert checked.started == before + 1


def test_a_check_that_takes_too_long_has_failed(
    checked: CheckedTask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = [sys.executable, "-c", "import signal; signal.pause()"]
    monkeypatch.setattr(container_checks, "check_command", lambda *_: (endless, {}))
    clock.now += START_PERIOD
    checked.checks.step(checked.task)
    (running,) = checked.checks._running.values()
    checked.checks.step(checked.task)
    assert checked.process.failed_checks == 0

    clock.now += 6
    checked.checks.step(checked.task)

    assert checked.process.failed_checks == 1
    assert running.child.returncode == -signal.SIGKILL


def test_the_check_of_a_task_that_stops_is_ended(checked: CheckedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = [sys.executable, "-c", "import signal; signal.pause()"]
    monkeypatch.setattr(container_checks, "check_command", lambda *_: (endless, {}))
    checked.checks.step(checked.task)
    (running,) = checked.checks._running.values()

    checked.checks.forget(checked.task)

    assert running.child.returncode == -signal.SIGKILL


def test_a_container_without_a_check_is_unknown_and_holds_nothing_up() -> None:
    process = ContainerProcess("app", "image", essential=True, stop_timeout=1, container_port=80, log="")
    task = EcsTask("region", "cluster", "definition", "service:app", processes=[process])

    assert (task.health, task.passes_checks) == ("UNKNOWN", True)


def test_a_container_that_is_not_essential_does_not_make_its_task_unhealthy() -> None:
    processes = [
        ContainerProcess("app", "", essential=True, stop_timeout=1, container_port=80, log="", check={}),
        ContainerProcess("side", "", essential=False, stop_timeout=1, container_port=80, log="", check={"x": 1}),
    ]
    processes[0].check = {"command": ["CMD", "true"]}
    processes[0].health, processes[1].health = "HEALTHY", "UNHEALTHY"

    assert EcsTask("region", "cluster", "definition", "service:app", processes=processes).health == "HEALTHY"


@pytest.mark.slow
def test_a_service_without_a_load_balancer_is_replaced_when_its_check_fails(laptop: Laptop, tmp_path: Path) -> None:
    stack = Stack(laptop, desired=1)
    well = tmp_path / "well"
    well.touch()
    check = {"command": ["CMD-SHELL", f"test -e {well}"], "interval": 5, "retries": 1, "startPeriod": 0}
    stack.create(stack.register(check=check), loadBalancers=[])
    stack.completed()
    (first,) = stack.tasks()
    assert (first["healthStatus"], first["containers"][0]["healthStatus"]) == ("HEALTHY", "HEALTHY")

    well.unlink()
    until(lambda: first["taskArn"] not in {task["taskArn"] for task in stack.tasks()}, what="the task is stopped")
    well.touch()

    stack.completed()
    stopped = next(task for task in stack.tasks(desiredStatus="STOPPED") if task["taskArn"] == first["taskArn"])
    assert stopped["stoppedReason"] == "Task failed container health checks"
    task = first["taskArn"].rpartition("/")[2]
    events = [event["message"] for event in stack.service()["events"]]
    assert f"(service {stack.name}) (task {task}) failed container health checks." in events
