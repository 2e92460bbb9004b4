"""The switch from one instance to another, and back: the services follow, and nothing is renamed.

One write decides: the tags of the instance that becomes the primary, with a term greater than any before. From then
on it is the primary, whatever else is still to follow; until then the other one is. What follows finds out for itself
whether it is done: the other's tags, the pointer that services read, what may read it, and the services' tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep

from orderops.aws.client import Aws
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, ROLE, Ownership
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Effect, Outputs, Resource, State
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.resources.ecs_redeployment import EcsRedeployment
from orderops.resources.ecs_service import EcsService
from orderops.resources.rds_description import PRIMARY, RESTORED, TERM, former, term_of
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_restored_instance import differences
from orderops.restore.instances import BEFORE, BY, SETTLED, Instance, Instances, load_instances

PROMOTE, BACK = "promote", "back"


@dataclass(frozen=True)
class Switch:
    """From which instance to which."""

    to: Instance
    other: Instance | None
    """The primary until now; or, where the switch was cut, the one before."""
    by: str
    """The command that asks for it."""
    decided: bool = False
    """Whether `to` is the primary already, so that only the rest may be left to do."""


def switch(copies: Instances, name: str | None, by: str = PROMOTE) -> Switch:
    """Who is to become the primary; raises OrderopsError where that one cannot."""
    primary = copies.primary if copies.gone and name else copies.the_primary()
    to = copies.named(name, what=PROMOTE) if name or not primary else _meant(copies, primary)
    if primary and to.name == primary.name:
        return _the_rest(copies, primary)
    if to not in copies.restored:
        raise OrderopsError(
            f"{to.name} was made for a {to.role} and is thrown away after it",
            f"restore one to keep: orderops restore --at latest --env {copies.environment}",
        )
    _refuse_unready(to, copies.environment)
    return Switch(to, primary, by)


def back(copies: Instances) -> Switch:
    """The last promotion turned back; one that was turned back already is ended, and not turned round again."""
    primary = copies.the_primary()
    before = primary.tag(BEFORE)
    if primary.tag(BY) == BACK:
        return _the_rest(copies, primary)
    if not before:
        raise OrderopsError(
            f"{primary.name} is the primary and was never promoted, so there is nothing to turn back",
            f"what there is: orderops restore list --env {copies.environment}",
        )
    if not any(copy.name == before for copy in copies.others):
        query = f"DBSnapshots[?DBInstanceIdentifier=='{before}'].DBSnapshotIdentifier"
        raise OrderopsError(
            f"{before}, which was the primary before {primary.name}, is gone",
            f'the final snapshot that it left, if it did: aws rds describe-db-snapshots --query "{query}"',
        )
    return switch(copies, before, BACK)


def _meant(copies: Instances, primary: Instance) -> Instance:
    """Who is meant where nobody is named: the switch that is under way, or the only one that was restored."""
    restored = [copy for copy in copies.restored if copy.role == RESTORED]
    promoted = primary.tag(BY) == PROMOTE
    if promoted and (not primary.settled or not restored):
        return primary
    if restored or not copies.restored:
        return copies.named(None, what=PROMOTE)
    names = "\n".join(f"orderops restore promote {copy.name} --env {copies.environment}" for copy in copies.restored)
    raise OrderopsError(f"{copies.environment} has no restored instance that was not primary before", names)


def _the_rest(copies: Instances, primary: Instance) -> Switch:
    other = next((copy for copy in copies.others if copy.name == primary.tag(BEFORE)), None)
    return Switch(primary, other, primary.tag(BY), decided=True)


@dataclass
class Promotion:
    """The way of a switch, step by step; what is done already makes no step."""

    workspace: Workspace
    switch: Switch
    recent_writes: RecentWrites = field(default_factory=RecentWrites)
    watch: OnWait = lambda *_: None
    outputs: Outputs = field(default_factory=Outputs)

    def plan(self) -> list[Step]:
        """What carrying it out would change."""
        return list(self._steps(dry_run=True))

    def run(self) -> Iterator[Step]:
        """Decide, and have everything follow; ends when the services' tasks are new."""
        yield from self._steps(dry_run=False)

    def _steps(self, *, dry_run: bool) -> Iterator[Step]:
        yield from self._tagging(dry_run=dry_run)
        yield from self._pointing(dry_run=dry_run)
        yield from self._renewing(dry_run=dry_run)
        yield from self._settling(dry_run=dry_run)

    def _tagging(self, *, dry_run: bool) -> Iterator[Step]:
        to, other, aws = self.switch.to, self.switch.other, self.workspace.aws
        address = self.workspace.stack.database.address
        if not self.switch.decided:
            if not dry_run:
                owner = Ownership(self.workspace.environment.name, address, self.workspace.stack.database.name)
                before = {BEFORE: other.name} if other else {}
                mine = {**owner.tags, **before, ROLE: PRIMARY, TERM: str(self._term(other)), BY: self.switch.by}
                RdsInstance.retag(aws, to.observed, mine)
                _await_primary(self.workspace, to)
            yield Step(f"{RdsInstance.kind}/{to.name}", Action.UPDATE, {"role": (to.role, PRIMARY)})
        if other and (not self.switch.decided or _says_it_is_primary(aws, other, address)):
            if not dry_run:
                RdsInstance.retag(aws, other.observed, former(other.name))
            role = (PRIMARY, former(other.name)[ROLE])
            yield Step(f"{RdsInstance.kind}/{other.name}", Action.UPDATE, {"role": role})

    def _pointing(self, *, dry_run: bool) -> Iterator[Step]:
        """The pointer, and whatever else is told of the primary."""
        workspace, database = self.workspace, self.workspace.stack.database
        looked = workspace.inventory(infra_only=True)
        self.outputs = Outputs(workspace.aws.region, workspace.aws.account)
        for _ in reconcile(workspace.stack.infra, looked, outputs=self.outputs, dry_run=True):
            pass  # only to know what is there
        self.outputs[database] = self.switch.to.observed  # whatever a listing that lags behind says
        told = [each for each in workspace.stack.infra if each is not database and _is_told_of(each, database)]
        steps = reconcile(
            told, looked, outputs=self.outputs, dry_run=dry_run, on_wait=self.watch, recent_writes=self.recent_writes
        )
        yield from (step for step in steps if step.action is not Action.NO_OP)

    def _renewing(self, *, dry_run: bool) -> Iterator[Step]:
        """Tasks that were started before the pointer was changed may still use what they read then."""
        workspace = self.workspace
        pointer = workspace.stack.pointer.now(workspace.aws, workspace.environment.name)
        if pointer is None:
            return
        _, since = pointer
        services = [
            live
            for live in EcsService.listing(workspace.aws, Ownership(workspace.environment.name))
            if live.state is not State.GOING and (live.tags or {}).get(ENVIRONMENT) == workspace.environment.name
        ]
        if dry_run and not self.switch.decided:
            for live in services:
                change = {"Renewed": (False, True)}
                yield Step(f"{EcsService.kind}/{live.name}", Action.UPDATE, change, Effect.RESTARTS)
            return
        renewals = [EcsRedeployment(live.name, live.properties["Cluster"], since) for live in services]
        looked = Inventory(workspace.aws, workspace.environment.name, [EcsRedeployment], workspace.environment.tags)
        steps = reconcile(renewals, looked, dry_run=dry_run, on_wait=self.watch, recent_writes=self.recent_writes)
        yield from (step for step in steps if step.action is not Action.NO_OP)

    def _settling(self, *, dry_run: bool) -> Iterator[Step]:
        """Say that the switch is done, so that whoever types it again does not turn it round."""
        to, decided = self.switch.to, self.switch.decided
        if decided and to.settled:
            return
        term = to.tag(TERM) if decided else str(self._term(self.switch.other))
        if not dry_run:
            RdsInstance.retag(self.workspace.aws, to.observed, {SETTLED: term})
        if decided:
            yield Step(f"{RdsInstance.kind}/{to.name}", Action.UPDATE, {"switch": ("begun", "done")})

    def _term(self, other: Instance | None) -> int:
        """One more than any before."""
        return 1 + max(term_of(copy.observed.tags or {}) for copy in (self.switch.to, other) if copy)


def check_alike(switched: Switch) -> None:
    """Raise OrderopsError where the instance to be promoted is not set as the one that it replaces."""
    if switched.decided or switched.other is None:
        return
    different = differences(switched.other.observed, switched.to.observed)
    if different:
        told = "\n".join(f"{key}: {there!r} there, {here!r} here" for key, (there, here) in different.items())
        raise OrderopsError(
            f"{switched.to.name} is not set as {switched.other.name} is:\n{told}",
            "promote it as it is, and let the next orderops up set the rest: --as-it-is",
        )


def _refuse_unready(copy: Instance, environment: str) -> None:
    if copy.observed.state is State.READY and copy.ready:
        return
    how = copy.observed.status if copy.observed.state is not State.READY else "not restored to the end"
    raise OrderopsError(
        f"{copy.name} is {how}",
        f"the command that makes it goes on with it; how far it is: orderops restore list --env {environment}",
    )


def _await_primary(workspace: Workspace, to: Instance) -> None:
    """The tag is the decision: it must be seen before anything follows it."""
    until = monotonic() + ReconcileLimits().seen_within.total_seconds()
    while monotonic() < until:
        primary = load_instances(workspace.aws, workspace.stack).primary
        if primary and primary.name == to.name:
            return
        sleep(0.2)
    raise OrderopsError(f"{to.name} was tagged as the primary and is not seen as such", "the same command goes on")


def _says_it_is_primary(aws: Aws, copy: Instance, address: str) -> bool:
    """What its own tags say; the listing shows what follows from the term."""
    told = aws.rds.list_tags_for_resource(ResourceName=copy.observed.arn)["TagList"]
    return any((each["Key"], each["Value"]) == (ADDRESS, address) for each in told)


def _is_told_of(resource: Resource, database: Resource) -> bool:
    return any(need is database or _is_told_of(need, database) for need in resource.needs())


def check_not_in_use(workspace: Workspace, instances: Instances, instance: Instance) -> None:
    """Raise OrderopsError if an instance is the primary or may be used by the service, by its tags or the pointer."""
    env = workspace.environment.name
    if instances.gone:
        raise OrderopsError(
            f"the database of {env} is gone, and {instance.name} may be what is left of it",
            f"make it the database: orderops restore promote {instance.name} --env {env}",
        )
    if not instance.ready and (who := workspace.restore_runs.current_holder()):
        raise OrderopsError(f"{instance.name} is being made by {who}", "end that first, with Ctrl+C; or wait for it")
    if instances.primary and instance.name == instances.primary.name:
        raise OrderopsError(
            f"{instance.name} is the primary of {env}, and is never discarded",
            f"promote another one first: orderops restore list --env {env}",
        )
    if instances.primary and not instances.primary.settled and instances.primary.tag(BEFORE) == instance.name:
        command = f"orderops restore {instances.primary.tag(BY)} --env {env}"
        raise OrderopsError(
            f"the services of {env} may still use {instance.name}: a switch was interrupted", f"finish it: {command}"
        )
    pointer = workspace.stack.pointer.now(workspace.aws, env)
    properties = instance.observed.properties
    endpoint = [properties["EndpointAddress"], properties["EndpointPort"]]
    if pointer and [pointer[0].get(key) for key in ("host", "port")] == endpoint:
        raise OrderopsError(
            f"the services of {env} are told to use {instance.name}",
            f"let them follow the primary: orderops up --env {env}",
        )
