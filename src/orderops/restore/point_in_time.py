"""A restore to a new instance: which moment of which instance, under which name, and the way there.

The name is made of the moment, so that the same command finds what a cut one made and goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.ownership import ROLE
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import RecentWrites, ReconcileLimits, Step, reconcile
from orderops.engine.resource import State
from orderops.engine.scheduler import OnWait
from orderops.errors import OrderopsError
from orderops.infra.stack import Stack
from orderops.resources.rds_description import DISPOSABLE, DRILL, RESTORED
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_restored_instance import RdsRestoredInstance
from orderops.restore.instances import (
    READY_AT,
    REQUESTED,
    RESTORED_TO,
    SOURCE,
    SOURCE_RESOURCE,
    STARTED,
    Instance,
    Instances,
    load_instances,
)
from orderops.restore.timestamps import RestoreTarget, TimestampForm, utc, utc_and_local
from orderops.restore.window import RestoreWindow, check_in_window, window_of

TAKEN_UP = timedelta(hours=1)
"""For how long a rehearsal goes on with the copy that a cut one began."""
StartOf = Callable[[int], datetime]
"""When a migration began, by the clock of the database."""


@dataclass(frozen=True)
class RestoreRequest:
    """What is to be made: a copy of `source` as it was at `moment`."""

    name: str
    source: Instance
    moment: datetime
    requested: RestoreTarget
    window: RestoreWindow
    role: str = RESTORED
    instance_class: str = ""
    existing: Instance | None = None
    """What a run before this one made of it."""

    @property
    def resource(self) -> RdsRestoredInstance:
        """As the engine makes it."""
        latest = self.requested.form is TimestampForm.LATEST
        source = self.source.observed
        if self.instance_class:
            source = replace(source, properties={**source.properties, "DBInstanceClass": self.instance_class})
        return RdsRestoredInstance(
            self.name, source, None if latest else self.moment, disposable=self.role in DISPOSABLE
        )

    @property
    def tags(self) -> dict[str, str]:
        """What says what it is."""
        begun = self.existing.tag(STARTED) if self.existing else ""
        relative = {REQUESTED: self.requested.text} if self.requested.form is not TimestampForm.TIME else {}
        return {
            ROLE: self.role,
            SOURCE: self.source.name,
            SOURCE_RESOURCE: self.source.observed.properties["DbiResourceId"],
            RESTORED_TO: utc(self.moment),
            STARTED: begun or _now(),
            **relative,
        }


@dataclass
class Restore:
    """The way from nothing to a copy that is ready."""

    aws: Aws
    stack: Stack
    request: RestoreRequest
    recent_writes: RecentWrites = field(default_factory=RecentWrites)
    limits: ReconcileLimits = field(default_factory=ReconcileLimits)
    on_wait: OnWait = lambda *_: None

    def plan(self) -> list[Step]:
        """What carrying it out would do."""
        return list(self._reconcile(dry_run=True))

    def run(self) -> Iterator[Step]:
        """Make it, set what AWS did not carry over, compare, and say that it is ready; raises where that cannot be."""
        yield from self._reconcile()
        copy = self.instance()
        if different := self.request.resource.unlike(copy.observed):
            told = "\n".join(f"{key}: {there!r} here, {wanted!r} there" for key, (wanted, there) in different.items())
            raise OrderopsError(
                f"{copy.name} is not as {self.request.source.name}:\n{told}", "the same command goes on"
            )
        if not copy.tag(READY_AT):
            RdsInstance.retag(self.aws, copy.observed, {READY_AT: _now()})

    def instance(self) -> Instance:
        """The copy as it is now."""
        copies = load_instances(self.aws, self.stack)
        return copies.named(self.request.name, action="restore")

    def _reconcile(self, *, dry_run: bool = False) -> Iterator[Step]:
        environment = self.stack.environment
        looked = Inventory(self.aws, environment.name, [RdsRestoredInstance], {**environment.tags, **self.request.tags})
        yield from reconcile(
            [self.request.resource],
            looked,
            dry_run=dry_run,
            on_wait=self.on_wait,
            recent_writes=self.recent_writes,
            limits=self.limits,
        )


def restore_request(
    aws: Aws,
    stack: Stack,
    requested: RestoreTarget,
    *,
    source: str | None = None,
    role: str = RESTORED,
    instance_class: str = "",
    start_of: StartOf | None = None,
    since: datetime | None = None,
) -> RestoreRequest:
    """Decide what is to be made; raises OrderopsError for a moment that the source cannot be brought back to.

    A restore that was cut is taken up: for a moment told by its distance, with the moment that it had then. So is one
    that somebody else made with the same words after `since`.
    """
    copies = load_instances(aws, stack)
    origin = copies.named(source, action="restore") if source else copies.require_primary()
    if origin.observed.state not in (State.READY, State.PENDING):
        raise OrderopsError(f"{origin.name} is {origin.observed.status}", "look at it in the AWS console")
    window = window_of(aws, origin.observed)
    begun = _begun(copies, origin, requested, role, since)
    if begun and begun.moment:
        return RestoreRequest(begun.name, origin, begun.moment, requested, window, role, instance_class, begun)
    moment = _moment(requested, window, start_of)
    check_in_window(moment, window, origin.name, lambda: _who_has(aws, copies, origin, moment))
    name = f"{stack.database.name}-{role}-{moment:%Y%m%d-%H%M%S}"
    everything = copies.all
    found = next((copy for copy in everything if copy.name == name), None)
    _refuse_other(found, origin, role, copies.environment)
    return RestoreRequest(name, origin, moment, requested, window, role, instance_class, found)


def _who_has(aws: Aws, copies: Instances, but: Instance, moment: datetime) -> str:
    """Another instance that can be brought back to a moment: what was primary before, as a rule."""
    for copy in copies.all:
        with suppress(OrderopsError):
            if copy is not but and copy.role not in DISPOSABLE and moment in window_of(aws, copy.observed):
                return copy.name
    return ""


def _begun(
    copies: Instances, source: Instance, asked: RestoreTarget, role: str, since: datetime | None
) -> Instance | None:
    """What a run with the same words made of the same instance, and was cut; or made while it was waited for."""
    if asked.form is TimestampForm.TIME:
        return None
    for copy in copies.others:
        same = (
            copy.tag(SOURCE_RESOURCE) == source.observed.properties["DbiResourceId"]
            and copy.tag(REQUESTED) == asked.text
        )
        alive = copy.observed.state in (State.READY, State.PENDING)
        ended = copy.ended
        if (
            same
            and alive
            and copy.role == role
            and _of_use(copy, role)
            and (ended is None or (since and ended >= since))
        ):
            return copy
    return None


def _of_use(copy: Instance, role: str) -> bool:
    """A copy that a drill would be measured by, or a rehearsal judge by, is of now."""
    begun = copy.started
    return role not in DISPOSABLE or (role != DRILL and begun is not None and datetime.now(UTC) - begun < TAKEN_UP)


def _moment(asked: RestoreTarget, window: RestoreWindow, start_of: StartOf | None) -> datetime:
    match asked.form:
        case TimestampForm.LATEST:
            return window.latest
        case TimestampForm.AGO:
            return (datetime.now(UTC) - asked.ago).replace(microsecond=0)
        case TimestampForm.BEFORE:
            assert start_of, "who asks for a migration can read the ledger"
            return last_second_before(start_of(asked.version))
    assert asked.time, "a time that was told"
    return asked.time


def last_second_before(start: datetime) -> datetime:
    """The last whole second before something began."""
    return (start - timedelta(microseconds=1)).astimezone(UTC).replace(microsecond=0)


def _refuse_other(found: Instance | None, source: Instance, role: str, environment: str) -> None:
    if found is None:
        return
    if found.observed.state is State.GOING:
        raise OrderopsError(
            f"{found.name} is going, and has the name of what was asked", "wait until it is gone; then the same command"
        )
    if found.tag(SOURCE_RESOURCE) != source.observed.properties["DbiResourceId"]:
        raise OrderopsError(
            f"{found.name} is a copy of {found.tag(SOURCE) or 'nobody knows what'}, and has the name of what was asked",
            f"remove it: orderops restore discard {found.name} --env {environment}",
        )
    if found.role != role:
        raise OrderopsError(
            f"{found.name} was restored to that moment before, and is {found.role} now",
            f"another second makes another one; what there is: orderops restore list --env {environment}",
        )


def describe_moment(moment: datetime, requested: RestoreTarget) -> str:
    """A moment in the words of the plan."""
    return f"{utc_and_local(moment)}{', or later' if requested.form is TimestampForm.LATEST else ''}"


def _now() -> str:
    return utc(datetime.now(UTC))
