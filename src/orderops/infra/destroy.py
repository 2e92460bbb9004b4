"""Destroying an environment: what would be deleted, what is kept, and what is left afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property

from orderops.aws.documents import Bucket
from orderops.aws.ownership import Ownership
from orderops.config.service import ServiceConfig
from orderops.engine.destroy import destroy, holding, in_use, keep_with_needs
from orderops.engine.inventory import Inventory, Key, Owned
from orderops.engine.resource import Leftover, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Step
from orderops.engine.twins import check_no_twins
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen, replace
from orderops.infra.plan import check_addresses
from orderops.infra.region import check_region
from orderops.infra.service import secret_path
from orderops.infra.stack import stack
from orderops.infra.workspace import Workspace
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.ecs_service import EcsService
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.text.lists import joined

# What brings work to a service, and does it.
WORKING = (AutoscalingTarget, EcsService, Elbv2Rule)
# With more users than this, the hint is to destroy everything rather than to list them.
MAX_NAMES = 3


class DestroyPlan(Frozen):
    """What would be deleted and what is kept. A resource that holds data is deleted only if it is `named`."""

    inventory: Inventory
    found: list[Owned]
    holds: Mapping[Key, str]
    declared: Mapping[str, Resource]
    named: frozenset[str]

    @property
    def unnamed(self) -> list[Owned]:
        """Resources that hold data and are not named."""
        return [owned for owned in self.found if owned.key in self.holds and not owned.is_named_by(self.named)]

    @cached_property
    def kept(self) -> dict[Key, str]:
        """Resources that are kept, with the reason: they hold data, or one that does needs them."""
        holders = {owned.key: self.holds[owned.key] for owned in self.unnamed}
        return keep_with_needs(holders, self.declared, self.found)

    @property
    def removed(self) -> list[Owned]:
        """Resources that would be deleted."""
        return [owned for owned in self.found if owned.key not in self.kept]

    @property
    def running(self) -> DestroyPlan:
        """The part that accepts and does work: afterwards nothing fills the queues any more."""
        return replace(self, found=[owned for owned in self.removed if owned.kind in WORKING])

    def without(self, gone: DestroyPlan) -> DestroyPlan:
        """The rest, after another plan was carried out; AWS lists what is deleted for a while."""
        keys = {owned.key for owned in gone.found}
        return replace(self, found=[owned for owned in self.found if owned.key not in keys])

    def with_named(self, names: Collection[str]) -> DestroyPlan:
        """The same plan with these named as well."""
        return replace(self, named=self.named | {*names})

    def run(self, *, dry_run: bool = False, on_wait: OnWait = lambda *_: None) -> Iterator[Step]:
        """Delete what is not kept, users first."""
        yield from destroy(self.found, self.inventory, kept=self.kept, dry_run=dry_run, on_wait=on_wait)


def plan_destroy(
    workspace: Workspace, *, only: Collection[str] = (), named: Collection[str] = (), infra_only: bool = False
) -> DestroyPlan:
    """Plan a deletion: of everything, or of the addresses in `only`.

    Raises OrderopsError if services still run (`infra_only`), if others use an address in `only`, or if several
    resources carry one address and are not named one by one; UsageError for an unknown address.
    """
    inventory, found = _found(workspace)
    declared = workspace.declared()
    running = sorted(owned.address for owned in found if owned.kind is EcsService)
    if infra_only and running:
        raise OrderopsError(
            f"{', '.join(running)} still runs on it",
            f"destroy everything: orderops down --env {workspace.environment.name}",
        )
    if only:
        check_addresses(only, {owned.address for owned in found}, "--only {}: no owned resource has this address")
        _check_unused(workspace, only, in_use(only, found, declared))
        found = [owned for owned in found if owned.address in only]
    return _planned(workspace, inventory, found, named)


def plan_service_destroy(
    workspace: Workspace, services: Collection[str], *, named: Collection[str] = ()
) -> DestroyPlan:
    """Plan the deletion of what is these services' own, whether or not the file still declares them.

    Raises OrderopsError if several resources carry one address and are not named one by one.
    """
    inventory, found = _found(workspace)
    own = {address for service in services for address in own_addresses(workspace, service)}
    paths = tuple(secret_path(workspace.environment.name, service) for service in services)
    leaving = [owned for owned in found if owned.address in own or owned.own_name.startswith(paths)]
    return _planned(workspace, inventory, leaving, named)


def own_addresses(workspace: Workspace, service: str) -> set[str]:
    """The addresses of what belongs to a service alone; of one that no file declares, by the names that it would get.

    What other services share with it is not among them: of a worker, the queue and the repository.
    """
    environment = workspace.environment
    declared = environment.services.get(service)
    found: set[str] = set()
    # Also as a service with a queue and two target groups, which it may have been.
    widest = ServiceConfig(strategy="canary")
    for config in (declared, widest) if declared else (widest,):
        services = {**environment.services, service: config}
        # Also with the alarms that a file without them has left.
        alerts = environment.alerts.model_copy(update={"anomaly_detection": True})
        whole = stack(
            environment.model_copy(update={"services": services, "alerts": alerts}),
            workspace.aws.account,
            workspace.zones,
        )
        others = {
            resource.address for resource in [*whole.shared, *whole.release({}, only=services.keys() - {service})]
        }
        own = [*whole.services[service].resources(), *whole.release({}, only={service})]
        found |= {resource.address for resource in own} - others
    return found


def _found(workspace: Workspace) -> tuple[Inventory, list[Owned]]:
    # Nothing would lead to what is not found now.
    inventory = workspace.inventory(thorough=True)
    check_region(workspace.environment, inventory)
    return inventory, list(inventory.existing(workspace.declared().values()))


def _planned(workspace: Workspace, inventory: Inventory, found: list[Owned], named: Collection[str]) -> DestroyPlan:
    holds = holding(found, inventory)
    check_no_twins(found, holds, f"orderops down --env {workspace.environment.name}", named=named)
    return DestroyPlan(inventory, found, holds, workspace.declared(), frozenset(named))


def leftovers_of(workspace: Workspace, kinds: Iterable[type[Resource]]) -> Iterator[Leftover]:
    """What is left of these kinds once they are deleted. A kind that cannot be read is left out."""
    ownership = Ownership(workspace.environment.name)
    for kind in kinds:
        with suppress(AwsError):
            yield from (leftover for leftover in kind.leftovers(workspace.aws, ownership) if leftover.names)


def record_of(workspace: Workspace) -> Leftover:
    """The record of an environment, which outlives it."""
    record = f"s3://{Bucket(workspace.aws).name}/{workspace.environment.name}/"
    return Leftover(f"history of {workspace.environment.name}", "aws s3 rm --recursive NAME", (record,))


def _check_unused(workspace: Workspace, only: Collection[str], users: Mapping[str, list[str]]) -> None:
    if not users:
        return
    down = f"orderops down --env {workspace.environment.name}"
    more = sorted({user for names in users.values() for user in names} - set(only))
    if len(more) <= MAX_NAMES:
        options = " ".join(f"--only {address}" for address in [*only, *more])
        hint = f"nothing was deleted; with its users: {down} {options}"
    else:
        hint = f"nothing was deleted; with everything: {down}"
    lines = [f"{address} is used by {joined(names, MAX_NAMES)}" for address, names in users.items()]
    raise OrderopsError("\n".join(lines), hint)
