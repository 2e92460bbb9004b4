"""Examine an environment: read every component, concurrently, and judge what they say."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from orderops.aws.documents import Bucket
from orderops.engine.resource import Observed
from orderops.frozen import replace
from orderops.health.alarms import LABEL as ALARMS
from orderops.health.alarms import AlarmsSeen, alarms_status, read_alarms
from orderops.health.certificate import LABEL as CERTIFICATE
from orderops.health.certificate import certificate_status, read_certificate
from orderops.health.changes import last_call, last_run, newer
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.database import database_status
from orderops.health.entrance import balancer_status, read_entrance, read_readiness, readiness_status, urls_of
from orderops.health.laptop import explaining, laptop_status
from orderops.health.measured import Measured, read_measured
from orderops.health.notes import (
    REVIEW,
    Note,
    drifted,
    green_databases,
    outdated_tasks,
    overdue_passwords,
    pending_migrations,
    schema_owners,
)
from orderops.health.pages import AskPage, page_status, read_page
from orderops.health.queue import queue_status
from orderops.health.reads import Reads
from orderops.health.releases import ServiceRelease, read_releases
from orderops.health.replicas import read_replicas, replica_status
from orderops.health.schedules import LABEL as SCHEDULES
from orderops.health.schedules import schedules_status
from orderops.health.secrets import SecretAge, read_secret_ages
from orderops.health.service import read_services, service_status
from orderops.health.verdict import Health, HealthVerdict, judge, with_environment
from orderops.infra.alert_rule import Priority
from orderops.infra.failed_schedules import schedules_of
from orderops.infra.page import ask_page
from orderops.infra.readiness import AskReady, ReadyAnswer, ReadyState, ask_ready, asked_service
from orderops.infra.service import ServiceBase
from orderops.infra.service_login import login_of
from orderops.infra.workspace import Workspace
from orderops.infra.zones import nominal_zones
from orderops.migrations.sql.files import sql_folder
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.restore.drill_record import Drills, drills
from orderops.restore.instances import load_instances
from orderops.runs.lease import LeaseHolder
from orderops.runs.run import RunsUnderWay
from orderops.text.outside import plain

T = TypeVar("T")
READERS = 16
SILENT = (ReadyState.UNKNOWN, ReadyState.UNREACHABLE, ReadyState.NOT_ASKED)
"""Answers that say nothing of the dependencies of the service."""
NO_RELEASES: tuple[ServiceRelease, ...] = ()
NO_SECRETS: tuple[SecretAge, ...] = ()
# Commands that create components, with the beginnings of the names of what they create.
CREATING = {
    "up": ("",),
    "infra apply": ("database", "replica", "queue", "balancer", "certificate", "schedules", "alarms"),
    "service deploy": ("service",),
}


def examine(
    workspace: Workspace,
    *,
    ask: AskReady = ask_ready,
    page: AskPage = ask_page,
    sql: Path | None = None,
    compare: bool = False,
) -> Health:
    """Read every component and ask the service, all concurrently, and judge the answers.

    `sql` is the folder of the migrations. With `compare`, the account is compared with the environment file, too. What
    these credentials may not read is left out. Raises AwsError if that is everything.
    """
    reads = Reads()
    # The zones decide only where subnets are; who may not read them may not compare the account with the file either.
    vars(workspace)["zones"] = reads.value(lambda: tuple(workspace.zones), nominal_zones(workspace.environment))
    with ThreadPoolExecutor(READERS) as pool:
        drift = pool.submit(reads.value, lambda: tuple(drifted(workspace)), ()) if compare else None
        health = _Examination(workspace, reads, pool, ask, page).judged()
        notes = [*pending_migrations(health.ready, sql_folder(sql)), *outdated_tasks(health.releases)]
        notes += overdue_passwords(workspace.stack, health.secrets, datetime.now(UTC))
        notes += [*schema_owners(health.ready), *green_databases(health.green)]
        notes += drift.result() if drift else ()
    return _with_notes(replace(health, denied=reads.denied), tuple(notes))


class _Examination:
    """The reads of one examination. Each begins when it is submitted, and those after it may wait for it."""

    def __init__(self, workspace: Workspace, reads: Reads, pool: ThreadPoolExecutor, ask: AskReady, page: AskPage):
        self._workspace = workspace
        self._reads = reads
        self._pool = pool
        self._running = self._begun(workspace.runs.under_way, RunsUnderWay())
        self._drill = self._begun(lambda: drills(Bucket(workspace.aws), workspace.environment.name), Drills(None, ()))
        self._alarms_read = pool.submit(read_alarms, workspace)
        self._alarms: Future[AlarmsSeen | None] = self._begun(self._alarms_read.result, None)
        self._services = pool.submit(read_services, workspace)
        self._entrance = pool.submit(read_entrance, workspace)
        self._primary = pool.submit(lambda: load_instances(workspace.aws, workspace.stack).primary)
        self._replicas = pool.submit(read_replicas, workspace)
        entrance = self._begun(self._entrance.result, None)
        self._measured = self._begun(self._measure, Measured())
        self._ready: Future[ReadyAnswer | None] = pool.submit(lambda: read_readiness(workspace, entrance.result(), ask))
        self._page = pool.submit(lambda: read_page(workspace, entrance.result(), self._ready.result(), page))
        self._secrets = self._begun(lambda: read_secret_ages(workspace), NO_SECRETS)
        self._releases = self._begun(lambda: read_releases(workspace, self._services.result()), NO_RELEASES)

    def judged(self) -> Health:
        """The verdict, and what explains it."""
        workspace, ready, running = self._workspace, self._ready.result(), self._running.result()
        components = tuple(
            _under_run(self._by_alarm(_with_reason(workspace, component, ready)), running.holders)
            for component in self._components()
        )
        self._reads.check_any(components)
        entrance = self._reads.value(self._entrance.result, None)
        urls = urls_of(workspace, entrance)
        health = judge(workspace.environment.name, (*laptop_status(workspace), *components), urls)
        proven = self._drill.result()
        return replace(
            self._explained(health),
            page=self._page.result(),
            proven=proven.last,
            runs=running.holders,
            unreadable=(*running.unreadable, *proven.unreadable),
            ready=ready,
            releases=self._releases.result(),
            secrets=self._secrets.result(),
            green=self._of_primary("Green") or "",
            login=self._login(),
            restorable=self._of_primary("LatestRestorableTime"),
        )

    def _begun(self, read: Callable[[], T], otherwise: T) -> Future[T]:
        return self._pool.submit(self._reads.value, read, otherwise)

    def _login(self) -> str:
        """How the services log in; empty without a database."""
        primary = self._reads.value(self._primary.result, None)
        return login_of(self._workspace.stack, primary.observed) if primary else ""

    def _of_primary(self, key: str) -> Any:
        """A property of the database; None without one."""
        primary = self._reads.value(self._primary.result, None)
        return primary.observed.properties.get(key) if primary else None

    def _measure(self) -> Measured:
        primary = self._reads.value(self._primary.result, None)
        queues = [base for base in self._workspace.stack.services.values() if not base.works_for]
        nothing: dict[str, Observed] = {}
        replicas = [replica.name for replica in self._reads.value(self._replicas.result, nothing).values()]
        return read_measured(self._workspace.aws, primary.name if primary else None, queues, replicas)

    def _components(self) -> list[ComponentStatus]:
        """The components in the order of their dependencies, and the alarms."""
        workspace, component = self._workspace, self._reads.component
        name_of, bases = workspace.environment.service_name, workspace.stack.services.values()
        reads: dict[str, Callable[[], ComponentStatus]] = {
            "database": lambda: database_status(workspace, self._primary.result(), self._measured.result())
        }
        for replica in workspace.stack.replicas:
            reads[f"replica {replica.number}"] = partial(self._replica, replica)
        for base in bases:
            if not base.works_for:
                reads[f"queue {base.key}"] = partial(self._queue, base)
        for base in bases:
            reads[f"service {base.key}"] = partial(self._service, base, name_of(base.key))
        if schedules_of(workspace.environment):
            reads[SCHEDULES] = lambda: schedules_status(workspace)
        reads["balancer"] = lambda: balancer_status(workspace, self._entrance.result())
        if workspace.stack.listeners.certificate:
            reads[CERTIFICATE] = lambda: certificate_status(read_certificate(workspace), datetime.now(UTC))
        reads["readiness"] = self._readiness
        reads[ALARMS] = lambda: alarms_status(self._alarms_read.result())
        found = list(self._pool.map(lambda name: component(name, reads[name]), reads))
        if page := self._page.result():
            found.insert(-1, page_status(workspace, page))
        return found

    def _by_alarm(self, component: ComponentStatus) -> ComponentStatus:
        """The component, judged by the alarms about it where neither it nor the service says how it is now."""
        alarms, ready = self._alarms.result(), self._ready.result()
        blind = component.denied or ready is None or ready.state in SILENT
        raised = alarms.of(component.name) if alarms and blind and not component.impaired else []
        if not raised:
            return component
        first = raised[0]
        return replace(
            component,
            state=ComponentState.DOWN if first.priority is Priority.P0 else ComponentState.DEGRADED,
            detail=f"{first.words} (alarm {plain(first.name)}); {component.detail}",
            next_command=first.command,
            priority=first.priority,
            since=first.since,
        )

    def _replica(self, replica: RdsReadReplica) -> ComponentStatus:
        observed, primary = self._replicas.result().get(replica.address), self._primary.result()
        return replica_status(self._workspace, replica, observed, primary, self._measured.result())

    def _queue(self, base: ServiceBase) -> ComponentStatus:
        return queue_status(self._workspace, base, self._measured.result().oldest.get(base.key))

    def _readiness(self) -> ComponentStatus:
        # Without the load balancer's address, whose reading fails here, nothing was asked.
        self._entrance.result()
        return readiness_status(self._workspace, self._ready.result())

    def _service(self, base: ServiceBase, name: str) -> ComponentStatus:
        return service_status(self._workspace, base, self._services.result().get(name))

    def _explained(self, health: Health) -> Health:
        """The verdict with since when, the change before it, and what to do while a run is under way."""
        if self._running.result().holders and health.next:
            watch = with_environment("orderops status --watch", self._workspace.environment.name)
            health = replace(health, next=watch)
        if not health.component:
            return health
        alarms = self._alarms.result() or AlarmsSeen(0)
        began = [alarm.since for alarm in alarms.of(health.component, *health.waiting)]
        since = min([*began, *filter(None, [health.since])], default=None)
        ours = self._pool.submit(self._reads.value, lambda: last_run(self._workspace, since), None)
        primary = self._reads.value(self._primary.result, None)
        instance = primary.name if primary else None
        others = last_call(self._workspace, health.component, instance, since)
        change = newer(ours.result(), others)
        return replace(health, since=since, change=change)


def _with_notes(health: Health, notes: tuple[Note, ...]) -> Health:
    """The verdict with what is to be done besides; it comes first where nothing is wrong."""
    if health.verdict is HealthVerdict.ABSENT:
        return health
    if health.component or not notes:
        return replace(health, notes=notes)
    first = notes[0]
    command = with_environment(first.next_command, health.environment)
    return replace(health, notes=notes, priority=REVIEW, cause=first.what, next=command)


def _with_reason(workspace: Workspace, component: ComponentStatus, answer: ReadyAnswer | None) -> ComponentStatus:
    """The component, down if AWS sees no fault in it and the service says that it does not answer."""
    names = {"database": "database", f"queue {asked_service(workspace.environment)}": "queue"}
    reason = answer.reasons.get(names.get(component.name, "")) if answer else ""
    if not reason or component.impaired:
        return component
    detail = f"does not answer the service: {reason}; {component.detail}"
    return replace(component, state=ComponentState.DOWN, detail=detail, next_command=explaining(workspace))


def _under_run(component: ComponentStatus, runs: tuple[LeaseHolder, ...]) -> ComponentStatus:
    """The component; starting if it is absent and a run that creates it is under way."""
    for run in runs if component.state is ComponentState.ABSENT else ():
        words = [words for words in CREATING if f"{run.command} ".startswith(f"{words} ")]
        if words and component.name.startswith(CREATING[words[0]]):
            detail = f"being created by {plain(run.who)}, `{plain(run.command)}`"
            return ComponentStatus(component.name, ComponentState.STARTING, detail, "orderops status --watch")
    return component
