"""Reconcile: create and update the declared resources, each after those that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from orderops.engine.inventory import Inventory
from orderops.engine.resource import Outputs, Resource
from orderops.engine.scheduler import Job, OnWait, Result, run_all
from orderops.engine.step import Step
from orderops.engine.task import RecentWrites, ResourceTask
from orderops.engine.terms import Terms
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import Interrupted, OrderopsError, Unfinished


def reconcile(
    resources: Iterable[Resource],
    inventory: Inventory,
    *,
    outputs: Outputs | None = None,
    dry_run: bool = False,
    terms: Terms = Terms(),
    on_wait: OnWait = lambda name, waits_for: None,
    limits: ReconcileLimits = ReconcileLimits(),
    recent_writes: RecentWrites | None = None,
) -> Iterator[Step]:
    """Create and update the declared resources; yield each step when it is done. Raises Unfinished at the end.

    Fills `outputs` with what is observed. A dry run takes the same path and sends nothing.
    """
    outputs = Outputs() if outputs is None else outputs
    recent_writes = recent_writes or RecentWrites()
    declared = {resource.address: resource for resource in resources}
    # A refused resource waits for nothing, so that its error is among those that the run shows.
    notes = {address for address, resource in declared.items() if resource.notes_features}
    needs = {
        address: set() if address in terms.refused else _needs(resource, notes)
        for address, resource in declared.items()
    }
    tasks = {
        address: _refuse(terms.refused[address])
        if address in terms.refused
        else ResourceTask(
            resource,
            inventory,
            outputs,
            dry_run=dry_run,
            terms=terms,
            limits=limits,
            recent_writes=recent_writes,
        ).run()
        for address, resource in declared.items()
    }
    results = run_all(tasks, needs, urgency=_urgency(declared, needs), on_wait=on_wait)
    yield from steps_of(results, len(tasks), dry_run=dry_run)


def _needs(resource: Resource, notes: set[str]) -> set[str]:
    """The addresses that come first: what it needs, and for one of a feature that this is noted."""
    return {need.address for need in resource.needs()} | (notes if resource.feature else set())


def _refuse(error: OrderopsError) -> Job[Step]:
    """A job that ends with this error at once."""
    yield from ()
    raise error


def steps_of(results: Iterator[Result[Step]], count: int, *, dry_run: bool) -> Iterator[Step]:
    """Yield the steps as they come; raise Unfinished if some of the `count` tasks failed or were blocked by those."""
    failures: dict[str, OrderopsError] = {}
    left = count
    try:
        for result in results:
            left -= 1
            if result.error is not None:
                failures[result.name.split(" ")[0]] = result.error
            elif result.result is not None:
                yield result.result
    except Interrupted as stop:
        lines = [f"{address}: {error.message}" for address, error in failures.items()]
        stop.message = "\n".join([stop.message, *lines])
        raise
    if failures:
        raise Unfinished(failures, left, dry_run=dry_run)


def _urgency(declared: Mapping[str, Resource], needs: Mapping[str, set[str]]) -> dict[str, float]:
    """How long the longest chain of users that begins with each resource typically takes, in seconds."""
    users: dict[str, list[str]] = {address: [] for address in declared}
    for address, needed in needs.items():
        for need in needed & declared.keys():
            users[need].append(address)

    @cache
    def chain(address: str) -> float:
        own = declared[address].typical_duration.total_seconds()
        return own + max((chain(user) for user in users[address]), default=0.0)

    return {address: chain(address) for address in declared}
