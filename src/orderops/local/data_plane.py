"""The data plane: what exists in the emulator is what runs on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from moto.backends import get_backend

from orderops.local.directories import DataDirectory
from orderops.local.ecs.api import EcsCalls
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.ecs.tasks import Tasks
from orderops.local.elb import api as elb_calls
from orderops.local.elb.balancer import Balancers
from orderops.local.elb.targets import Targets
from orderops.local.emulator.server import Emulator
from orderops.local.rds import api as rds_calls
from orderops.local.rds.databases import Databases

UNHURRIED = 3.0
# Which of several instances of one environment is its database; what a client of the laptop has to know, not AWS.
ROLE_TAG = "orderops:role"
log = logging.getLogger(__name__)


class Touch(Protocol):
    """Something changed: remember it within so many seconds."""

    def __call__(self, within: float = ...) -> None: ...


class DataPlane:
    """Databases, services and balancers, each following the account."""

    def __init__(self, place: DataDirectory, emulator: Emulator, touch: Touch, remember: Callable[[], None]) -> None:
        self._emulator = emulator
        self._touch = touch
        self._targets = Targets()
        self._tasks = Tasks(place.tasks, self._targets)
        self._scheduler = Scheduler(self._tasks)
        self._balancers = Balancers(self._targets)
        self._databases = Databases(place.databases, emulator.lock, touch, remember)
        self._seen: Any = None
        rds_calls.take_part(emulator, self._databases.refuse_port)
        elb_calls.take_part(emulator, self._targets, self._balancers.listens_on)
        EcsCalls(emulator, self._scheduler, self._tasks)

    def records(self) -> Any:
        """Our own records, for the memory; the caller holds the lock."""
        return {"tasks": self._tasks.all, "services": self._scheduler.services}

    def resume(self, records: Any, url: str) -> None:
        """Take up what an earlier process left."""
        self._tasks.url = url
        if records:
            self._tasks.all.update(records["tasks"])
            self._scheduler.services.update(records["services"])
        self._targets.configure(elb_calls.checks())
        self._tasks.resume()
        self._databases.sweep(self._databases.there(), rds_calls.folders())

    def tick(self) -> None:
        """One look at the account, and one step of everything towards it."""
        there = self._databases.there()
        with self._emulator.lock:
            rds_calls.forget_old_backups()
            instances = rds_calls.instances()
            known = rds_calls.folders()
            listeners = elb_calls.routes()
            self._targets.configure(elb_calls.checks())
            moved = self._tasks.tick()
            self._scheduler.tick()
            if self._tasks.pass_on_logs():
                self._touch(UNHURRIED)
            self._count_tasks()
            seen = [(one.key, one.status, one.desired, len(one.events)) for one in self._scheduler.services.values()]
        if moved or seen != self._seen:
            self._seen = seen
            self._touch()
        self._tell_trouble(self._balancers.follow(listeners))
        self._databases.tick(instances)
        self._databases.sweep(there, known)

    def wake(self) -> None:
        self._databases.wake()

    def close(self) -> None:
        """End everything in the order in which it is used: who asks before who answers."""
        self._balancers.close()
        self._targets.close()
        self._tasks.end_processes()  # Without the lock: they still finish their work, with the emulator's help.
        with self._emulator.lock:
            self._tasks.pass_on_logs()
        self._databases.close()

    def status(self) -> dict[str, Any]:
        with self._emulator.lock:
            services = {
                service.name: [
                    {"pid": run.pid, "port": run.port, "state": self._state(task)}
                    for task in self._scheduler.tasks_of(service)
                    for run in task.runs
                    if not task.over
                ]
                for service in self._scheduler.services.values()
                if service.status != "INACTIVE"
            }
        return {"databases": self._databases.status(), "services": services}

    def credentials(self, identifier: str) -> dict[str, Any]:
        """Where a database is and how to open it; empty when there is no such, or not only one that is no copy."""
        with self._emulator.lock:
            there = [one for _, one in rds_calls.instances()]
            found = [one for one in there if identifier in ("", one.db_instance_identifier)]
            if len(found) > 1:
                found = [one for one in found if _role(one) in ("", "primary")]
            if len(found) != 1:
                return {}
            user, password = found[0].master_credentials
            place = {"host": "127.0.0.1", "port": found[0].endpoint_port, "database": found[0].db_name or "postgres"}
            # A restored one's is in its data, and nowhere else until it is given another: psql asks for it.
            return {**place, "identifier": found[0].db_instance_identifier, "user": user, "password": password or ""}

    def _state(self, task: Any) -> str:
        states = [state for state, _ in self._tasks.target_states(task)]
        return states[0] if states and task.last_status == "RUNNING" else str(task.last_status).lower()

    def _tell_trouble(self, trouble: dict[str, str]) -> None:
        with self._emulator.lock:
            for balancer in elb_calls.balancers():
                why = trouble.get(balancer.name, "")
                if why != getattr(balancer, "trouble", ""):
                    log.error("%s: %s", balancer.name, why or "listens again")
                    balancer.trouble = why

    def _count_tasks(self) -> None:
        """What DescribeClusters tells of a cluster is the sum of what is in it."""
        for _, region, backend in get_backend("ecs").iter_backends():
            for name, cluster in backend.clusters.items():
                tasks = [one for one in self._tasks.all.values() if (one.region, one.cluster) == (region, name)]
                services = [one for one in self._scheduler.services.values() if one.key[:2] == (region, name)]
                cluster.running_tasks_count = sum(one.last_status == "RUNNING" for one in tasks)
                cluster.pending_tasks_count = sum(one.last_status in ("PROVISIONING", "PENDING") for one in tasks)
                cluster.active_services_count = sum(one.status == "ACTIVE" for one in services)


def _role(instance: Any) -> str:
    """What its tags say that it is beside the database of its environment; nothing for that one."""
    return next((tag["Value"] for tag in instance.tags if tag["Key"] == ROLE_TAG), "")
