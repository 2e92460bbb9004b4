"""What a resource is: listing, desired, create, update, delete. No AWS service is named here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags

Properties = Mapping[str, Any]


class State(StrEnum):
    """Whether what is there can be used and changed."""

    READY = "ready"
    PENDING = "pending"
    GOING = "going"
    FAILED = "failed"


class Effect(StrEnum):
    """What a change does to the running system, from harmless to not."""

    SAFE = "safe"
    RESTARTS = "restarts tasks"
    INTERRUPTS = "interrupts"
    REPLACES = "replaces"
    LOSES = "loses data"

    @property
    def weight(self) -> int:
        """Greater is worse."""
        return list(Effect).index(self)


UNKNOWN = "(known after apply)"
"""A value that AWS will choose when the resource is made."""


PARTITIONS = {"cn": "aws-cn"}


class _UnknownProperties(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return UNKNOWN


@dataclass(frozen=True)
class Observed:
    """What is there. `tags` is None when the listing does not tell them; `status` is AWS's own word."""

    id: str
    properties: Properties = field(default_factory=dict)
    tags: Tags | None = None
    name: str = ""
    arn: str = ""
    state: State = State.READY
    status: str = ""
    settling: str = ""
    """What AWS is still at, when it tells the new values already; waited for by who sent the change."""


@dataclass(frozen=True)
class Leftover:
    """Something that stays behind on purpose: what it is, and the command for one named NAME."""

    what: str
    command: str
    names: tuple[str, ...]


class Outputs:
    """What living resources offer to others.

    A resource not made yet answers *(known after apply)*, but for its ARN where AWS builds that from the name: so a
    plan does not announce changes that making the resource again will not cause.
    """

    def __init__(self, region: str = "", account: str = "") -> None:
        self._lives: dict[str, Observed] = {}
        self._region = region
        self._account = account

    def __getitem__(self, resource: Resource) -> Observed:
        return self._lives.get(resource.address) or self._unmade(resource)

    def __setitem__(self, resource: Resource, observed: Observed) -> None:
        self._lives[resource.address] = observed

    def __contains__(self, resource: Resource) -> bool:
        return resource.address in self._lives

    def _unmade(self, resource: Resource) -> Observed:
        arn = UNKNOWN
        if resource.arn_form and self._account:
            partition = PARTITIONS.get(self._region.partition("-")[0], "aws")
            arn = resource.arn_form.format(
                partition=partition, region=self._region, account=self._account, name=resource.name
            )
        return Observed(UNKNOWN, _UnknownProperties(), arn=arn, name=resource.name)


@dataclass(frozen=True)
class Output:
    """One thing that a resource offers: its `id`, its `arn`, or a property, with text around it."""

    resource: Resource
    key: str
    form: str = "{}"

    def read(self, outputs: Outputs) -> str:
        """The value, or *(known after apply)*."""
        observed = outputs[self.resource]
        value = (
            observed.id
            if self.key == "id"
            else observed.arn
            if self.key == "arn"
            else observed.properties.get(self.key)
        )
        return self.form.format(UNKNOWN if value is None else value)


@dataclass(frozen=True, eq=False)
class Resource(ABC):
    """One declared AWS thing. Its fields are its settings; another resource in a field is a dependency."""

    name: str

    kind: ClassVar[str]
    retryable_errors: ClassVar[frozenset[str]] = frozenset()
    """Error codes after which the next look decides: `Code`, or `Code: words of the message`."""
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Properties that AWS cannot change on a living resource."""
    result_properties: ClassVar[frozenset[str]] = frozenset()
    """Properties that tell how a change ended; a run whose change ended badly says so and stops."""
    removable: ClassVar[frozenset[State]] = frozenset({State.READY, State.FAILED})
    """The states in which AWS takes a delete."""
    effects: ClassVar[Mapping[str, Effect]] = {}
    """What a change of a property does, where it is not safe."""
    replacement_hint: ClassVar[str] = ""
    """What to type when an immutable property must change all the same; `{remove}` is the command that removes it."""
    timeout: ClassVar[timedelta] = timedelta(minutes=15)
    """How long it may take until it is ready."""
    typical_duration: ClassVar[timedelta] = timedelta(seconds=5)
    """How long that usually takes."""
    replaced_on_update: ClassVar[bool] = False
    """An update makes a new one, so that what others are told of it is known only after apply."""
    arn_form: ClassVar[str] = ""
    """How AWS builds its ARN from partition, region, account and name, where it does."""
    untagged: ClassVar[bool] = False
    """AWS keeps no tags for it, so its deterministic name says whose it is."""

    @property
    def address(self) -> str:
        """The one name by which plans, tags and commands call this resource."""
        return f"{self.kind}/{self.name}"

    def needs(self) -> Iterator[Resource]:
        """The resources that must be there before this one."""
        for each in fields(self):
            yield from _resources_in(getattr(self, each.name))

    @classmethod
    @abstractmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        """What is there of this kind: of a whole environment, or of the one resource claimed."""

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        """What stands where this resource would, without our tags; asked only before a create."""
        return None

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        """The same thing with everything that the listing does not tell."""
        return observed

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        """The tags of a thing, when neither the listing nor the tag index tells them."""
        return observed.tags or {}

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        """Set these tags, and leave the others; never asked of an untagged kind."""
        raise TypeError(f"{cls.kind} keeps no tags")

    @abstractmethod
    def desired(self, outputs: Outputs) -> Properties:
        """What is asked, in AWS's words."""

    @abstractmethod
    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        """One call that makes it findable; what that call cannot take is set by `update` after the next look."""

    @abstractmethod
    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Set the properties that differ."""

    @classmethod
    @abstractmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        """Remove what was found, or take the next step towards it."""

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        """What data would go with it ("12 messages"); nothing for what can be made again."""
        return ""

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        """What AWS keeps of those that were removed, or cannot lose with one environment."""
        yield from ()

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        """Who keeps AWS from deleting it, where that is not ours ("eni-12 (…, owner 999)"); asked after a refusal.

        A kind that answers is one that AWS deletes from under nobody.
        """
        return ""

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        """Why a change that was accepted is not there any more, as far as AWS tells."""
        return ""

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        """What changing this property does to the running system."""
        if key in self.immutable:
            return Effect.REPLACES
        return self.effects.get(key, Effect.SAFE)


def unknown_in(value: Any) -> bool:
    """Whether something in there is known only after apply."""
    if isinstance(value, str):
        return UNKNOWN in value
    if isinstance(value, Mapping):
        return any(unknown_in(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(unknown_in(each) for each in value)
    return False


def _resources_in(value: Any) -> Iterable[Resource]:
    if isinstance(value, Resource):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _resources_in(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _resources_in(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _resources_in(each)
