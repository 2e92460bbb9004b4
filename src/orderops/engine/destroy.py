"""Taking things down: what is ours and not declared, what holds data, and removing the users of a thing before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any, get_args, get_type_hints

from orderops.aws.ownership import ROLE
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.reconcile import Action, ReconcileLimits, ResourceTask, Step, WaitLimit, retry_reason, steps_of
from orderops.engine.resource import Observed, Resource
from orderops.engine.scheduler import OnWait, run_all
from orderops.errors import AwsError, Meaning, OrderopsError

HELD = "it is not ours: look whose it is, and have it ended; the same command then takes what is left"


def undeclared(owned: Iterable[Owned], declared: Collection[str]) -> list[Owned]:
    """What of ours is no longer declared; what stands beside the declared on purpose has a role instead."""
    return [each for each in owned if each.address not in declared and ROLE not in (each.observed.tags or {})]


def destroy(
    found: Iterable[Owned],
    inventory: Inventory,
    *,
    kept: Mapping[str, str] | None = None,
    dry_run: bool = False,
    on_wait: OnWait = lambda name, waits_for: None,
    limits: ReconcileLimits = ReconcileLimits(),
) -> Iterator[Step]:
    """Remove what was found, the users of a thing before the thing; `kept` (address: why) stays."""
    kept = kept or {}
    going = [owned for owned in found if owned.address not in kept]
    yield from (Step(address, Action.KEEP, note=why) for address, why in kept.items())
    names = [f"{owned.address} {owned.observed.id}" for owned in going]  # a thing made twice has one address
    courses = {
        name: remove(owned, inventory, dry_run=dry_run, limits=limits) for name, owned in zip(names, going, strict=True)
    }
    needs = {
        name: {user for user, using in zip(names, going, strict=True) if _stands_on(using.kind, owned.kind)}
        for name, owned in zip(names, going, strict=True)
    }
    ends = run_all(courses, needs, watch=lambda name, why: on_wait(name.split(" ")[0], why))
    yield from steps_of(ends, len(courses), dry_run=dry_run)


def remove(owned: Owned, inventory: Inventory, *, dry_run: bool, limits: ReconcileLimits) -> ResourceTask:
    """Delete and look again, until it is gone."""
    step = Step(owned.address, Action.DELETE, note=owned.observed.id)
    patience = limits.timeout or owned.kind.timeout
    watch = WaitLimit(owned.address, patience, patience)  # network interfaces may hold a group for half an hour
    while not dry_run:
        observed: Observed | None = owned.observed
        try:
            observed = inventory.refresh_owned(owned)
            if observed is None:
                break
            if observed.state in owned.kind.removable:
                inventory.check_owned(owned, observed)
                owned.kind.delete(inventory.aws, observed)
            reason = watch.waits(observed.status or "delete sent")
        except AwsError as error:
            reason = retry_reason(error, owned.kind.retryable_errors)
            if error.meaning is Meaning.NO and (holder := _holder(owned, observed or owned.observed, inventory)):
                raise OrderopsError(f"is held by {holder}", HELD) from None
            watch.troubled(error, reason)
        yield reason
    return step


def holding(found: Iterable[Owned], inventory: Inventory) -> dict[str, str]:
    """What of the found holds data, by address, with what it holds."""
    told = {owned.address: _held(owned, inventory) for owned in found}
    return {address: what for address, what in told.items() if what}


def _held(owned: Owned, inventory: Inventory) -> str:
    """What it holds; what is gone, or goes at this moment by somebody else's hand, is not for this look to remove."""
    try:
        return owned.kind.holds(inventory.aws, owned.observed)
    except AwsError as error:
        if error.meaning is not Meaning.NO:
            raise
        return f"what cannot be looked at now ({retry_reason(error, owned.kind.retryable_errors)})"


def with_what_they_need(
    addresses: Iterable[str],
    declared: Mapping[str, Resource],
    why: Callable[[str], str],
    found: Collection[Owned] = (),
) -> dict[str, str]:
    """These addresses and, below them, everything they stand on; each with the reason it is in the way of nothing.

    What is not declared keeps all that was found of the kinds it may stand on.
    """
    kept: dict[str, str] = {}

    def stay(resource: Resource, reason: str) -> None:
        if resource.address not in kept:
            kept[resource.address] = reason
            for need in resource.needs():
                stay(need, f"{resource.address} needs it")

    for address in addresses:
        if address in declared:
            stay(declared[address], why(address))
        else:
            kept[address] = why(address)
            kinds = set[type[Resource]]().union(*(_below(each.kind) for each in found if each.address == address))
            for each in found:
                if each.kind in kinds:
                    kept.setdefault(each.address, f"{address} may need it")
    return kept


def in_use(only: Collection[str], found: Iterable[Owned], declared: Mapping[str, Resource]) -> dict[str, list[str]]:
    """What of `only` AWS would not delete, since others of ours stand on it, with those others."""
    there = {owned.address: owned.kind for owned in found}
    users = {
        address: [other for other in there.keys() - set(only) if other in declared and _needs(declared[other], address)]
        for address in only
        if address in there and "held_by" in vars(there[address])
    }
    return {address: sorted(names) for address, names in users.items() if names}


def _needs(resource: Resource, address: str) -> bool:
    return any(need.address == address for need in resource.needs())


def _holder(owned: Owned, observed: Observed, inventory: Inventory) -> str:
    """Who of others holds a thing; nobody where that cannot be told."""
    with suppress(AwsError):
        return owned.kind.blockers(inventory.aws, replace(observed, tags=owned.observed.tags))
    return ""


def _stands_on(user: type[Resource], kind: type[Resource]) -> bool:
    return user is not kind and kind in needed_kinds(user)


@cache
def needed_kinds(kind: type[Resource]) -> set[type[Resource]]:
    """The kinds that stand in the fields of this one."""
    found: set[type[Resource]] = set()

    def walk(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, Resource):
            found.add(hint)
        for each in get_args(hint):
            walk(each)

    for hint in get_type_hints(kind).values():
        walk(hint)
    return found


def _below(kind: type[Resource]) -> set[type[Resource]]:
    """The kinds that things of this kind may stand on, down to the ground."""
    known: set[type[Resource]] = set()
    new = needed_kinds(kind)
    while new:
        known |= new
        new = set[type[Resource]]().union(*map(needed_kinds, new)) - known
    return known
