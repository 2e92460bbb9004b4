"""Restore the database to a point in time, and open, read and delete restored instances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

from orderops.database.connection import Login, connect, login_at_endpoint, route_to
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.migrations.ledger.serialize import from_json
from orderops.migrations.ledger.table import History, read
from orderops.operations.guarded import Change, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_restore, slow_resources
from orderops.remote.job import DATABASE, DatabaseEndpoint, JobObserver, JobRequest, run_job
from orderops.remote.tunnel import tunnel_of
from orderops.resources.rds_restored_instance import CARRIED, RdsRestoredInstance
from orderops.restore.endpoints import connection_info, start_of
from orderops.restore.instances import Instance, load_instances
from orderops.restore.point_in_time import (
    Restore,
    RestoreRequest,
    abandoned_instances,
    delete_instance,
    describe_moment,
    restore_request,
)
from orderops.restore.points import RestorePoint, points
from orderops.restore.timestamps import RestoreTarget, utc, utc_and_local
from orderops.restore.window import RestoreWindow, window_of
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


@contextmanager
def open_databases(workspace: Workspace, *instances: Instance) -> Iterator[list[Login]]:
    """Open a route to each instance, and yield their logins."""
    name, access = workspace.environment.name, workspace.environment.database.access
    with ExitStack() as routes:
        yield [
            routes.enter_context(
                route_to(
                    partial(login_at_endpoint, workspace.aws, connection_info(workspace.stack, instance)),
                    access=access,
                    name=name,
                    tunnel=tunnel_of(workspace),
                )
            )
            for instance in instances
        ]


def ledger_of(workspace: Workspace, instance: Instance) -> dict[int, History]:
    """Read the ledger of an instance's database: directly, through the tunnel, or by a remote job."""
    if workspace.environment.database.access != "task":
        with (
            open_databases(workspace, instance) as (login,),
            connect(login, name="orderops restore looks") as connection,
        ):
            return read(connection)
    with Progress() as progress:
        endpoint = DatabaseEndpoint(**connection_info(workspace.stack, instance))
        request = JobRequest(("migrate", "history", "--json"), databases={DATABASE: endpoint})
        end = run_job(workspace, request, JobObserver(lambda _: None, progress.watch))
    end.check()
    return from_json((end.result or {}).get("ledger", ()))


def restore(
    workspace: Workspace, options: ChangeOptions, requested: RestoreTarget, *, source: str | None, as_json: bool = False
) -> None:
    """Show the instance that would be created, ask, create it, and show the next step."""
    change = _Restore(workspace, options, requested, source, as_json=as_json)
    outcome = guarded_change(workspace, options, change, runs=workspace.restore_runs)
    if outcome is None:
        return
    if outcome.progress:
        elapsed = in_words(outcome.progress.elapsed)
        console.info(f"restored in {elapsed}: {len(CARRIED)} settings equal those of its source")
    _show_next(workspace, outcome.plan, as_json)


class _Restore(Change[RestoreRequest]):
    def __init__(
        self,
        workspace: Workspace,
        options: ChangeOptions,
        requested: RestoreTarget,
        source: str | None,
        *,
        as_json: bool,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._requested = requested
        self._source = source
        self._as_json = as_json
        self._began = datetime.now(UTC)
        self._planned = False

    def plan(self) -> RestoreRequest:
        request = restore_request(
            self._workspace.aws,
            self._workspace.stack,
            self._requested,
            source=self._source,
            start_of=partial(start_of_migration, self._workspace),
            # Planned again after another run: an instance that it has begun since is the same restore.
            since=self._began if self._planned else None,
        )
        self._planned = True
        return request

    def show(self, plan: RestoreRequest) -> None:
        if not self.is_needed(plan):
            console.info(f"{plan.name} exists already, as of {utc_and_local(plan.moment)}")
            return
        _show(plan)
        if self._options.dry_run:
            console.show_plan(Restore(self._workspace.aws, self._workspace.stack, plan).plan())

    def preview(self, plan: RestoreRequest) -> None:
        if not self.is_needed(plan):
            _show_next(self._workspace, plan, self._as_json)

    def is_needed(self, plan: RestoreRequest) -> bool:
        return not (plan.existing and plan.existing.ready)

    def ask(self, plan: RestoreRequest) -> bool:
        confirm_restore(self._workspace, f"Restore to {plan.name}?", self._options)
        # Time that passes while the operator decides changes nothing: the moment is fixed, and the instance is new.
        return False

    def apply(self, plan: RestoreRequest, run: Run, progress: Progress) -> None:
        work = Restore(self._workspace.aws, self._workspace.stack, plan, run.recent_writes)
        work.on_wait = progress.watch
        for step in work.run():
            progress.done(step)
        run.record.note(action="restored", name=plan.name, source=plan.source.name, moment=utc(plan.moment))

    def progress_resources(self, plan: RestoreRequest) -> list[RdsRestoredInstance]:
        return slow_instances(self._workspace, [plan.resource])


def start_of_migration(workspace: Workspace, version: int) -> datetime:
    """Return when an applied migration started, by the database's clock."""
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    return start_of(ledger_of(workspace, primary), version, f"--env {workspace.environment.name}")


def restored_instance(
    workspace: Workspace, run: Run, requested: RestoreTarget, role: str, *, instance_class: str = ""
) -> Instance:
    """Restore the primary to a temporary instance. An interrupted restore is resumed."""
    request = restore_request(
        workspace.aws,
        workspace.stack,
        requested,
        role=role,
        instance_class=instance_class,
        start_of=partial(start_of_migration, workspace),
    )
    work = Restore(workspace.aws, workspace.stack, request, run.recent_writes)
    with Progress(slow_instances(workspace, [request.resource]), noted=run.done) as progress:
        work.on_wait = progress.watch
        for step in work.run():
            progress.done(step)
    return work.instance()


@contextmanager
def temporary_instance(
    workspace: Workspace, run: Run, requested: RestoreTarget, role: str, *, instance_class: str = ""
) -> Iterator[Instance]:
    """Restore the primary to an instance that is deleted at the end, also after an error.

    First deletes what killed runs left: they could not delete their instances themselves.
    """
    delete_abandoned(workspace, run, requested, role)
    instance = restored_instance(workspace, run, requested, role, instance_class=instance_class)
    try:
        yield instance
    finally:
        with Progress(noted=run.done) as progress:
            delete_and_show(workspace, instance, progress, snapshot=False)


def delete_abandoned(workspace: Workspace, run: Run, requested: RestoreTarget, role: str) -> None:
    """Delete temporary instances of this role that killed runs left."""
    start_of = partial(start_of_migration, workspace)
    with Progress(noted=run.done) as progress:
        for instance in abandoned_instances(workspace.aws, workspace.stack, requested, role, start_of):
            console.info_folded(f"deleting {instance.name}, which an interrupted run has left")
            delete_and_show(workspace, instance, progress, snapshot=False)


def delete_and_show(workspace: Workspace, instance: Instance, progress: Progress, *, snapshot: bool) -> None:
    """Delete an instance that is not the primary, and show it."""
    name = workspace.environment.name
    for step in delete_instance(workspace.aws, name, instance, snapshot=snapshot, on_wait=progress.watch):
        progress.done(step)


def points_of(workspace: Workspace, source: str | None, *, last: int) -> tuple[str, RestoreWindow, list[RestorePoint]]:
    """Return the instance's name, its restore window, and the migrations and last runs as restore points."""
    instances = load_instances(workspace.aws, workspace.stack)
    origin = instances.named(source, action="restore") if source else instances.require_primary()
    window = window_of(workspace.aws, origin.observed)
    try:
        histories = ledger_of(workspace, origin)
    except OrderopsError as error:
        # The database may be what is broken; the window and the runs are still known.
        console.info_error("the ledger cannot be read: ", error)
        histories = {}
    return origin.name, window, points(window, histories, workspace.runs.history(last=last))


def slow_instances(workspace: Workspace, resources: list[RdsRestoredInstance]) -> list[RdsRestoredInstance]:
    """Instances whose typical duration on AWS is worth showing; none on the emulator."""
    return resources if slow_resources(workspace) else []


def _show(request: RestoreRequest) -> None:
    window = request.window
    resumed = f", begun {request.existing.tag('orderops:begun')} and resumed" if request.existing else ""
    console.info(f"restore {request.source.name}{resumed}")
    console.info(f"  to     {describe_moment(request.moment, request.requested)}")
    console.info(f"  window {utc_and_local(window.earliest)}")
    console.info(f"      to {utc_and_local(window.latest)}")
    console.info(f"  as     {request.name}")
    console.info("         a new instance; the original is not changed")


def _show_next(workspace: Workspace, request: RestoreRequest, as_json: bool) -> None:
    env = workspace.environment.name
    instance = load_instances(workspace.aws, workspace.stack).named(request.name, action="restore")
    if as_json:
        console.show_json({**instance.to_dict(), "window": request.window.to_dict()})
        return
    console.data(request.name)
    console.info(f"next: orderops restore compare {request.name} --env {env}")
    console.info(f"then: orderops restore promote {request.name} --env {env}")
