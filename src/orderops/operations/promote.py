"""Promoting, turning back and discarding before the operator's eyes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orderops.database.connection import connect
from orderops.engine.reconcile import Step
from orderops.errors import OrderopsError, UsageError
from orderops.infra.stack import load_balancer_url
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.restore import opened, remove
from orderops.operations.workspace import ChangeOptions, consent, with_usual_durations
from orderops.resources.rds_description import DISPOSABLE
from orderops.resources.rds_instance import final_snapshot
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import PREVIOUS_PRIMARY, PROMOTED_BY, Instance, Instances, load_instances
from orderops.restore.promotion import BACK, Promotion, Switch, check_alike
from orderops.restore.verification import ServiceUnreachable, verify
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

RUNS = 20
"""How far back a run that was cut is looked for."""
Decide = Callable[[Instances], Switch]


def switch_to(workspace: Workspace, manner: ChangeOptions, decide: Decide, *, as_it_is: bool = False) -> None:
    """Show what the switch changes, ask, carry it out, and ask the service which database answers."""
    lease = read_lease(workspace)

    def planned() -> tuple[Switch, Promotion]:
        switched = decide(load_instances(workspace.aws, workspace.stack))
        if not as_it_is:
            check_alike(switched)
        return switched, Promotion(workspace, switched)

    switched, promotion = planned()
    steps = promotion.plan()
    _show(switched, undecided=not switched.decided)
    console.show_plan(steps)
    if manner.dry_run:
        return
    if steps and not switched.decided:
        _open(workspace, switched.to)
    if steps:
        asked = consent(workspace, f"Make {switched.to.name} the database of {workspace.environment.name}?", manner)
        with locked_run(workspace, manner, lease) as run:
            if asked or not run.undisturbed:
                agreed, (switched, promotion) = switched, planned()
                _refuse_other(agreed, switched)
            promotion.recent_writes = run.recent_writes
            with Progress(with_usual_durations(workspace), noted=run.done) as progress:
                promotion.on_wait = progress.watch
                steps = list(_shown(promotion, progress))
            before = switched.previous.name if switched.previous else None
            if steps:
                run.record.note(action="promoted", name=switched.to.name, before=before)
    if steps:
        console.info(f"switched in {in_words(progress.elapsed)}")
    else:
        console.info(f"0 changes: {switched.to.name} is the primary, and everything follows it")
    _ask_the_service(workspace, switched.to, promotion)
    _leave(workspace, switched)


def discard(workspace: Workspace, manner: ChangeOptions, name: str | None, *, snapshot: bool) -> None:
    """Remove a copy, or what was primary before; with a final snapshot unless it was said not to take one."""
    lease = read_lease(workspace)
    copies = load_instances(workspace.aws, workspace.stack)
    if _is_gone(workspace, copies, name, manner.command):
        console.info(f"0 changes: {name or 'it'} is gone")
        return
    copy = copies.named(name, action="discard")
    _refuse_in_use(workspace, copies, copy)
    console.info(_holds(copy))
    keeps = snapshot and copy.role not in DISPOSABLE
    console.info(
        f"a final snapshot stays: {final_snapshot(copy.observed)}" if keeps else "no snapshot stays: all of it goes"
    )
    if manner.dry_run:
        return
    env = workspace.environment.name
    if not console.confirm_name(copy.name, f"{copy.name} goes for good", given=manner.confirm, yes="delete it"):
        raise UsageError(
            f"{copy.name} stays: its name was not given",
            f"say it beforehand: orderops restore discard {copy.name} --env {env} --confirm {copy.name}",
        )
    with locked_run(workspace, manner, lease) as run:  # the lease that a promotion takes, too
        copies = load_instances(workspace.aws, workspace.stack)
        if copy.name not in {each.name for each in copies.all}:
            console.info(f"0 changes: {copy.name} is gone, by somebody else's hand")
            return
        copy = copies.named(copy.name, action="discard")
        _refuse_in_use(workspace, copies, copy)
        with Progress(noted=run.done) as progress:
            remove(workspace, copy, progress, snapshot=keeps)
    console.info(f"discarded in {in_words(progress.elapsed)}")
    console.info(f"next: orderops restore list --env {env}")


def _open(workspace: Workspace, copy: Instance) -> None:
    """What is to be the primary must let us in; where it stands out of reach, the service will tell."""
    if workspace.environment.database.access != "direct":
        console.info(f"{copy.name} is not opened from here (access = {workspace.environment.database.access})")
        return
    with opened(workspace, copy) as (login,), connect(login, name="orderops restore looks") as connection:
        connection.execute("select 1")


def _shown(promotion: Promotion, progress: Progress) -> Iterator[Step]:
    for step in promotion.run():
        progress.done(step)
        yield step


def _show(switched: Switch, *, undecided: bool) -> None:
    if undecided and switched.previous:
        moment = switched.to.tag("orderops:restored-to")
        console.info(f"from {switched.previous.name}, which stays as it is")
        console.info(f"to   {switched.to.name}")
        if moment:
            console.info(f"     as of {moment}")
    elif switched.previous:
        console.info(f"{switched.to.name} is the primary already, in the place of {switched.previous.name}")


def _refuse_other(agreed: Switch, now: Switch) -> None:
    if agreed.to.name != now.to.name or (
        agreed.previous and now.previous and agreed.previous.name != now.previous.name
    ):
        raise OrderopsError(
            f"{now.to.name} would be promoted now, and {agreed.to.name} was agreed to; nothing was done",
            "the same command shows the new plan",
        )


def _ask_the_service(workspace: Workspace, primary: Instance, promotion: Promotion) -> None:
    outputs = promotion.outputs
    if workspace.stack.balancer not in outputs or not workspace.stack.services:
        console.info("no service runs, so none was asked")
        return
    url = load_balancer_url(workspace.stack, outputs)
    try:
        answer = verify(url, connection_info(workspace.stack, primary))
    except ServiceUnreachable as error:
        console.info(f"{error.message}; {error.hint}")
        return
    except OrderopsError as error:
        env = workspace.environment.name
        hint = f"its tasks: orderops status --env {env}; the other way: orderops restore back --env {env}"
        raise OrderopsError(error.message, hint) from None
    console.info(
        f"the service answers from {primary.name}: {answer.users} users, {answer.requests} answers of {answer.requests}"
    )


def _leave(workspace: Workspace, switched: Switch) -> None:
    env = workspace.environment.name
    if switched.previous and switched.command == BACK:
        console.info(f"to have the other again: orderops restore promote {switched.previous.name} --env {env}")
    elif switched.previous:
        console.info(f"turn it back while {switched.previous.name} lives: orderops restore back --env {env}")
    if switched.previous:
        console.info(
            f"what it has that this one has not: orderops restore compare {switched.previous.name} --env {env}"
        )


def _refuse_in_use(workspace: Workspace, copies: Instances, copy: Instance) -> None:
    """Raise OrderopsError for what the service uses, by its tags or by what the pointer says."""
    env = workspace.environment.name
    if copies.primary_missing:
        raise OrderopsError(
            f"the database of {env} is gone, and {copy.name} may be what is left of it",
            f"make it the database: orderops restore promote {copy.name} --env {env}",
        )
    if not copy.ready and (who := workspace.copying.holder()):
        raise OrderopsError(f"{copy.name} is being made by {who}", "end that first, with Ctrl+C; or wait for it")
    if copies.primary and copy.name == copies.primary.name:
        raise OrderopsError(
            f"{copy.name} is the primary of {env}, and is never discarded",
            f"promote another one first: orderops restore list --env {env}",
        )
    if copies.primary and not copies.primary.settled and copies.primary.tag(PREVIOUS_PRIMARY) == copy.name:
        command = f"orderops restore {copies.primary.tag(PROMOTED_BY)} --env {env}"
        raise OrderopsError(
            f"the services of {env} may still use {copy.name}: a switch was cut", f"finish it: {command}"
        )
    pointer = workspace.stack.pointer.now(workspace.aws, env)
    told = copy.observed.properties
    if pointer and [pointer[0].get(key) for key in ("host", "port")] == [told["EndpointAddress"], told["EndpointPort"]]:
        raise OrderopsError(
            f"the services of {env} are told to use {copy.name}",
            f"let them follow the primary: orderops up --env {env}",
        )


def _is_gone(workspace: Workspace, copies: Instances, name: str | None, command: str) -> bool:
    """Whether a run that was cut had asked AWS for it already: a name that is only misspelt is not on record."""
    if name and any(copy.name == name.lower() for copy in copies.all):
        return False
    if name is None and copies.restored:
        return False
    return any(run["command"].startswith(f"{command} --env") for run in workspace.runs.history(last=RUNS))


def _holds(copy: Instance) -> str:
    told = copy.observed.properties
    moment = copy.tag("orderops:restored-to")
    when = f", restored to {moment}" if moment else ""
    return f"{copy.name}: {copy.role}{when}, {told['DBInstanceClass']}, {told['AllocatedStorageNow']} GB"
