"""Task life cycle as in ECS: provisioning, pending, running, deactivating, stopping, stopped."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.container_checks import ContainerChecks
from orderops.local.ecs.launch import CannotStart, EmulatorAccess, definition, launch, prepare
from orderops.local.ecs.processes import Processes, kill_orphans, new_lines
from orderops.local.ecs.records import STOPPED_TASKS_KEPT, ContainerProcess, EcsTask
from orderops.local.elb.targets import Targets
from orderops.local.keys import AccessKey

# Bounds, since every save of the state writes all events.
MAX_STREAM_EVENTS = 2000
# Limit for tasks outside services. Their followers hold a position counted from the first event kept.
MAX_JOB_EVENTS = 50_000
MAX_GROUP_STREAMS = 30
MIB = 1024**2
log = logging.getLogger(__name__)


class Tasks:
    """All tasks of the account, as processes. Call only while holding the emulator's lock."""

    def __init__(self, folder: Path, targets: Targets) -> None:
        self.all: dict[str, EcsTask] = {}
        self.access = EmulatorAccess("", AccessKey("", ""))
        self._folder = folder
        self._targets = targets
        self._processes = Processes()
        self._checks = ContainerChecks()

    def add(self, task: EcsTask) -> EcsTask:
        """Add a task; its first step comes with the next tick."""
        prepare(task, definition(task.definition, task.region), self._folder)
        self.all[task.arn] = task
        return task

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        return [t for t in self.all.values() if (t.region, t.cluster, t.group) == (region, cluster, group)]

    def tick(self) -> bool:
        """Take one step for every task; return True when a status has changed."""
        before = [(task.last_status, task.health) for task in self.all.values()]
        for task in list(self.all.values()):
            if not task.stopped:
                try:
                    self._step(task)
                except Exception as error:
                    log.exception("%s", task.arn)
                    task.stop("TaskFailedToStart", f"{type(error).__name__}: {error}")
                    task.last_status = "STOPPING"
        self._forget_old()
        return before != [(task.last_status, task.health) for task in self.all.values()]

    def resume(self) -> None:
        """Find the tasks of an earlier daemon: register running ones, stop ended ones without counting a failure."""
        kill_orphans(
            self._folder, {process.pid for task in self.all.values() for process in task.processes if process.pid}
        )
        self._sweep()
        for task in self.all.values():
            if task.stopped or task.last_status == "PROVISIONING":
                continue
            if any(process.essential and self._processes.ended(process) for process in task.processes):
                # Counting a failure here could trip the circuit breaker after a reboot of the machine.
                task.stop(
                    "ServiceSchedulerInitiated", "Scaling activity initiated by (the local environment was not running)"
                )
            elif task.last_status == "RUNNING":
                self._register(task)

    def end_processes(self) -> None:
        """Stop all processes at once, each within its own stop timeout."""
        running = [process for task in self.all.values() if not task.stopped for process in task.processes]
        for process in running:
            self._processes.terminate(process)
        deadline = time.monotonic() + max((process.stop_timeout for process in running), default=0)
        while time.monotonic() < deadline and not all(self._processes.ended(process) for process in running):
            time.sleep(0.05)
        for process in running:
            self._processes.kill(process)

    def forward_logs(self) -> bool:
        """Copy the processes' new output to their log groups; return True when a process printed something."""
        forwarded = [
            self._forward_log(task, process)
            for task in self.all.values()
            if not task.stopped
            for process in task.processes
        ]
        return any(forwarded)

    def is_healthy(self, task: EcsTask) -> bool:
        """Tell whether the task runs, passes its own checks, and is healthy in all its target groups."""
        return (
            task.last_status == "RUNNING"
            and task.should_run
            and task.passes_checks
            and all(s == "healthy" for s, _ in self.target_states(task))
        )

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        return [self._targets.state(group, port) for group, port in self._registrations(task)]

    def with_key(self, key_id: str) -> EcsTask | None:
        """Return the running task whose processes have this access key."""
        return next((task for task in self.all.values() if task.key_id == key_id and not task.stopped), None)

    def _step(self, task: EcsTask) -> None:
        match task.last_status:
            case "PROVISIONING":
                task.last_status = "PENDING" if task.should_run else "STOPPED"
                task.stopped_at = None if task.should_run else time.time()
            case "PENDING":
                self._launch(task) if task.should_run else self._finish(task)
            case "RUNNING":
                self._watch(task)
            case "DEACTIVATING":
                # A list, not a generator: all targets have to start draining at once.
                drained = [self._targets.deregister(group, port) for group, port in self._registrations(task)]
                if all(drained):
                    self._terminate(task)
            case "STOPPING":
                self._wait_for_end(task)
            case "DEPROVISIONING":
                self._finish(task)

    def _launch(self, task: EcsTask) -> None:
        try:
            taken_ports = {
                process.port for other in self.all.values() if not other.stopped for process in other.processes
            }
            launch(task, definition(task.definition, task.region), self._processes, self.access, taken_ports)
        except (CannotStart, OSError) as error:
            task.stop("TaskFailedToStart", str(error))
            self._terminate(task)
            return
        task.last_status = "RUNNING"
        task.started_at = time.time()
        self._register(task)

    def _watch(self, task: EcsTask) -> None:
        self._limit_memory(task)
        ended = [process for process in task.processes if self._processes.ended(process)]
        if any(process.essential for process in ended):
            task.stop("EssentialContainerExited", "Essential container in task exited")
            for group, port in self._registrations(task):
                self._targets.forget(group, port)
            self._terminate(task)
        elif not task.should_run:
            task.last_status = "DEACTIVATING"
            self._step(task)
        else:
            self._checks.step(task)
            task.ever_healthy = task.ever_healthy or self.is_healthy(task)

    def _limit_memory(self, task: EcsTask) -> None:
        """Kill the containers of a task that use more memory than it has, as Linux does on Fargate."""
        limit = int(task.memory) * MIB if task.memory.isdigit() else 0
        used = {process.name: self._processes.memory(process) for process in task.processes}
        if not limit or sum(used.values()) <= limit:
            return
        process = max(task.processes, key=lambda one: used[one.name])
        process.reason = "OutOfMemoryError: Container killed due to memory usage"
        self._processes.kill(process)

    def _terminate(self, task: EcsTask) -> None:
        task.last_status = "STOPPING"
        self._checks.forget(task)
        for process in task.processes:
            self._processes.terminate(process)
        task.kill_at = time.time() + max((process.stop_timeout for process in task.processes), default=0)

    def _wait_for_end(self, task: EcsTask) -> None:
        if all(self._processes.ended(process) for process in task.processes):
            task.last_status = "DEPROVISIONING"
        elif task.kill_at is None or time.time() > task.kill_at:
            for process in task.processes:
                self._processes.kill(process)

    def _finish(self, task: EcsTask) -> None:
        for process in task.processes:
            self._forward_log(task, process)
        task.last_status = "STOPPED"
        task.stopped_at = time.time()

    def _registrations(self, task: EcsTask) -> list[tuple[str, int]]:
        return [(group, process.port) for group, process in task.targets()]

    def _register(self, task: EcsTask) -> None:
        for group, port in self._registrations(task):
            self._targets.register(group, port)

    def _forward_log(self, task: EcsTask, process: ContainerProcess) -> bool:
        lines = new_lines(process, to_the_end=process.ended)
        if not lines or not process.log_group:
            return bool(lines)
        backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][task.region]
        if process.log_group not in backend.groups:
            return True
        backend.ensure_log_stream(process.log_group, process.log_stream)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        backend.put_log_events(process.log_group, process.log_stream, events)
        stream = backend.groups[process.log_group].streams[process.log_stream]
        # Every save writes all events, so that only the newest are kept; the log files have the rest.
        of_service = task.group.startswith("service:") or task.stopped
        del stream.events[: -MAX_STREAM_EVENTS if of_service else -MAX_JOB_EVENTS]
        streams = backend.groups[process.log_group].streams
        for name in list(streams)[:-MAX_GROUP_STREAMS]:
            del streams[name]
        return True

    def _sweep(self) -> None:
        """Delete directories of tasks that are not in the state file; their processes have just been killed."""
        known = {task.id for task in self.all.values()}
        for folder in self._folder.iterdir() if self._folder.exists() else ():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _forget_old(self) -> None:
        for arn, task in list(self.all.items()):
            if task.stopped and time.time() - (task.stopped_at or 0) > STOPPED_TASKS_KEPT:
                del self.all[arn]
                shutil.rmtree(self._folder / task.id, ignore_errors=True)
