"""Destroy: find undeclared resources and those that hold data, and delete each resource after its users."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, get_args, get_type_hints

from orderops.aws.ownership import ROLE
from orderops.engine.inventory import Inventory, Key, Owned
from orderops.engine.reconcile import steps_of
from orderops.engine.resource import Observed, Resource
from orderops.engine.scheduler import Job, OnWait, run_all
from orderops.engine.step import Action, Step
from orderops.engine.waiting import ReconcileLimits, WaitLimit, retry_reason
from orderops.errors import AwsError, Meaning, OrderopsError
from orderops.frozen import replace

BLOCKED_HINT = "it does not belong to this environment: have its owner remove it, then re-run this command"


def undeclared(owned: Iterable[Owned], declared: Collection[str]) -> list[Owned]:
    """Owned resources that are not declared. A restored instance is not declared either, and has a role instead."""
    return [
        resource
        for resource in owned
        if resource.address not in declared and ROLE not in (resource.observed.tags or {})
    ]


def destroy(
    found: Iterable[Owned],
    inventory: Inventory,
    *,
    kept: Mapping[Key, str] | None = None,
    dry_run: bool = False,
    on_wait: OnWait = lambda name, waits_for: None,
    limits: ReconcileLimits = ReconcileLimits(),
) -> Iterator[Step]:
    """Delete the found resources, users first; yield each step. `kept` (with the reasons) are not deleted."""
    kept = kept or {}
    going = [owned for owned in found if owned.key not in kept]
    yield from (Step(address, Action.KEEP, note=why) for (address, _), why in kept.items())
    names = [f"{owned.address} {owned.observed.id}" for owned in going]
    tasks = {
        name: remove(owned, inventory, dry_run=dry_run, limits=limits) for name, owned in zip(names, going, strict=True)
    }
    needs = {
        name: {user for user, using in zip(names, going, strict=True) if _may_need(using.kind, owned.kind)}
        for name, owned in zip(names, going, strict=True)
    }
    results = run_all(tasks, needs, on_wait=lambda name, why: on_wait(name.split(" ")[0], why))
    yield from steps_of(results, len(tasks), dry_run=dry_run)


def remove(owned: Owned, inventory: Inventory, *, dry_run: bool, limits: ReconcileLimits) -> Job[Step]:
    """Delete and read again, until the resource is gone."""
    step = Step(owned.address, Action.DELETE, note=owned.observed.id)
    timeout = limits.timeout or owned.kind.timeout
    # The whole timeout for errors too: network interfaces may block a security group for half an hour.
    wait = WaitLimit(timeout, timeout)
    while not dry_run:
        observed: Observed | None = owned.observed
        try:
            observed = inventory.refresh_owned(owned)
            if observed is None:
                break
            if observed.state in owned.kind.removable:
                # The tag index may still show an owner that was removed from the resource.
                inventory.check_owned(owned, observed)
                owned.kind.delete(inventory.aws, observed)
            reason = wait.waits(observed.status or "delete sent")
        except AwsError as error:
            reason = retry_reason(error, owned.kind.retryable_errors)
            if error.meaning is Meaning.NO and (blocker := _blocker(owned, observed or owned.observed, inventory)):
                raise OrderopsError(f"cannot be deleted while it is used by {blocker}", BLOCKED_HINT) from None
            wait.troubled(error, reason)
        yield reason
    return step


def holding(found: Iterable[Owned], inventory: Inventory) -> dict[Key, str]:
    """Resources that hold data, and what each holds."""
    held = {owned.key: _held(owned, inventory) for owned in found}
    return {key: what for key, what in held.items() if what}


def _held(owned: Owned, inventory: Inventory) -> str:
    """The data of a resource. One that is being deleted by someone else counts as holding data, so it is kept."""
    try:
        return owned.kind.holds(inventory.aws, owned.observed)
    except AwsError as error:
        if error.meaning is not Meaning.NO:
            raise
        return f"data that cannot be read now ({retry_reason(error, owned.kind.retryable_errors)})"


def keep_with_needs(
    holders: Mapping[Key, str], declared: Mapping[str, Resource], found: Collection[Owned]
) -> dict[Key, str]:
    """The found resources that are kept: the holders, each with its data, and everything that they need."""
    addresses = {address: f"holds {data}" for (address, _), data in holders.items()}
    needed = with_what_they_need(addresses, declared, addresses.__getitem__, found)
    kept = {owned.key: f"holds {holders[owned.key]}" for owned in found if owned.key in holders}
    for owned in found:
        if owned.address in needed and owned.address not in addresses:
            kept[owned.key] = needed[owned.address]
    return kept


def with_what_they_need(
    addresses: Iterable[str],
    declared: Mapping[str, Resource],
    why: Callable[[str], str],
    found: Collection[Owned] = (),
) -> dict[str, str]:
    """These addresses and everything that they need, each with the reason why it is kept.

    An undeclared resource keeps every found resource of a kind that it may need.
    """
    kept: dict[str, str] = {}

    def keep(resource: Resource, reason: str) -> None:
        if resource.address not in kept:
            kept[resource.address] = reason
            for need in resource.needs():
                keep(need, f"{resource.address} needs it")

    for address in addresses:
        if address in declared:
            keep(declared[address], why(address))
        else:
            kept[address] = why(address)
            # No file declares the needs of an undeclared resource, so only its kind is known.
            kinds = set[type[Resource]]().union(
                *(_all_needed_kinds(owned.kind) for owned in found if owned.address == address)
            )
            for owned in found:
                if owned.kind in kinds:
                    kept.setdefault(owned.address, f"{address} may need it")
    return kept


def in_use(only: Collection[str], found: Iterable[Owned], declared: Mapping[str, Resource]) -> dict[str, list[str]]:
    """Addresses of `only` that AWS would not delete because others of ours use them, with their users."""
    existing = {owned.address: owned.kind for owned in found}
    users = {
        address: [
            other for other in existing.keys() - set(only) if other in declared and _needs(declared[other], address)
        ]
        for address in only
        if address in existing and existing[address].needs_unused_to_delete
    }
    return {address: sorted(names) for address, names in users.items() if names}


def _needs(resource: Resource, address: str) -> bool:
    return any(need.address == address for need in resource.needs())


def _blocker(owned: Owned, observed: Observed, inventory: Inventory) -> str:
    """What blocks a deletion and is not ours; "" if that cannot be read."""
    with suppress(AwsError):
        return owned.kind.blockers(inventory.aws, replace(observed, tags=owned.observed.tags))
    return ""


def _may_need(user: type[Resource], kind: type[Resource]) -> bool:
    return user is not kind and kind in needed_kinds(user)


@cache
def needed_kinds(kind: type[Resource]) -> set[type[Resource]]:
    """The kinds in the fields of this one."""
    found: set[type[Resource]] = set()

    def walk(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, Resource):
            found.add(hint)
        for argument in get_args(hint):
            walk(argument)

    for hint in get_type_hints(kind).values():
        walk(hint)
    return found


def _all_needed_kinds(kind: type[Resource]) -> set[type[Resource]]:
    """Every kind that a kind may need, directly or through others."""
    known: set[type[Resource]] = set()
    new = needed_kinds(kind)
    while new:
        known |= new
        new = set[type[Resource]]().union(*map(needed_kinds, new)) - known
    return known
