"""Restores, switches and removals before the operator's eyes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from orderops.database.connection import Login, connect, login_at_endpoint, route_to
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import State
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.serialize import from_json
from orderops.migrations.ledger.table import History
from orderops.operations.guarded import Change, guarded_change
from orderops.operations.remote import send
from orderops.operations.workspace import ChangeOptions, confirm_restore, open_workspace, slow_resources
from orderops.remote.job import DATABASE, DatabaseEndpoint, JobObserver, JobRequest, JobResult, current_job, run_job
from orderops.remote.tunnel import tunnel_of
from orderops.resources.rds_description import DRILL
from orderops.resources.rds_instance import NO_SNAPSHOT, SNAPSHOT, RdsInstance
from orderops.resources.rds_restored_instance import CARRIED, RdsRestoredInstance
from orderops.restore.endpoints import connection_info, start_of
from orderops.restore.instances import Instance, load_instances
from orderops.restore.point_in_time import Restore, RestoreRequest, describe_moment, restore_request
from orderops.restore.points import RestorePoint, points
from orderops.restore.timestamps import RestoreTarget, utc, utc_and_local
from orderops.restore.window import RestoreWindow, window_of
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

LIVE, RESTORED = "live", "restored"
"""The names of the doors of a pair, in an errand."""


@dataclass(frozen=True)
class Pair:
    """The live database and a copy of it, each with what opens it."""

    live: Login
    restored: Login
    live_name: str
    name: str
    words: str
    """What leads a command to the copy again."""


@contextmanager
def pair(env: str, environments: Path | None, name: str | None) -> Iterator[Pair]:
    """Both databases of a comparison; the copy may be left out where there is only one."""
    if sent := current_job():
        names = sent.request.settings
        words = f"{names[RESTORED]} --env {sent.request.environment}"
        yield Pair(sent.login(LIVE), sent.login(RESTORED), names[LIVE], names[RESTORED], words)
        return
    workspace = open_workspace(env, environments)
    primary, copy = primary_and(workspace, name)
    with open_databases(workspace, primary, copy) as (live, restored):
        yield Pair(live, restored, primary.name, copy.name, f"{copy.name} --env {env}")


def primary_and(workspace: Workspace, name: str | None) -> tuple[Instance, Instance]:
    """The primary, and what it is to be compared with."""
    copies = load_instances(workspace.aws, workspace.stack)
    primary, copy = copies.require_primary(), copies.named(name, action="compare")
    if copy.name == primary.name:
        raise OrderopsError(
            f"{copy.name} is the primary, and would be compared with itself",
            f"what else there is: orderops restore list --env {workspace.environment.name}",
        )
    return primary, copy


def run_pair_by_task(
    workspace: Workspace,
    words: Sequence[str],
    primary: Instance,
    copy: Instance,
    data: Callable[[str], object] | None = None,
) -> JobResult:
    """Carry out a command on both databases in a task, where they can be reached."""
    names = {LIVE: primary.name, RESTORED: copy.name}
    return send(workspace, words, doors=_doors(workspace, primary, copy), settings=names, data=data)


def compare_by_task(workspace: Workspace, primary: Instance, copy: Instance) -> dict[str, Any]:
    """A comparison that a task made, as machines are told; that something differs is no failure of it."""
    with Progress() as progress:
        request = JobRequest(
            ("restore", "compare"),
            databases=_doors(workspace, primary, copy),
            settings={LIVE: primary.name, RESTORED: copy.name},
        )
        ended = run_job(workspace, request, JobObserver(lambda _: None, progress.watch))
    if ended.result is None:
        ended.check()
        raise OrderopsError("the comparison ended without a result", "the same command makes another one")
    return ended.result


def _doors(workspace: Workspace, primary: Instance, copy: Instance) -> dict[str, DatabaseEndpoint]:
    return {
        LIVE: DatabaseEndpoint(**connection_info(workspace.stack, primary)),
        RESTORED: DatabaseEndpoint(**connection_info(workspace.stack, copy)),
    }


@contextmanager
def open_databases(workspace: Workspace, *copies: Instance) -> Iterator[list[Login]]:
    """What opens each of these instances, for as long as the way to them is open."""
    name, access = workspace.environment.name, workspace.environment.database.access
    with ExitStack() as ways:
        yield [
            ways.enter_context(
                route_to(
                    partial(login_at_endpoint, workspace.aws, connection_info(workspace.stack, copy)),
                    access=access,
                    name=name,
                    tunnel=tunnel_of(workspace),
                )
            )
            for copy in copies
        ]


def ledger_of(workspace: Workspace, copy: Instance) -> dict[int, History]:
    """What was done to an instance's database, by whichever way that is reached."""
    if workspace.environment.database.access != "task":
        with open_databases(workspace, copy) as (login,), connect(login, name="orderops restore looks") as connection:
            return ledger.read(connection)
    with Progress() as progress:
        endpoint = DatabaseEndpoint(**connection_info(workspace.stack, copy))
        request = JobRequest(("migrate", "history", "--json"), databases={DATABASE: endpoint})
        ended = run_job(workspace, request, JobObserver(lambda _: None, progress.watch))
    ended.check()
    return from_json((ended.result or {}).get("ledger", ()))


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
    _leave(workspace, outcome.plan, as_json)


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
        goal = restore_request(
            self._workspace.aws,
            self._workspace.stack,
            self._requested,
            source=self._source,
            start_of=partial(start_of_migration, self._workspace),
            # Planned again after another run: the instance that it has begun since is the one that is meant.
            since=self._began if self._planned else None,
        )
        self._planned = True
        return goal

    def show(self, plan: RestoreRequest) -> None:
        if not self.is_needed(plan):
            console.info(f"{plan.name} exists already, as of {utc_and_local(plan.moment)}")
            return
        _show(plan)
        if self._options.dry_run:
            console.show_plan(Restore(self._workspace.aws, self._workspace.stack, plan).plan())

    def preview(self, plan: RestoreRequest) -> None:
        if not self.is_needed(plan):
            _leave(self._workspace, plan, self._as_json)

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
    """When a migration began that is in the database."""
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    return start_of(ledger_of(workspace, primary), version, f"--env {workspace.environment.name}")


def restored_instance(
    workspace: Workspace, run: Run, asked: RestoreTarget, role: str, *, instance_class: str = ""
) -> Instance:
    """A copy of the primary that is thrown away after it has served; one that was cut is taken up."""
    goal = restore_request(
        workspace.aws,
        workspace.stack,
        asked,
        role=role,
        instance_class=instance_class,
        start_of=partial(start_of_migration, workspace),
    )
    work = Restore(workspace.aws, workspace.stack, goal, run.recent_writes)
    with Progress(slow_instances(workspace, [goal.resource]), noted=run.done) as progress:
        work.on_wait = progress.watch
        for step in work.run():
            progress.done(step)
    return work.instance()


@contextmanager
def temporary_instance(
    workspace: Workspace, run: Run, asked: RestoreTarget, role: str, *, instance_class: str = ""
) -> Iterator[Instance]:
    """A copy for as long as it is needed, after what killed runs left of such; it goes however that ends."""
    remove_leftovers(workspace, run, asked, role)
    copy = restored_instance(workspace, run, asked, role, instance_class=instance_class)
    try:
        yield copy
    finally:
        with Progress(noted=run.done) as progress:
            delete_instance(workspace, copy, progress, snapshot=False)


def remove_leftovers(workspace: Workspace, run: Run, asked: RestoreTarget, role: str) -> None:
    """Remove the copies that killed runs left; the one that is still being made and was meant is taken up instead."""
    wanted = ""
    if role != DRILL:  # which is measured from its beginning
        with suppress(OrderopsError):  # what is in the way goes now; what cannot be had is refused when it is asked for
            wanted = restore_request(
                workspace.aws, workspace.stack, asked, role=role, start_of=partial(start_of_migration, workspace)
            ).name
    with Progress(noted=run.done) as progress:
        for copy in load_instances(workspace.aws, workspace.stack).others:
            of_use = copy.name == wanted and not copy.ended and copy.observed.state is not State.FAILED
            if copy.role == role and not of_use:
                console.info(f"{copy.name} was left by a run that was cut: it goes first")
                delete_instance(workspace, copy, progress, snapshot=False)


def delete_instance(workspace: Workspace, copy: Instance, progress: Progress, *, snapshot: bool) -> None:
    """Delete an instance beside the primary, and come back when it is gone."""
    if not snapshot:
        RdsInstance.retag(workspace.aws, copy.observed, {SNAPSHOT: NO_SNAPSHOT})
    looked = Inventory(workspace.aws, workspace.environment.name, [RdsInstance])
    for step in destroy(
        [each for each in looked.owned() if each.observed.id == copy.name], looked, on_wait=progress.watch
    ):
        progress.done(step)


def points_of(workspace: Workspace, source: str | None, *, last: int) -> tuple[str, RestoreWindow, list[RestorePoint]]:
    """Which instance, its window, and what was done when."""
    copies = load_instances(workspace.aws, workspace.stack)
    origin = copies.named(source, action="restore") if source else copies.require_primary()
    window = window_of(workspace.aws, origin.observed)
    try:
        standings = ledger_of(workspace, origin)
    except OrderopsError as error:
        console.info(f"the ledger cannot be read: {error.message}")
        standings = {}
    return origin.name, window, points(window, standings, workspace.runs.history(last=last))


def slow_instances(workspace: Workspace, resources: list[RdsRestoredInstance]) -> list[RdsRestoredInstance]:
    """The copies for which it helps to know how long they take on AWS."""
    return resources if slow_resources(workspace) else []


def _show(goal: RestoreRequest) -> None:
    window = goal.window
    again = f", begun {goal.existing.tag('orderops:begun')} and gone on with" if goal.existing else ""
    console.info(f"restore {goal.source.name}{again}")
    console.info(f"  to     {describe_moment(goal.moment, goal.requested)}")
    console.info(f"  window {utc_and_local(window.earliest)}")
    console.info(f"      to {utc_and_local(window.latest)}")
    console.info(f"  as     {goal.name}")
    console.info("         beside it: the original stays as it is")


def _leave(workspace: Workspace, goal: RestoreRequest, as_json: bool) -> None:
    env = workspace.environment.name
    copy = load_instances(workspace.aws, workspace.stack).named(goal.name, action="restore")
    if as_json:
        console.show_json({**copy.to_dict(), "window": goal.window.to_dict()})
        return
    console.data(goal.name)
    console.info(f"next: orderops restore compare {goal.name} --env {env}")
    console.info(f"then: orderops restore promote {goal.name} --env {env}")
