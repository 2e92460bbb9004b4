"""Tasks, step by step as ECS takes them: provisioning, pending, running, deactivating, stopping, stopped."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.launch import CannotStart, definition, launch, prepare
from orderops.local.ecs.processes import Processes, kill_orphans, new_lines
from orderops.local.ecs.records import STOPPED_TASKS_KEPT, ContainerProcess, EcsTask
from orderops.local.elb.targets import Targets

KEPT_EVENTS_OF_A_STREAM = 2000
KEPT_EVENTS_OF_A_JOB = 50_000
"""Of a task by itself, whose lines are read along: a token of its stream counts from the first that is kept."""
KEPT_STREAMS_OF_A_GROUP = 30
log = logging.getLogger(__name__)


class Tasks:
    """Every task of the account. The caller holds the emulator's lock."""

    def __init__(self, folder: Path, targets: Targets) -> None:
        self.all: dict[str, EcsTask] = {}
        self.url = ""
        self._folder = folder
        self._targets = targets
        self._processes = Processes()

    def add(self, task: EcsTask) -> EcsTask:
        """A new task; its first step is taken with the next tick."""
        prepare(task, definition(task.definition, task.region), self._folder)
        self.all[task.arn] = task
        return task

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        return [t for t in self.all.values() if (t.region, t.cluster, t.group) == (region, cluster, group)]

    def tick(self) -> bool:
        """Take every task one step on; true when something changed that is worth remembering."""
        before = [(task.last_status, task.health) for task in self.all.values()]
        for task in list(self.all.values()):
            if not task.over:
                try:
                    self._step(task)
                except Exception as error:
                    log.exception("%s", task.arn)
                    task.stop("TaskFailedToStart", f"{type(error).__name__}: {error}")
                    task.last_status = "STOPPING"
        self._forget_old()
        return before != [(task.last_status, task.health) for task in self.all.values()]

    def resume(self) -> None:
        """After a break: registrations live only in memory, and who died meanwhile did not fail."""
        kill_orphans(self._folder, {run.pid for task in self.all.values() for run in task.runs if run.pid})
        self._sweep()
        for task in self.all.values():
            if task.over or task.last_status == "PROVISIONING":
                continue
            if any(run.essential and self._processes.ended(run) for run in task.runs):
                task.stop("ServiceSchedulerInitiated", "The local environment was not running")
            elif task.last_status == "RUNNING":
                self._register(task)

    def end_processes(self) -> None:
        """End every process, as a machine that goes down does: all at once, each with its time."""
        alive = [run for task in self.all.values() if not task.over for run in task.runs]
        for run in alive:
            self._processes.terminate(run)
        deadline = time.monotonic() + max((run.stop_timeout for run in alive), default=0)
        while time.monotonic() < deadline and not all(self._processes.ended(run) for run in alive):
            time.sleep(0.05)
        for run in alive:
            self._processes.kill(run)

    def pass_on_logs(self) -> bool:
        """Bring what the processes printed to their log groups; true when there was something."""
        found = [self._pass_on_log(task, run) for task in self.all.values() if not task.over for run in task.runs]
        return any(found)

    def is_healthy(self, task: EcsTask) -> bool:
        """It runs, and every target group that it belongs to finds it healthy."""
        return (
            task.last_status == "RUNNING" and task.wanted and all(s == "healthy" for s, _ in self.target_states(task))
        )

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        return [self._targets.state(group, port) for group, port in self._registrations(task)]

    def _step(self, task: EcsTask) -> None:
        match task.last_status:
            case "PROVISIONING":
                task.last_status = "PENDING" if task.wanted else "STOPPED"
                task.stopped_at = None if task.wanted else time.time()
            case "PENDING":
                self._launch(task) if task.wanted else self._is_over(task)
            case "RUNNING":
                self._watch(task)
            case "DEACTIVATING":
                # Each is asked, so that the second does not go on getting requests while the first drains.
                drained = [self._targets.deregister(group, port) for group, port in self._registrations(task)]
                if all(drained):
                    self._terminate(task)
            case "STOPPING":
                self._wait_for_end(task)
            case "DEPROVISIONING":
                self._is_over(task)

    def _launch(self, task: EcsTask) -> None:
        try:
            taken = {run.port for other in self.all.values() if not other.over for run in other.runs}
            launch(task, definition(task.definition, task.region), self._processes, self.url, taken)
        except (CannotStart, OSError) as error:
            task.stop("TaskFailedToStart", str(error))
            self._terminate(task)
            return
        task.last_status = "RUNNING"
        task.started_at = time.time()
        self._register(task)

    def _watch(self, task: EcsTask) -> None:
        ended = [run for run in task.runs if self._processes.ended(run)]
        if any(run.essential for run in ended):
            task.stop("EssentialContainerExited", "Essential container in task exited")
            for group, port in self._registrations(task):
                self._targets.forget(group, port)
            self._terminate(task)
        elif not task.wanted:
            task.last_status = "DEACTIVATING"
            self._step(task)
        elif self.is_healthy(task):
            task.ever_healthy = True

    def _terminate(self, task: EcsTask) -> None:
        task.last_status = "STOPPING"
        for run in task.runs:
            self._processes.terminate(run)
        task.kill_at = time.time() + max((run.stop_timeout for run in task.runs), default=0)

    def _wait_for_end(self, task: EcsTask) -> None:
        if all(self._processes.ended(run) for run in task.runs):
            task.last_status = "DEPROVISIONING"
        elif task.kill_at is None or time.time() > task.kill_at:
            for run in task.runs:
                self._processes.kill(run)

    def _is_over(self, task: EcsTask) -> None:
        for run in task.runs:
            self._pass_on_log(task, run)
        task.last_status = "STOPPED"
        task.stopped_at = time.time()

    def _registrations(self, task: EcsTask) -> list[tuple[str, int]]:
        ports = {run.name: run.port for run in task.runs}
        return [
            (one["targetGroupArn"], ports[one["containerName"]])
            for one in task.balanced
            if ports.get(one["containerName"])
        ]

    def _register(self, task: EcsTask) -> None:
        for group, port in self._registrations(task):
            self._targets.register(group, port)

    def _pass_on_log(self, task: EcsTask, run: ContainerProcess) -> bool:
        lines = new_lines(run, to_the_end=run.ended)
        if not lines or not run.log_group:
            return bool(lines)
        backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][task.region]
        if run.log_group not in backend.groups:
            return True
        backend.ensure_log_stream(run.log_group, run.log_stream)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        backend.put_log_events(run.log_group, run.log_stream, events)
        stream = backend.groups[run.log_group].streams[run.log_stream]
        # All of it is written to the memory again and again; the files beside it keep the rest.
        of_service = task.group.startswith("service:") or task.over
        del stream.events[: -KEPT_EVENTS_OF_A_STREAM if of_service else -KEPT_EVENTS_OF_A_JOB]
        streams = backend.groups[run.log_group].streams
        for name in list(streams)[:-KEPT_STREAMS_OF_A_GROUP]:
            del streams[name]
        return True

    def _sweep(self) -> None:
        """Folders of tasks that nobody remembers; their processes have just been ended."""
        known = {task.id for task in self.all.values()}
        for folder in self._folder.iterdir() if self._folder.exists() else ():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _forget_old(self) -> None:
        for arn, task in list(self.all.items()):
            if task.over and time.time() - (task.stopped_at or 0) > STOPPED_TASKS_KEPT:
                del self.all[arn]
                shutil.rmtree(self._folder / task.id, ignore_errors=True)
