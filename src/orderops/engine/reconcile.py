"""Reconcile and destroy: look, decide, act, look again, until what is there is what is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cache
from time import monotonic
from typing import Any

from orderops.aws.diagnosis.catalog import explain
from orderops.aws.diagnosis.rule import ErrorContext
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Owner, Ownership, Tags
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource, State, unknown_in
from orderops.engine.scheduler import Job, OnWait, Result, run_all
from orderops.errors import AwsError, Interrupted, Meaning, NotOurs, OrderopsError, ReplacementRequired, Unfinished

SEEN_WITHIN = timedelta(seconds=30)
"""A create whose answer was lost is sent again when nothing was seen for this long; AWS's reads may lag."""
TROUBLE = timedelta(minutes=5)
"""How long the same trouble may last that another look can explain."""
TAGS = "Tags"
CODE = re.compile(r"\b[A-Za-z]+Error\b")


class Action(StrEnum):
    """What will be or was done to a resource."""

    CREATE = "create"
    ADOPT = "adopt"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    NO_OP = "no-op"


@dataclass(frozen=True)
class Step:
    """What will be or was done to one resource, and what that does to the running system."""

    address: str
    action: Action
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    effect: Effect = Effect.SAFE
    error: OrderopsError | None = None
    note: str = ""


ResourceTask = Job[Step]


@dataclass
class RecentWrites:
    """What reads may not tell yet: what this run made and when, and what the one before made.

    For so many seconds more, `doubtful` is not made again because a look does not find it.
    """

    created: dict[str, float] = field(default_factory=dict)
    unconfirmed: Mapping[str, float] = field(default_factory=dict)

    def within(self, within: timedelta) -> list[str]:
        """What was made so lately that the reads of somebody else may not tell it."""
        return [address for address, at in self.created.items() if monotonic() - at < within.total_seconds()]


@dataclass(frozen=True)
class ReconcileLimits:
    """How long to look again: for a lost create, for trouble, and for a thing to become ready (as its kind says)."""

    seen_within: timedelta = SEEN_WITHIN
    trouble: timedelta = TROUBLE
    timeout: timedelta | None = None


def reconcile(
    resources: Iterable[Resource],
    inventory: Inventory,
    *,
    outputs: Outputs | None = None,
    dry_run: bool = False,
    adopt: Collection[str] = (),
    on_wait: OnWait = lambda name, waits_for: None,
    limits: ReconcileLimits = ReconcileLimits(),
    recent_writes: RecentWrites | None = None,
) -> Iterator[Step]:
    """Create and update what is declared, and yield each step when it is done; raises Unfinished at the end."""
    outputs = Outputs() if outputs is None else outputs
    recent_writes = recent_writes or RecentWrites()
    declared = {resource.address: resource for resource in resources}
    needs = {address: {need.address for need in resource.needs()} for address, resource in declared.items()}
    courses = {
        address: converge(
            resource,
            inventory,
            outputs,
            dry_run=dry_run,
            adopt=address in adopt,
            limits=limits,
            recent_writes=recent_writes,
        )
        for address, resource in declared.items()
    }
    ends = run_all(courses, needs, urgency=_urgency(declared, needs), watch=on_wait)
    yield from steps_of(ends, len(courses), dry_run=dry_run)


def converge(
    resource: Resource,
    inventory: Inventory,
    outputs: Outputs,
    *,
    dry_run: bool = False,
    adopt: bool = False,
    limits: ReconcileLimits,
    recent_writes: RecentWrites,
) -> ResourceTask:
    """Look, decide, act and look again, until what is there is what is asked."""
    taken: Step | None = None
    sent: Step | None = None
    settled_since = False
    unseen_until = monotonic() + recent_writes.unconfirmed.get(resource.address, 0.0)
    reason = "AWS's reads to show what the last run may have made"
    look = inventory.refresh if resource in outputs else inventory.get
    watch = WaitLimit(resource.address, limits.timeout or resource.timeout, limits.trouble)
    while True:
        try:
            desired = resource.desired(outputs)
            observed = look(resource, desired)
            look = inventory.refresh
            if observed and observed.state in (State.PENDING, State.GOING) and not dry_run:
                settled_since = True
                yield watch.waits(observed.status or observed.state)
                continue
            step = decide(resource, observed, desired, inventory.ownership(resource), adopt=adopt)
            if step.error and not dry_run:
                raise step.error
            if taken is None or (step.action is Action.CREATE and sent is None):  # gone since the first look: tell that
                taken = step
            if sent and step.action is Action.NO_OP and observed and observed.settling:
                yield watch.waits(observed.settling)
                continue
            if step.action is Action.NO_OP or dry_run:
                if observed and not _renews(resource, step):
                    outputs[resource] = observed
                return taken
            if unknown_in(desired):
                raise _without_needs(resource, outputs)
            if observed and sent and settled_since and (bad := _came_back(resource, sent, step)):
                raise _undone(resource, inventory, observed, bad)
            if _is_news(step, observed, sent) or monotonic() >= unseen_until:
                if observed and not _renews(resource, step):
                    seconds, reason = update(resource, inventory, observed, step, limits)
                else:
                    seconds, reason = create_or_replace(resource, inventory, observed, desired, limits, recent_writes)
                unseen_until = monotonic() + seconds
                sent, settled_since = step, False
            watch.waits(reason)
        except AwsError as error:
            reason = watch.troubled(error, retry_reason(error, resource.retryable_errors))
        yield reason


def decide(
    resource: Resource, observed: Observed | None, desired: Properties, owner: Ownership, *, adopt: bool = False
) -> Step:
    """What has to be done, from what is there and what is asked; asks nobody."""
    address = resource.address
    if observed is None or observed.state is State.GOING:
        return Step(address, Action.CREATE, {key: (None, value) for key, value in desired.items() if value is not None})
    if observed.state is State.FAILED:
        return Step(address, Action.UPDATE, error=_failed(resource, observed, owner.environment))
    there = {key: observed.properties.get(key) for key in desired}
    changes = {key: (there[key], desired[key]) for key in desired if there[key] != desired[key]}
    told = observed.tags or {}
    untold = {key: value for key, value in owner.tags.items() if told.get(key) != value}
    if untold and not resource.untagged:
        changes[TAGS] = ({key: told.get(key) for key in untold}, untold)
    standing = _standing(resource, owner, told)
    effect = max(
        (_effect(resource, key, *pair) for key, pair in changes.items()),
        key=lambda each: each.weight,
        default=Effect.SAFE,
    )
    refusal = _refusal(resource, observed, owner, changes, adopt=adopt)
    action = Action.ADOPT if standing is Owner.ADOPTABLE else Action.UPDATE if changes else Action.NO_OP
    return Step(address, action, changes, effect, refusal)


def create_or_replace(
    resource: Resource,
    inventory: Inventory,
    observed: Observed | None,
    desired: Properties,
    limits: ReconcileLimits,
    recent_writes: RecentWrites,
) -> tuple[float, str]:
    """Send once what makes a new thing, and say for how many seconds not to see it then proves nothing, and why."""
    recent_writes.created[resource.address] = monotonic()
    try:
        if observed is None:
            resource.create(inventory.aws.once, desired, inventory.ownership(resource))
        else:
            resource.update(inventory.aws.once, observed, desired)
    except AwsError as error:
        if error.meaning is Meaning.LOST:
            return limits.seen_within.total_seconds(), retry_reason(error, frozenset())
        del recent_writes.created[resource.address]
        raise
    return float("inf"), "renewal sent" if observed else "create sent"


def update(
    resource: Resource, inventory: Inventory, observed: Observed, step: Step, limits: ReconcileLimits
) -> tuple[float, str]:
    """Send what differs: the tags by themselves, the rest as the resource knows how. Answers as `make` does."""
    properties = {key: asked for key, (_, asked) in step.changes.items() if key != TAGS}
    if TAGS in step.changes:
        resource.retag(inventory.aws, observed, step.changes[TAGS][1])
    if properties:
        resource.update(inventory.aws, observed, properties)
    return limits.seen_within.total_seconds(), f"{step.action} of {', '.join(step.changes)} sent"


def retry_reason(error: AwsError, passing: frozenset[str]) -> str:
    """What to wait for after this error; raises it when no look will explain it."""
    if error.code == "Unreachable":
        return "AWS to be reachable"
    if error.meaning is Meaning.LATER:
        return f"AWS to be less busy ({error.code})"
    if error.meaning is Meaning.LOST:
        return f"the fate of a lost answer ({error.code})"
    for known in passing:
        code, _, words = known.partition(": ")
        if error.code == code and words.lower() in error.text.lower():
            return f"{error.call}: {error.code}"
    raise error


def _urgency(declared: Mapping[str, Resource], needs: Mapping[str, set[str]]) -> dict[str, float]:
    """How long the longest chain that begins with each resource usually takes, in seconds."""
    users: dict[str, list[str]] = {address: [] for address in declared}
    for address, needed in needs.items():
        for need in needed & declared.keys():
            users[need].append(address)

    @cache
    def chain(address: str) -> float:
        own = declared[address].typical_duration.total_seconds()
        return own + max((chain(user) for user in users[address]), default=0.0)

    return {address: chain(address) for address in declared}


class WaitLimit:
    """How long one resource has been waited for, and what to say when that was too long."""

    def __init__(self, address: str, patience: timedelta, trouble: timedelta) -> None:
        self._address = address
        self._patience = patience
        self._trouble = min(trouble, patience)
        self._since = monotonic()
        self._troubled_since: float | None = None

    def waits(self, reason: str) -> str:
        self._troubled_since = None
        self._check(self._since, self._patience, reason)
        return reason

    def troubled(self, error: AwsError, reason: str) -> str:
        self._troubled_since = self._troubled_since or monotonic()
        if monotonic() - self._troubled_since > self._trouble.total_seconds():
            raise error
        return reason

    def _check(self, since: float, limit: timedelta, reason: str) -> None:
        if monotonic() - since > limit.total_seconds():
            raise OrderopsError(
                f"still waiting for: {reason}, after {int(limit.total_seconds())} s",
                "look at it in the AWS console; the same command goes on from here",
            )


def _failed(resource: Resource, observed: Observed, environment: str) -> OrderopsError:
    return OrderopsError(
        f"{observed.id or observed.name} is {observed.status or 'failed'}",
        f"mend the cause, then the same command again; only when it holds nothing, to make it anew: "
        f"orderops down --only {resource.address} --env {environment}",
    )


def _without_needs(resource: Resource, outputs: Outputs) -> OrderopsError:
    missing = sorted(need.address for need in resource.needs() if need not in outputs)
    named = ", ".join(missing) or "something it is told of"
    return OrderopsError(f"needs {named}, which is not there", "orderops up makes everything that is declared")


def _is_news(step: Step, observed: Observed | None, sent: Step | None) -> bool:
    """Whether this was not sent already: what is seen may be older than what was sent."""
    return observed is not None and (sent is None or (sent.action, sent.changes) != (step.action, step.changes))


def _renews(resource: Resource, step: Step) -> bool:
    """Whether this update makes a new thing, so that sending it twice would make two."""
    return resource.replaced_on_update and bool(step.changes.keys() - {TAGS})


def _came_back(resource: Resource, sent: Step, step: Step) -> str:
    """What is wrong with a change that AWS took, worked on, and did not keep."""
    ended = [f"{key} ended {step.changes[key][0]}" for key in resource.result_properties if key in step.changes]
    undone = sent.action is not Action.CREATE and all(
        sent.changes.get(key) == pair for key, pair in step.changes.items()
    )
    return ", ".join(ended) or (f"{', '.join(step.changes)} was accepted and is back as it was" if undone else "")


def _undone(resource: Resource, inventory: Inventory, observed: Observed, what: str) -> OrderopsError:
    try:
        why = type(resource).rollback_reason(inventory.aws, observed)
    except AwsError as error:
        why = f"(why is not known: {error.message})"
    code = CODE.search(why)
    known = code and explain(
        ErrorContext("", code[0], why, region=inventory.aws.region, environment=inventory.environment)
    )
    means = f": {known.meaning}" if known else ""
    hint = known.hint if known else "mend the cause; then the same command again"
    return OrderopsError(f"{what}{means}\n{why}" if means else f"{what}: {why}" if why else what, hint)


def _standing(resource: Resource, owner: Ownership, told: Tags) -> Owner:
    return Owner.OWNED if resource.untagged else owner.owner(told)


def _effect(resource: Resource, key: str, observed: Any, desired: Any) -> Effect:
    return Effect.SAFE if key == TAGS else resource.effect(key, observed, desired)


def _refusal(
    resource: Resource, observed: Observed, owner: Ownership, changes: Mapping[str, tuple[Any, Any]], *, adopt: bool
) -> OrderopsError | None:
    told = observed.tags or {}
    standing = _standing(resource, owner, told)
    if standing is Owner.FOREIGN:
        other = f"{told.get(ENVIRONMENT)} {told.get(ADDRESS, '')}".strip()
        return NotOurs(f"{observed.id} belongs to {other}", "two of them share a name or a place: change one of them")
    if standing is Owner.ADOPTABLE and not adopt:
        return NotOurs(
            f"{observed.id} is there and has no owner", f"take it over, after a look: --adopt {resource.address}"
        )
    for key, (there, desired) in changes.items():
        if key == TAGS:
            continue
        effect = resource.effect(key, there, desired)
        if key in resource.immutable or effect is Effect.LOSES:
            word = "would lose data" if effect is Effect.LOSES else "cannot change on a living resource"
            remove = f"orderops down --only {resource.address} --env {owner.environment}"
            way = resource.replacement_hint.format(remove=remove) or f"set it back to {there!r}, or: {remove}"
            return ReplacementRequired(f"{key} {word} (live {there!r}, desired {desired!r})", way)
    return None


def steps_of(ends: Iterator[Result[Step]], count: int, *, dry_run: bool) -> Iterator[Step]:
    """The results as they come; raises Unfinished when some jobs were refused."""
    failures: dict[str, OrderopsError] = {}
    left = count
    try:
        for ended in ends:
            left -= 1
            if ended.error is not None:
                failures[ended.name.split(" ")[0]] = ended.error
            elif ended.result is not None:
                yield ended.result
    except Interrupted as stop:
        stop.message = "\n".join([stop.message, *(f"{address}: {each.message}" for address, each in failures.items())])
        raise
    if failures:
        raise Unfinished(failures, left, dry_run=dry_run)
