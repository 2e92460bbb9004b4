"""Data plane: keeps the processes on this machine in step with the emulated account."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from moto.backends import get_backend
from starlette.requests import Request as StarletteRequest

from orderops.local.apigateway.account import ServedApi, linked_listeners, on_this_machine, served_apis, write_lines
from orderops.local.apigateway.gateway import Gateways
from orderops.local.apigateway.named_apis import domain_on_this_machine, served_names
from orderops.local.apigateway.names import NamePorts
from orderops.local.apigateway.rest_account import rest_api_on_this_machine, rest_listeners, served_rest_apis
from orderops.local.apigateway.signed_requests import may_invoke
from orderops.local.directories import DataDirectory
from orderops.local.ecs.api import EcsCalls
from orderops.local.ecs.launch import EmulatorAccess, task_role
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.ecs.schedules import Schedules
from orderops.local.ecs.tasks import Tasks
from orderops.local.elb import api as elb_calls
from orderops.local.elb.acls import web_acls, write_records
from orderops.local.elb.authority import Authority
from orderops.local.elb.balancer import Balancers
from orderops.local.elb.reach import lets_balancer_in
from orderops.local.elb.targets import Targets
from orderops.local.emulator.permissions import allows, key_holder, role
from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator, Instead
from orderops.local.keys import OPERATOR_PREFIX, AccessKey
from orderops.local.rds import api as rds_calls
from orderops.local.rds.databases import Databases
from orderops.local.rds.tokens import TokenCheck
from orderops.local.strict.cloudwatch.hooks import EVALUATING_ACTIONS
from orderops.local.strict.cloudwatch.metrics import Measurement, record, record_firewalls, record_traffic

# Seconds. Log lines arrive all the time, and each save writes the whole state.
LOG_SAVE_DELAY = 3.0
# Tag that marks restored instances. orderops sets it, AWS knows nothing of it; copied, as this package imports no core.
ROLE_TAG = "orderops:role"
log = logging.getLogger(__name__)


class Touch(Protocol):
    """Callback that schedules a save within the given number of seconds."""

    def __call__(self, within: float = ...) -> None: ...


class Send(Protocol):
    """Callback that sends a message with attributes to the queue with an ARN."""

    def __call__(self, arn: str, body: str, attributes: Mapping[str, str]) -> None: ...


@dataclass(frozen=True)
class FailedStarts:
    """Where EventBridge Scheduler writes starts that failed: queues, and its metrics."""

    send: Send

    def lost(self, region: str, group: str) -> None:
        """Count a start that could not be written into its queue, in this minute."""
        dimensions = (("ScheduleGroup", group),)
        record(region, [Measurement("AWS/Scheduler", "InvocationsFailedToBeSentToDeadLetterCount", dimensions, 1.0)])


class DataPlane:
    """Databases, services and balancers that follow the account."""

    def __init__(
        self, files: DataDirectory, emulator: Emulator, touch: Touch, save: Callable[[], None], send: Send
    ) -> None:
        self._emulator = emulator
        self._touch = touch
        self._targets = Targets()
        self._tasks = Tasks(files.tasks, self._targets)
        self._scheduler = Scheduler(self._tasks)
        self._schedules = Schedules(self._tasks, FailedStarts(send))
        authority = Authority(files.directory)
        self._balancers = Balancers(self._targets, authority)
        tokens = TokenCheck(self._find_key, self._permits)
        self._databases = Databases(files.create_databases(), emulator.lock, touch, save, tokens)
        self._gateways = Gateways(self._balancers.inner_port, self._may_invoke, self._balancers.firewall)
        self._names = NamePorts(authority, self._gateways.app_of)
        self._seen: Any = None
        rds_calls.register(emulator, self._databases.port_conflict)
        elb_calls.register(emulator, self._targets, self._balancers.listens_on)
        EcsCalls(emulator, self._scheduler, self._tasks)
        # Registered before the alarms are, which are evaluated by what is recorded here.
        for action in EVALUATING_ACTIONS:
            emulator.on_before("monitoring", action, self._record_metrics)

    def records(self) -> Any:
        """Return the records that the state file stores. Call only while holding the emulator's lock."""
        return {"tasks": self._tasks.all, "services": self._scheduler.services}

    def resume(self, records: Any, access: EmulatorAccess) -> None:
        """Restore the records of an earlier process and find its tasks again."""
        self._tasks.access = access
        self._serve_new_apis()
        if records:
            self._tasks.all.update(records["tasks"])
            self._scheduler.services.update(records["services"])
        self._targets.configure(elb_calls.checks())
        self._tasks.resume()
        self._databases.sweep(self._databases.folders(), rds_calls.folders_in_use())

    def tick(self) -> None:
        """Read the account once and take one step towards it."""
        # Listed before the account is read: a directory created in between must not count as unused.
        folders = self._databases.folders()
        with self._emulator.lock:
            rds_calls.delete_expired_backups()
            instances = rds_calls.instances()
            in_use = rds_calls.folders_in_use()
            listeners = elb_calls.routes(linked_listeners() | rest_listeners())
            apis, names = [*served_apis(), *served_rest_apis()], served_names()
            write_lines(self._gateways.take_lines())
            self._balancers.firewall.acls = web_acls()
            self._targets.configure(elb_calls.checks())
            self._targets.block(frozenset(self._unreachable()))
            changed = self._schedules.tick() | self._tasks.tick()
            self._scheduler.tick()
            # Both, also if the first has something.
            if any([self._tasks.forward_logs(), write_records(self._balancers.firewall.taken())]):
                self._touch(LOG_SAVE_DELAY)
            self._count_tasks()
            seen = [
                (service.key, service.status, service.desired, len(service.events))
                for service in self._scheduler.services.values()
            ]
        if changed or seen != self._seen:
            self._seen = seen
            self._touch()
        self._record_problems(self._balancers.update(listeners))
        self._gateways.update(apis)
        self._names.update(names)
        # Without the lock: it may wait for a database, and requests must still be answered.
        self._databases.tick(instances)
        self._databases.sweep(folders, in_use)

    def _serve_new_apis(self) -> None:
        """Give each API and domain name that is created a port of this machine, before the answer names its host."""
        for action, served in (
            ("CreateApi", on_this_machine),
            ("CreateDomainName", domain_on_this_machine),
            ("CreateRestApi", rest_api_on_this_machine),
        ):
            self._emulator.instead["apigateway", action] = _served_here(
                self._emulator.instead["apigateway", action], served
            )

    def _may_invoke(self, request: StarletteRequest, body: bytes, api: ServedApi) -> bool:
        return may_invoke(self._emulator.admission, self._permits, request, body, api)

    def _find_key(self, key_id: str) -> AccessKey | None:
        admission = self._emulator.admission
        return admission.find_key(key_id) if admission else None

    def _permits(self, key_id: str, action: str, resource: str) -> bool:
        """Tell whether the holder of a key may use an action: a task by its role, and the operator may use all."""
        if key_id.startswith(OPERATOR_PREFIX):
            return True
        with self._emulator.lock:
            holder = key_holder(key_id)
            if holder is None and (task := self._tasks.with_key(key_id)):
                holder = role(task_role(task))
            return holder is not None and allows(holder, action, resource)

    def _record_metrics(self, request: Request) -> None:
        record_traffic(request.region, self._balancers.traffic)
        record_firewalls(request.region, self._balancers.firewall.counts)
        measured = self._databases.measurements(request.region)
        record(
            request.region,
            (
                Measurement("AWS/RDS", name, (("DBInstanceIdentifier", instance),), value)
                for instance, name, value in measured
            ),
        )

    def wake(self) -> None:
        self._databases.wake()

    def close(self) -> None:
        """Shut everything down in the order of use: clients before the servers they call."""
        self._names.close()
        self._gateways.close()
        self._balancers.close()
        self._targets.close()
        # Not under the lock: tasks finish their requests to the emulator before they exit.
        self._tasks.end_processes()
        with self._emulator.lock:
            self._tasks.forward_logs()
        self._databases.close()

    def status(self) -> dict[str, Any]:
        with self._emulator.lock:
            services = {
                service.name: [
                    {"pid": process.pid, "port": process.port, "state": self._state(task)}
                    for task in self._scheduler.tasks_of(service)
                    for process in task.processes
                    if not task.stopped
                ]
                for service in self._scheduler.services.values()
                if service.status != "INACTIVE"
            }
        return {"databases": self._databases.status(), "services": services}

    def credentials(self, identifier: str) -> dict[str, Any]:
        """Return address and login of a database.

        Without an identifier, restored instances and replicas are ignored. Empty when not exactly one instance matches.
        """
        with self._emulator.lock:
            instances = [instance for _, instance in rds_calls.instances()]
            matching = [instance for instance in instances if identifier in ("", instance.db_instance_identifier)]
            if len(matching) > 1:
                matching = [
                    instance for instance in matching if _role(instance) in ("", "primary") and not instance.is_replica
                ]
            if len(matching) != 1:
                return {}
            # A replica has the password of its source.
            sources = [instance for instance in instances if instance.dbi_resource_id == matching[0].replicates_from]
            knows = sources[0] if matching[0].is_replica and sources else matching[0]
            user, password = knows.master_credentials
            address = {
                "host": "127.0.0.1",
                "port": matching[0].endpoint_port,
                "database": matching[0].db_name or "postgres",
            }
            # Until a new password is set, only the data of a restored instance knows it; psql prompts for it.
            return {
                **address,
                "identifier": matching[0].db_instance_identifier,
                "user": user,
                "password": password or "",
            }

    def pause_replay(self, name: str, *, paused: bool) -> str:
        """Pause or resume the replay of a replica; return why that cannot be, or nothing."""
        return self._databases.pause_replay(name, paused=paused)

    def _unreachable(self) -> Iterator[tuple[str, int]]:
        """Yield the targets that the security groups of their service keep from the balancer."""
        for service in self._scheduler.services.values():
            network = service.settings.get("networkConfiguration") or {}
            groups = network.get("awsvpcConfiguration", {}).get("securityGroups") or ()
            for task in self._scheduler.tasks_of(service):
                for group, process in task.targets():
                    port = process.container_port or process.port
                    if not lets_balancer_in(service.region, groups, port, group):
                        yield group, process.port

    def _state(self, task: Any) -> str:
        states = [state for state, _ in self._tasks.target_states(task)]
        return states[0] if states and task.last_status == "RUNNING" else str(task.last_status).lower()

    def _record_problems(self, problems: dict[str, str]) -> None:
        with self._emulator.lock:
            for balancer in elb_calls.balancers():
                problem = problems.get(balancer.name, "")
                if problem != getattr(balancer, "problem", ""):
                    log.error("%s: %s", balancer.name, problem or "listens again")
                    balancer.problem = problem

    def _count_tasks(self) -> None:
        """Update the counters that DescribeClusters returns; moto does not know the tasks."""
        for _, region, backend in get_backend("ecs").iter_backends():
            for name, cluster in backend.clusters.items():
                tasks = [
                    record for record in self._tasks.all.values() if (record.region, record.cluster) == (region, name)
                ]
                services = [record for record in self._scheduler.services.values() if record.key[:2] == (region, name)]
                cluster.running_tasks_count = sum(record.last_status == "RUNNING" for record in tasks)
                cluster.pending_tasks_count = sum(record.last_status in ("PROVISIONING", "PENDING") for record in tasks)
                cluster.active_services_count = sum(record.status == "ACTIVE" for record in services)


def _served_here(create: Instead, served: Callable[[str, Response], Response]) -> Instead:
    def create_here(request: Request) -> Response | None:
        answer = create(request)
        return served(request.region, answer) if answer else None

    return create_here


def _role(instance: Any) -> str:
    """Return the instance's role tag; empty for an environment's own database."""
    return next((tag["Value"] for tag in instance.tags if tag["Key"] == ROLE_TAG), "")
