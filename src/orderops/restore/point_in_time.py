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
from orderops.engine.inventory import Survey
from orderops.engine.reconcile import Limits, Sightings, Step, reconcile
from orderops.engine.resource import State
from orderops.engine.scheduler import Watch
from orderops.errors import OrderopsError
from orderops.infra.stack import Stack
from orderops.resources.rds_description import DISPOSABLE, DRILL, RESTORED
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_restored_instance import RdsRestored
from orderops.restore.instances import ASKED, BEGUN, MOMENT, READY, SOURCE, SOURCE_RESOURCE, Copies, Copy, look
from orderops.restore.timestamps import Asked, Kind, both, utc
from orderops.restore.window import Window, refuse_outside, window_of

TAKEN_UP = timedelta(hours=1)
"""For how long a rehearsal goes on with the copy that a cut one began."""
StartOf = Callable[[int], datetime]
"""When a migration began, by the clock of the database."""


@dataclass(frozen=True)
class Target:
    """What is to be made: a copy of `source` as it was at `moment`."""

    name: str
    source: Copy
    moment: datetime
    asked: Asked
    window: Window
    role: str = RESTORED
    instance_class: str = ""
    found: Copy | None = None
    """What a run before this one made of it."""

    @property
    def resource(self) -> RdsRestored:
        """As the engine makes it."""
        latest = self.asked.kind is Kind.LATEST
        source = self.source.live
        if self.instance_class:
            source = replace(source, properties={**source.properties, "DBInstanceClass": self.instance_class})
        return RdsRestored(self.name, source, None if latest else self.moment, disposable=self.role in DISPOSABLE)

    @property
    def tags(self) -> dict[str, str]:
        """What says what it is."""
        begun = self.found.tag(BEGUN) if self.found else ""
        relative = {ASKED: self.asked.words} if self.asked.kind is not Kind.TIME else {}
        return {
            ROLE: self.role,
            SOURCE: self.source.name,
            SOURCE_RESOURCE: self.source.live.properties["DbiResourceId"],
            MOMENT: utc(self.moment),
            BEGUN: begun or _now(),
            **relative,
        }


@dataclass
class Restore:
    """The way from nothing to a copy that is ready."""

    aws: Aws
    stack: Stack
    target: Target
    sightings: Sightings = field(default_factory=Sightings)
    limits: Limits = field(default_factory=Limits)
    watch: Watch = lambda *_: None

    def plan(self) -> list[Step]:
        """What carrying it out would do."""
        return list(self._reconcile(dry_run=True))

    def carry_out(self) -> Iterator[Step]:
        """Make it, set what AWS did not carry over, compare, and say that it is ready; raises where that cannot be."""
        yield from self._reconcile()
        copy = self.look()
        if different := self.target.resource.unlike(copy.live):
            told = "\n".join(f"{key}: {there!r} here, {wanted!r} there" for key, (wanted, there) in different.items())
            raise OrderopsError(f"{copy.name} is not as {self.target.source.name}:\n{told}", "the same command goes on")
        if not copy.tag(READY):
            RdsInstance.retag(self.aws, copy.live, {READY: _now()})

    def look(self) -> Copy:
        """The copy as it is now."""
        copies = look(self.aws, self.stack)
        return copies.named(self.target.name, what="restore")

    def _reconcile(self, *, dry_run: bool = False) -> Iterator[Step]:
        environment = self.stack.environment
        looked = Survey(self.aws, environment.name, [RdsRestored], {**environment.tags, **self.target.tags})
        yield from reconcile(
            [self.target.resource],
            looked,
            dry_run=dry_run,
            watch=self.watch,
            sightings=self.sightings,
            limits=self.limits,
        )


def target(
    aws: Aws,
    stack: Stack,
    asked: Asked,
    *,
    source: str | None = None,
    role: str = RESTORED,
    instance_class: str = "",
    start_of: StartOf | None = None,
    since: datetime | None = None,
) -> Target:
    """Decide what is to be made; raises OrderopsError for a moment that the source cannot be brought back to.

    A restore that was cut is taken up: for a moment told by its distance, with the moment that it had then. So is one
    that somebody else made with the same words after `since`.
    """
    copies = look(aws, stack)
    origin = copies.named(source, what="restore") if source else copies.the_primary()
    if origin.live.state not in (State.READY, State.PENDING):
        raise OrderopsError(f"{origin.name} is {origin.live.status}", "look at it in the AWS console")
    window = window_of(aws, origin.live)
    begun = _begun(copies, origin, asked, role, since)
    if begun and begun.moment:
        return Target(begun.name, origin, begun.moment, asked, window, role, instance_class, begun)
    moment = _moment(asked, window, start_of)
    refuse_outside(moment, window, origin.name, lambda: _who_has(aws, copies, origin, moment))
    name = f"{stack.database.name}-{role}-{moment:%Y%m%d-%H%M%S}"
    everything = copies.all
    found = next((copy for copy in everything if copy.name == name), None)
    _refuse_other(found, origin, role, copies.environment)
    return Target(name, origin, moment, asked, window, role, instance_class, found)


def _who_has(aws: Aws, copies: Copies, but: Copy, moment: datetime) -> str:
    """Another instance that can be brought back to a moment: what was primary before, as a rule."""
    for copy in copies.all:
        with suppress(OrderopsError):
            if copy is not but and copy.role not in DISPOSABLE and moment in window_of(aws, copy.live):
                return copy.name
    return ""


def _begun(copies: Copies, source: Copy, asked: Asked, role: str, since: datetime | None) -> Copy | None:
    """What a run with the same words made of the same instance, and was cut; or made while it was waited for."""
    if asked.kind is Kind.TIME:
        return None
    for copy in copies.beside:
        same = copy.tag(SOURCE_RESOURCE) == source.live.properties["DbiResourceId"] and copy.tag(ASKED) == asked.words
        alive = copy.live.state in (State.READY, State.PENDING)
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


def _of_use(copy: Copy, role: str) -> bool:
    """A copy that a drill would be measured by, or a rehearsal judge by, is of now."""
    begun = copy.begun
    return role not in DISPOSABLE or (role != DRILL and begun is not None and datetime.now(UTC) - begun < TAKEN_UP)


def _moment(asked: Asked, window: Window, start_of: StartOf | None) -> datetime:
    match asked.kind:
        case Kind.LATEST:
            return window.latest
        case Kind.AGO:
            return (datetime.now(UTC) - asked.ago).replace(microsecond=0)
        case Kind.BEFORE:
            assert start_of, "who asks for a migration can read the ledger"
            return before(start_of(asked.version))
    assert asked.time, "a time that was told"
    return asked.time


def before(start: datetime) -> datetime:
    """The last whole second before something began."""
    return (start - timedelta(microseconds=1)).astimezone(UTC).replace(microsecond=0)


def _refuse_other(found: Copy | None, source: Copy, role: str, environment: str) -> None:
    if found is None:
        return
    if found.live.state is State.GOING:
        raise OrderopsError(
            f"{found.name} is going, and has the name of what was asked", "wait until it is gone; then the same command"
        )
    if found.tag(SOURCE_RESOURCE) != source.live.properties["DbiResourceId"]:
        raise OrderopsError(
            f"{found.name} is a copy of {found.tag(SOURCE) or 'nobody knows what'}, and has the name of what was asked",
            f"remove it: orderops restore discard {found.name} --env {environment}",
        )
    if found.role != role:
        raise OrderopsError(
            f"{found.name} was restored to that moment before, and is {found.role} now",
            f"another second makes another one; what there is: orderops restore list --env {environment}",
        )


def told(moment: datetime, asked: Asked) -> str:
    """A moment in the words of the plan."""
    return f"{both(moment)}{', or later' if asked.kind is Kind.LATEST else ''}"


def _now() -> str:
    return utc(datetime.now(UTC))
