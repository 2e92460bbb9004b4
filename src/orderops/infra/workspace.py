"""An environment in its account: planned, applied, and taken down."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.destroy import destroy, holding, in_use, undeclared, with_what_they_need
from orderops.engine.inventory import Inventory, Owned, environments_in_account
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Leftover, Outputs, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.errors import AwsError, OrderopsError, UsageError
from orderops.infra.stack import INFRA_KINDS, KINDS, Stack, stack, take_inventory
from orderops.resources.ecs_service import EcsService
from orderops.runs.run import COPIES, ChangeGuard, Runs

FEW = 3
"""Names that are said one by one."""


@dataclass(frozen=True)
class Workspace:
    """An environment, the AWS it lives in, and its resources."""

    environment: Environment
    aws: Aws
    guard: ChangeGuard = field(default_factory=ChangeGuard)
    """What `aws` asks before every change."""
    other_environments: Collection[str] = ()
    """The environments that have a file beside this one's."""
    folder: Path = Path("environments")
    """Where that file is."""

    @cached_property
    def runs(self) -> Runs:
        """How it is changed: one run at a time, and on record."""
        return Runs(self.aws, self.environment.name, self.guard)

    @cached_property
    def copying(self) -> Runs:
        """How what stands beside it is changed: a restore takes long, and holds nothing else up."""
        return Runs(self.aws, self.environment.name, self.guard, part=COPIES)

    @cached_property
    def stack(self) -> Stack:
        """Its resources in the account that these credentials open; refuses any account but the one pinned."""
        self.check_account()
        return stack(self.environment, self.aws.account)

    def check_account(self) -> None:
        """Refuse any account but the one pinned."""
        pinned = self.environment.account
        if pinned and pinned != self.aws.account:
            raise OrderopsError(
                f"these credentials open account {self.aws.account}, and {self.environment.name} lives in {pinned}",
                f"choose the profile of that account: AWS_PROFILE=NAME orderops … --env {self.environment.name}",
            )

    def inventory(self, *, infra_only: bool = False) -> Inventory:
        """A fresh look; without the kinds that run a release when only infrastructure is asked about."""
        return take_inventory(self.aws, self.environment, INFRA_KINDS if infra_only else KINDS)

    def declared(self, images: Mapping[str, str] | None = None) -> dict[str, Resource]:
        """All resources by address."""
        return {each.address: each for each in [*self.stack.infra, *self.stack.release(images or {})]}


@dataclass(frozen=True)
class Plan:
    """What would be done, what of the undeclared would go or stay, and what of it nobody asked about."""

    steps: list[Step]
    pruned: list[Step]
    undeclared: list[Owned]
    outputs: Outputs
    inventory: Inventory
    undeclared_environments: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Environments in the account that have no file, with their addresses; looked for where nothing is there yet."""

    @property
    def changes(self) -> list[Step]:
        """The steps that would change something."""
        return [step for step in self.steps if step.action is not Action.NO_OP]

    @property
    def differs(self) -> bool:
        """Whether there is anything to do or to decide."""
        return bool(self.changes or self.pruned or self.undeclared)

    @property
    def refused_steps(self) -> list[Step]:
        """The steps that will not be taken as things are."""
        return [step for step in self.steps if step.error]


def make_plan(
    workspace: Workspace,
    *,
    images: Mapping[str, str] | None = None,
    adopt: Collection[str] = (),
    prune: bool = False,
    on_wait: OnWait = lambda *_: None,
) -> Plan:
    """What apply would do; with `images` for the release too, else for the infrastructure alone."""
    looked = workspace.inventory(infra_only=images is None and not prune)
    _check_addresses(adopt, workspace.declared(), "--adopt {}: nothing declared has this address")
    outputs = Outputs(workspace.aws.region, workspace.aws.account)
    resources = [*workspace.stack.infra, *(workspace.stack.release(images) if images is not None else [])]
    steps = list(reconcile(resources, looked, outputs=outputs, dry_run=True, adopt=adopt, on_wait=on_wait))
    owned = list(looked.owned())
    found = undeclared(owned, workspace.declared())
    pruned = list(_prune(found, looked, dry_run=True)) if prune else []
    strangers = {} if owned else _without_file(workspace)
    return Plan(steps, pruned, [] if prune else found, outputs, looked, strangers)


def _without_file(workspace: Workspace) -> dict[str, set[str]]:
    """The environments that may have been this one before its file was renamed."""
    known = {workspace.environment.name, *workspace.other_environments}
    return {name: addresses for name, addresses in environments_in_account(workspace.aws).items() if name not in known}


@dataclass
class Apply:
    """One run that makes things so: infrastructure first, then what runs on it, with one look and its outputs.

    `survey` is the look that was planned by, when nothing but the plan happened since.
    """

    workspace: Workspace
    images: Mapping[str, str] | None = None
    adopt: Collection[str] = ()
    inventory: Inventory | None = None
    recent_writes: RecentWrites | None = None
    on_wait: OnWait = lambda *_: None
    outputs: Outputs = field(default_factory=Outputs)

    def __post_init__(self) -> None:
        self._survey = self.inventory or self.workspace.inventory(infra_only=self.images is None)

    def infra(self) -> Iterator[Step]:
        """Everything but the release."""
        yield from self._reconcile(self.workspace.stack.infra)

    def release(self) -> Iterator[Step]:
        """What runs the services; the infrastructure must be there."""
        yield from self._reconcile(self.workspace.stack.release(self.images or {}))

    def prune(self) -> Iterator[Step]:
        """Remove what is ours, no longer declared, and holds no data; releases too, which stand on the rest."""
        looked = self.workspace.inventory()
        yield from _prune(undeclared(looked.owned(), self.workspace.declared()), looked, watch=self.on_wait)

    def _reconcile(self, resources: list[Resource]) -> Iterator[Step]:
        yield from reconcile(
            resources,
            self._survey,
            outputs=self.outputs,
            adopt=self.adopt,
            on_wait=self.on_wait,
            recent_writes=self.recent_writes,
        )


class Release:
    """What runs some services, on the infrastructure as it is; refuses where that is not there."""

    def __init__(self, workspace: Workspace) -> None:
        self._site = workspace
        self.outputs = Outputs(workspace.aws.region, workspace.aws.account)
        looked = workspace.inventory()
        steps = list(reconcile(workspace.stack.infra, looked, outputs=self.outputs, dry_run=True))
        running = [each.address for each in workspace.stack.release({})]
        needed = with_what_they_need(running, workspace.declared(), lambda address: address)
        missing = sorted(step.address for step in steps if step.action is Action.CREATE and step.address in needed)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            name = workspace.environment.name
            raise OrderopsError(f"{missing[0]}{more} must be made first", f"orderops up --env {name}")
        self._looked = looked

    def plan(self, images: Mapping[str, str]) -> Iterator[Step]:
        """What rolling out these images would change."""
        yield from reconcile(self._resources(images), self._looked, outputs=self.outputs, dry_run=True)

    def roll_out(
        self, images: Mapping[str, str], *, recent_writes: RecentWrites | None = None, on_wait: OnWait = lambda *_: None
    ) -> Iterator[Step]:
        """Roll out these images, and end when they serve."""
        looked = self._site.inventory()
        yield from reconcile(
            self._resources(images), looked, outputs=self.outputs, recent_writes=recent_writes, on_wait=on_wait
        )

    def _resources(self, images: Mapping[str, str]) -> list[Resource]:
        return self._site.stack.release(images, only=images)


def _prune(
    found: list[Owned], looked: Inventory, *, dry_run: bool = False, watch: OnWait = lambda *_: None
) -> Iterator[Step]:
    holds = holding(found, looked)
    kept = with_what_they_need(holds, {}, lambda address: f"holds {holds[address]}", found)
    yield from destroy(found, looked, kept=kept, dry_run=dry_run, on_wait=watch)


def _check_addresses(given: Collection[str], known: Collection[str], refusal: str) -> None:
    for address in given:
        if address not in known:
            alike = get_close_matches(address, known, n=1)
            hint = f"did you mean {alike[0]}?" if alike else "the addresses: orderops infra graph"
            raise UsageError(refusal.format(address), hint)


@dataclass(frozen=True)
class DestroyPlan:
    """What would go and what stays, decided before anything is touched; what holds data goes when it is `named`."""

    inventory: Inventory
    found: list[Owned]
    holds: Mapping[str, str]
    declared: Mapping[str, Resource]
    named: frozenset[str]

    @property
    def unnamed(self) -> dict[str, str]:
        """What holds data and stays for that, with what it holds."""
        return {
            address: what
            for address, what in self.holds.items()
            if not {address, address.partition("/")[2]} & self.named
        }

    @cached_property
    def kept(self) -> dict[str, str]:
        """What stays, each with the reason: it holds data, or something that does stands on it."""
        kept = with_what_they_need(
            self.unnamed, self.declared, lambda address: f"holds {self.holds[address]}", self.found
        )
        there = {owned.address for owned in self.found}
        return {address: why for address, why in kept.items() if address in there}

    @property
    def removed(self) -> list[Owned]:
        """What goes."""
        return [owned for owned in self.found if owned.address not in self.kept]

    def with_named(self, addresses: Collection[str]) -> DestroyPlan:
        """The same with these named too."""
        return replace(self, named=self.named | {*addresses})

    def run(self, *, dry_run: bool = False, watch: OnWait = lambda *_: None) -> Iterator[Step]:
        """Remove what goes, users of a thing before the thing."""
        yield from destroy(self.found, self.inventory, kept=self.kept, dry_run=dry_run, on_wait=watch)


def leftovers_of(workspace: Workspace, kinds: Iterable[type[Resource]]) -> Iterator[Leftover]:
    """What stays of these kinds when they are removed, and the record; what cannot be looked at is not told."""
    owner = Ownership(workspace.environment.name)
    for kind in kinds:
        with suppress(AwsError):
            yield from (left for left in kind.leftovers(workspace.aws, owner) if left.names)
    record = f"s3://{Bucket(workspace.aws).name}/{workspace.environment.name}/"
    yield Leftover(f"history of {workspace.environment.name}", "aws s3 rm --recursive NAME", (record,))


def plan_destroy(
    workspace: Workspace, *, only: Collection[str] = (), named: Collection[str] = (), infra_only: bool = False
) -> DestroyPlan:
    """Decide what goes; what holds data stays unless it is named, and with it what it stands on."""
    looked = workspace.inventory()
    found = list(looked.owned())
    running = sorted(owned.address for owned in found if owned.kind is EcsService)
    if infra_only and running:
        raise OrderopsError(
            f"{', '.join(running)} still runs on it",
            f"take everything down: orderops down --env {workspace.environment.name}",
        )
    declared = workspace.declared()
    if only:
        _check_addresses(only, {owned.address for owned in found}, "--only {}: nothing of ours has this address")
        _refuse_what_is_in_use(workspace, only, in_use(only, found, declared))
        found = [owned for owned in found if owned.address in only]
    return DestroyPlan(looked, found, holding(found, looked), declared, frozenset(named))


def _refuse_what_is_in_use(workspace: Workspace, only: Collection[str], users: Mapping[str, list[str]]) -> None:
    if users:
        down = f"orderops down --env {workspace.environment.name}"
        more = sorted({user for names in users.values() for user in names} - set(only))
        raise OrderopsError(
            "\n".join(f"{address} is used by {_listed(names)}" for address, names in users.items()),
            f"nothing was removed; with what uses it: {down} {' '.join(f'--only {each}' for each in [*only, *more])}"
            if len(more) <= FEW
            else f"nothing was removed; with everything: {down}",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
