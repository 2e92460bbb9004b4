"""A small AWS in a dictionary that can lag, throttle, lose answers and revert changes, and kinds of resources in it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource, State
from orderops.engine.step import Step
from orderops.engine.task import RecentWrites
from orderops.engine.terms import Terms
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import AwsError, Meaning
from support.tag_keys import ENVIRONMENT

QUICK = ReconcileLimits(seen_within=timedelta(seconds=0.3), trouble=timedelta(seconds=1), timeout=timedelta(seconds=4))
READS = ("list", "place", "tags_of", "why", "get_resources")


@dataclass
class Record:
    """An existing resource. The numbers count down by one with each read."""

    id: str
    kind: str
    name: str
    settings: dict[str, Any]
    tags: dict[str, str]
    unseen: int = 0
    pending: int = 0
    going: int | None = None
    state: State = State.READY
    comes_back: dict[str, Any] | None = None
    stale: int = 0
    unsettled: int = 0
    seen: dict[str, Any] = field(default_factory=dict)
    """The settings as the last read returned them."""

    def look(self) -> State | None:
        """The state that a listing returns now; None if the resource is not visible yet, or gone."""
        if self.stale > 0:
            self.stale -= 1
        else:
            self.seen = dict(self.settings)
            self.unsettled = max(0, self.unsettled - 1)
        return self._state()

    def _state(self) -> State | None:
        if self.going is not None:
            self.going -= 1
            return State.GOING if self.going >= 0 else None
        if self.unseen > 0:
            self.unseen -= 1
            return None
        if self.pending > 0:
            self.pending -= 1
            return State.PENDING
        if self.comes_back is not None:
            self.settings, self.comes_back = self.comes_back, None
            self.seen = dict(self.settings)
        return self.state


@dataclass
class Manners:
    """How the fake AWS behaves."""

    unseen_after_create: int = 0
    pending_after_create: int = 0
    pending_after_update: int = 0
    stale_after_update: int = 0
    unsettled_after_update: int = 0
    going_after_delete: int = 0
    rolls_back: bool = False
    made_instead: dict[str, Any] = field(default_factory=dict)
    """Settings that every new resource gets, whatever was requested."""


class World(Aws):
    """A fake AWS. Each entry of `trouble` fails one of the next calls of its operation."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.things: dict[str, Record] = {}
        self.index: dict[str, dict[str, str]] = {}
        self.manners = Manners()
        self.calls: list[str] = []
        self.trouble: dict[str, list[tuple[AwsError, bool]]] = defaultdict(list)
        self.at: dict[str, Callable[[str], object]] = {}
        self.lock = threading.RLock()
        self.ids = count(1)
        self.why = "exited with 1"

    @property
    def changes(self) -> list[str]:
        """The calls that change something, in their order."""
        return [call for call in self.calls if not call.startswith(READS)]

    def add(self, name: str, kind: str = "thing", *, tags: Mapping[str, str] | None = None, **settings: Any) -> Record:
        """Add a resource that exists from the beginning."""
        made = Record(
            f"{name}#{next(self.ids)}", kind, name, {"Size": 1, "Shape": "round", **settings}, {**(tags or {})}
        )
        self.things[made.id] = made
        return made

    def called(self, name: str) -> list[Record]:
        """Resources with this name that are not deleted."""
        return [record for record in self.things.values() if record.name == name and record.going is None]

    def meets(
        self, operation: str, code: str, *, meaning: Meaning = Meaning.NO, took: bool = False, text: str = ""
    ) -> None:
        """Let the next call of an operation end with this error; with `took`, after it took effect."""
        self.trouble[operation].append((AwsError(f"fake.{operation}", code, text, meaning), took))

    def _send(self, service: str, operation: str, params: Mapping[str, Any], *, pages: bool) -> Any:
        if operation in self.at:
            self.at[operation](params.get("name", ""))
        with self.lock:
            self.calls.append(f"{operation} {params.get('name', '')}".strip())
            error, took = self.trouble[operation].pop(0) if self.trouble[operation] else (None, True)
            answer = getattr(self, f"_{operation}")(**params) if took else None
            if error:
                raise error
            return [answer] if pages else answer

    def _list(self, kind: str, name: str = "") -> Any:
        found = [(record, record.look()) for record in self.things.values() if record.kind == kind]
        return {"Things": [(record, state) for record, state in found if state and record.name.startswith(name)]}

    def _place(self, name: str) -> Any:
        return {"Things": [(record, record.state) for record in self.called(name)]}

    def _tags_of(self, id: str) -> Any:
        return dict(self.things[id].tags)

    def _create(self, kind: str, name: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        made = self.add(name, kind, tags=tags, **settings)
        made.unseen, made.pending = self.manners.unseen_after_create, self.manners.pending_after_create
        made.settings |= self.manners.made_instead

    def _update(self, id: str, name: str, settings: Mapping[str, Any]) -> None:
        there = self.things[id]
        there.comes_back = dict(there.settings) if self.manners.rolls_back else None
        there.settings |= settings
        there.pending = self.manners.pending_after_update
        there.stale, there.unsettled = self.manners.stale_after_update, self.manners.unsettled_after_update

    def _tag(self, id: str, name: str, tags: Mapping[str, str]) -> None:
        self.things[id].tags |= tags

    def _delete(self, id: str, name: str) -> None:
        self.things[id].going = self.manners.going_after_delete

    def _why(self, id: str, name: str) -> Any:
        return self.why

    def _get_resources(self, **_: Any) -> Any:
        mappings = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for arn, tags in self.index.items()
        ]
        return {"ResourceTagMappingList": mappings}


class Thing(Resource):
    """Found by name, with tags. Its shape is immutable, and shrinking it loses data."""

    size: int = 1
    shape: str = "round"
    on: tuple[Resource, ...] = ()

    kind: ClassVar[str] = "thing"
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"Busy", "NotYet: the role"})
    immutable: ClassVar[frozenset[str]] = frozenset({"Shape"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw, state in every(aws.fake.list, "Things", kind=cls.kind, name=owner.name):
            yield observed(raw, state, dict(raw.tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Size": self.size, "Shape": self.shape, "On": [outputs[resource].id for resource in self.on]}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.fake.create(kind=self.kind, name=self.name, settings=desired, tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.fake.update(id=observed.id, name=self.name, settings=changed)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.fake.tag(id=observed.id, name=observed.name, tags=tags)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.fake.delete(id=observed.id, name=observed.name)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        return f"{observed.properties['Size']} GB" if observed.properties["Size"] > 10 else ""

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return str(aws.fake.why(id=observed.id, name=observed.name))

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        return Effect.LOSES if key == "Size" and desired < observed else super().effect(key, observed, desired)


class Untold(Thing):
    """Its listing has no tags: they are in the index, which lags, and on the resource."""

    kind: ClassVar[str] = "untold"

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw, state in every(aws.fake.list, "Things", kind=cls.kind, name=owner.name):
            yield observed(raw, state, None)

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return dict(aws.fake.tags_of(id=observed.id))


class Placed(Thing):
    """Has no name in AWS: it is found by tags, or as the occupant of its place."""

    base: Thing | None = None

    kind: ClassVar[str] = "placed"

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw, state in every(aws.fake.list, "Things", kind=cls.kind):
            if raw.tags.get(ENVIRONMENT) == owner.environment:
                yield observed(raw, state, dict(raw.tags), name="")

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        found = aws.fake.place(name=self.name)["Things"]
        return next((observed(raw, state, dict(raw.tags)) for raw, state in found), None)


class Ended(Thing):
    """Has a property that shows how its last change ended."""

    kind: ClassVar[str] = "ended"
    result_properties: ClassVar[frozenset[str]] = frozenset({"Ending"})

    def desired(self, outputs: Outputs) -> Properties:
        return {**super().desired(outputs), "Ending": "well"}


class Edition(Thing):
    """Replaced by every update, as a task definition is."""

    kind: ClassVar[str] = "edition"
    replaced_on_update: ClassVar[bool] = True


KINDS: tuple[type[Resource], ...] = (Thing, Untold, Placed, Ended, Edition)


def observed(raw: Record, state: State, tags: Tags | None, name: str | None = None) -> Observed:
    """A record as the listing of its kind returns it."""
    named = raw.name if name is None else name
    unsettled = "the rest of it" if raw.unsettled else ""
    seen = {"On": [], **(raw.seen or raw.settings)}
    return Observed(raw.id, seen, tags, named, f"arn:{raw.id}", state, f"it is {state}", unsettled)


def ours(name: str, kind: str = "thing") -> dict[str, str]:
    """The tags of a resource that this environment created."""
    return Ownership("dev", f"{kind}/{name}", name).tags


@dataclass
class Operator:
    """Plans and applies in one fake AWS."""

    world: World
    limits: ReconcileLimits = field(default=QUICK)
    outputs: Outputs | None = None
    recent_writes: RecentWrites = field(default_factory=RecentWrites)

    def up(self, *resources: Resource, dry_run: bool = False, adopt: Collection[str] = ()) -> dict[str, Step]:
        """Reconcile, and return the steps by name."""
        steps = reconcile(
            resources,
            self.inventory(),
            dry_run=dry_run,
            terms=Terms(adopt=adopt),
            limits=self.limits,
            outputs=self.outputs,
            recent_writes=self.recent_writes,
        )
        return {step.address.partition("/")[2]: step for step in steps}

    def inventory(self) -> Inventory:
        """A new inventory."""
        return Inventory(self.world, "dev", KINDS)
