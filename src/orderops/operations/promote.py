"""Promote, turn back and discard restored instances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress

from orderops.database.connection import connect
from orderops.database.service_role import ROLE
from orderops.engine.resource import Resource
from orderops.engine.step import Step
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen, replace
from orderops.infra.address import service_url
from orderops.infra.iam_login import iam_user_of
from orderops.infra.service_login import tag_with_login
from orderops.infra.workspace import Workspace
from orderops.operations.guarded import Change, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.remote import run_by_task
from orderops.operations.restore import delete_and_show, open_databases
from orderops.operations.schema_owner import KEEP
from orderops.operations.service_login import MadeRoles, establish, job_settings
from orderops.operations.workspace import confirm_change, slow_resources
from orderops.remote.job import DATABASE, DatabaseEndpoint, JobRequest
from orderops.resources.rds_description import DISPOSABLE
from orderops.resources.rds_instance import final_snapshot
from orderops.resources.rds_read_replica import SOURCE
from orderops.restore.endpoints import connection_info
from orderops.restore.in_use import check_not_in_use
from orderops.restore.instances import Instance, Instances, load_instances, was_discarded
from orderops.restore.lag import MeasuredLag, lag_between, lag_by_metrics
from orderops.restore.login_carry import with_login_carried
from orderops.restore.promotion import (
    BACK,
    Promotion,
    Switch,
    check_alike,
)
from orderops.restore.verification import ServiceUnreachable, verify
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

Decide = Callable[[Instances], Switch]


class SwitchPlan(Frozen):
    """Which instance replaces which, what carries that out, and the steps that it would take."""

    switch: Switch
    promotion: Promotion
    steps: Sequence[Step]
    lacks_login: bool = False
    """Whether the services' role is made in the new primary first."""
    lag: MeasuredLag | None = None
    """How far the replica that would be promoted is behind; None for any other instance."""


def switch_to(workspace: Workspace, options: ChangeOptions, decide: Decide, *, as_it_is: bool = False) -> None:
    """Show what the switch changes, ask, switch, and check that the service answers from the new primary.

    With `as_it_is`, settings of the instance may differ from those of the primary.
    """
    change = _Switch(workspace, options, decide, as_it_is=as_it_is)
    outcome = guarded_change(workspace, options, change)
    if outcome is None:
        return
    switch = outcome.plan.switch
    if outcome.progress and outcome.progress.steps:
        console.info(f"switched in {in_words(outcome.progress.elapsed)}")
    else:
        console.info(f"0 changes: {switch.to.name} is the primary, and everything uses it")
    _check_service(workspace, switch.to, outcome.plan.promotion)
    _show_next(workspace, switch)


def discard(workspace: Workspace, options: ChangeOptions, name: str | None, *, snapshot: bool) -> None:
    """Delete an instance that is not the primary; with a final snapshot unless that was declined."""
    outcome = guarded_change(workspace, options, _Discard(workspace, options, name, snapshot=snapshot))
    if outcome is None:
        return
    if outcome.plan is None:
        console.info(f"0 changes: {name or 'the instance'} is already deleted")
        return
    if outcome.progress:
        console.info(f"discarded in {in_words(outcome.progress.elapsed)}")
    console.info(f"next: orderops restore list --env {workspace.environment.name}")


class _Switch(Change[SwitchPlan]):
    def __init__(self, workspace: Workspace, options: ChangeOptions, decide: Decide, *, as_it_is: bool) -> None:
        self._workspace = workspace
        self._options = options
        self._decide = decide
        self._as_it_is = as_it_is

    def plan(self) -> SwitchPlan:
        switch = self._decide(load_instances(self._workspace.aws, self._workspace.stack))
        if not self._as_it_is:
            check_alike(switch)
        to = with_login_carried(switch)
        lacks_login = to is not switch.to
        # As it will be when the services switch to it.
        switch = replace(switch, to=to)
        promotion = Promotion(self._workspace, switch)
        lag = _lag_of(self._workspace, switch)
        return SwitchPlan(switch, promotion, promotion.plan(), lacks_login=lacks_login, lag=lag)

    def show(self, plan: SwitchPlan) -> None:
        _show_switch(plan.switch)
        if plan.lag:
            _show_loss(self._workspace, plan.switch, plan.lag)
        if plan.lacks_login:
            role = iam_user_of(plan.switch.to.observed) or ROLE
            console.info(f"first the services' role is made in {plan.switch.to.name}: {role}")
        console.show_plan(plan.steps)

    def is_needed(self, plan: SwitchPlan) -> bool:
        return bool(plan.steps)

    def ask(self, plan: SwitchPlan) -> bool:
        switch = plan.switch
        # A decided switch is an interrupted one: the tags name the new primary already.
        if not switch.decided:
            _check_opens(self._workspace, switch.to)
        question = f"Make {switch.to.name} the database of {self._workspace.environment.name}?"
        return confirm_change(self._workspace, question, self._options)

    def check(self, confirmed: SwitchPlan, plan: SwitchPlan, *, prompted: bool) -> None:
        before, now = confirmed.switch, plan.switch
        if before.to.name != now.to.name or (
            before.previous and now.previous and before.previous.name != now.previous.name
        ):
            raise OrderopsError(
                f"{now.to.name} would be promoted now, and {before.to.name} was confirmed; nothing was changed",
                "re-run this command to see the new plan",
            )

    def apply(self, plan: SwitchPlan, run: Run, progress: Progress) -> None:
        promotion = plan.promotion
        if plan.lacks_login:
            with progress.paused():
                _make_login(self._workspace, plan.switch.to)
        promotion.recent_writes = run.recent_writes
        promotion.on_wait = progress.watch
        for step in promotion.run():
            progress.done(step)
        # A re-run of a finished promotion changes nothing, and records nothing.
        if progress.steps:
            before = plan.switch.previous.name if plan.switch.previous else None
            run.record.note(action="promoted", name=plan.switch.to.name, before=before)

    def progress_resources(self, plan: SwitchPlan) -> Collection[Resource]:
        return slow_resources(self._workspace)


class _Discard(Change[Instance | None]):
    """Its plan is the instance; None if an interrupted run of the same command has already had it deleted."""

    def __init__(self, workspace: Workspace, options: ChangeOptions, name: str | None, *, snapshot: bool) -> None:
        self._workspace = workspace
        self._options = options
        self._name = name
        self._snapshot = snapshot

    def plan(self) -> Instance | None:
        instances = load_instances(self._workspace.aws, self._workspace.stack)
        if was_discarded(instances, self._name, self._options.command, self._workspace.runs):
            return None
        instance = instances.named(self._name, action="discard")
        instances.check_alone(instance)
        check_not_in_use(self._workspace, instances, instance)
        # Planned again under the lease, the same instance is meant, even if another one appeared meanwhile.
        self._name = instance.name
        return instance

    def show(self, plan: Instance | None) -> None:
        if plan is None:
            return
        console.info_folded(_summary(plan))
        if self._keeps_snapshot(plan):
            console.info(f"a final snapshot is kept: {final_snapshot(plan.observed)}")
        else:
            console.info("no snapshot is kept: its data is lost")

    def is_needed(self, plan: Instance | None) -> bool:
        return plan is not None

    def ask(self, plan: Instance | None) -> bool:
        assert plan, "it is needed"
        name = plan.name
        if console.confirm_name(name, f"{name} is deleted for good", given=self._options.confirm, yes="delete it"):
            # Always planned again: the lease that a promotion takes is not held yet.
            return True
        env = self._workspace.environment.name
        raise UsageError(
            f"{name} is kept: its name was not given",
            f"to delete it: orderops restore discard {name} --env {env} --confirm {name}",
        )

    def apply(self, plan: Instance | None, run: Run, progress: Progress) -> None:
        if plan is not None:
            delete_and_show(self._workspace, plan, progress, snapshot=self._keeps_snapshot(plan))

    def _keeps_snapshot(self, instance: Instance) -> bool:
        return self._snapshot and instance.role not in DISPOSABLE


def _make_login(workspace: Workspace, instance: Instance) -> None:
    """Make the services' role in an instance, with the password that the primary's has, before it is switched to."""
    secret, properties = workspace.stack.login.name, instance.observed.properties
    iam_user = iam_user_of(instance.observed)
    if workspace.environment.database.access == "task":
        endpoint = DatabaseEndpoint(**connection_info(workspace.stack, instance))
        request = JobRequest(
            ("migrate", "grant"),
            databases={DATABASE: endpoint},
            settings={**job_settings(workspace, tokens=bool(iam_user)), KEEP: True},
        )
        made = MadeRoles()
        made.read(run_by_task(workspace, request))
        if iam_user and not made.tokens:
            name = workspace.environment.name
            raise OrderopsError(
                f"the older orderops in the service's image made no role for tokens of IAM in {instance.name}",
                f"release a new image, then re-run this command: orderops up --env {name}",
            )
    else:
        with open_databases(workspace, instance) as (login,):
            establish(workspace.aws, secret, login, tokens=bool(iam_user))
    tag_with_login(workspace.aws, instance.observed, str(properties["ServiceSecretArn"]), iam_user)


def _check_opens(workspace: Workspace, instance: Instance) -> None:
    """Connect to the new primary first, if this machine can reach it; else the service shows whether it works."""
    # Only the service inside the VPC can reach it; the check after the switch shows whether it does.
    if workspace.environment.database.access != "direct":
        console.info(f"{instance.name} is not opened from here (access = {workspace.environment.database.access})")
        return
    with open_databases(workspace, instance) as (login,), connect(login, name="orderops restore") as connection:
        connection.execute("select 1")


def _lag_of(workspace: Workspace, switch: Switch) -> MeasuredLag | None:
    """How far a replica that is still one is behind the primary, measured as exactly as this machine can."""
    to, primary = switch.to, switch.previous
    if switch.decided or not to.is_replica or not to.observed.properties[SOURCE]:
        return None
    if primary is None:
        return MeasuredLag(None, None, "the database does not exist")
    if workspace.environment.database.access != "task":
        # The database may be away, which is a reason to promote a replica.
        with suppress(OrderopsError), ExitStack() as open_:
            logins = open_.enter_context(open_databases(workspace, primary, to))
            sessions = [open_.enter_context(connect(login, name="orderops restore")) for login in logins]
            return lag_between(*sessions)
    return lag_by_metrics(workspace.aws, primary.name, to.name)


def _show_loss(workspace: Workspace, switch: Switch, lag: MeasuredLag) -> None:
    days = workspace.environment.database.backup_days
    console.info_folded(f"lost would be what {switch.to.name} has not received: {lag.words}")
    console.info_folded(
        f"{switch.to.name} stops to follow for good, restarts, and keeps backups for {days} days from then on; until "
        "its first backup it cannot be restored"
    )
    if workspace.stack.replicas:
        env = workspace.environment.name
        console.info_folded(f"the read replicas of the new database come after: orderops up --env {env} makes them")


def _show_switch(switch: Switch) -> None:
    if not switch.decided and switch.previous:
        moment = switch.to.tag("orderops:restored-to")
        console.info(f"from {switch.previous.name}, which is kept unchanged")
        console.info(f"to   {switch.to.name}")
        if moment:
            console.info(f"     as of {moment}")
    elif switch.previous:
        console.info(f"{switch.to.name} is the primary already; it replaced {switch.previous.name}")


def _check_service(workspace: Workspace, primary: Instance, promotion: Promotion) -> None:
    outputs = promotion.outputs
    if workspace.stack.balancer not in outputs or not workspace.stack.services:
        console.info("no service is running, so none was checked")
        return
    url = service_url(workspace.stack, outputs)
    try:
        answer = verify(url, connection_info(workspace.stack, primary))
    # This machine may have no route to the balancer; that is no failure of the promotion.
    except ServiceUnreachable as error:
        console.info(f"{error.message}; {error.hint}")
        return
    except OrderopsError as error:
        env = workspace.environment.name
        hint = f"check its tasks: orderops status --env {env}; or switch back: orderops restore back --env {env}"
        raise OrderopsError(error.message, hint) from None
    users = "" if answer.users is None else f", {answer.users} users"
    answered = f"{answer.requests} of {answer.requests} requests answered{users}"
    console.info_folded(f"the service answers from {primary.name}: {answered}")


def _show_next(workspace: Workspace, switch: Switch) -> None:
    env = workspace.environment.name
    if switch.previous and switch.command == BACK:
        console.info(f"to promote {switch.previous.name} again:")
        console.info(f"      orderops restore promote {switch.previous.name} --env {env}")
    elif switch.previous:
        console.info(f"to switch back while {switch.previous.name} exists:")
        console.info(f"      orderops restore back --env {env}")
    if switch.previous:
        console.info(f"to see the rows that only {switch.previous.name} has:")
        console.info(f"      orderops restore compare {switch.previous.name} --env {env}")


def _summary(instance: Instance) -> str:
    properties = instance.observed.properties
    moment = instance.tag("orderops:restored-to")
    when = f", restored to {moment}" if moment else ""
    size = f"{properties['DBInstanceClass']}, {properties['AllocatedStorageNow']} GB"
    return f"{instance.name}: {instance.role}{when}, {size}"
