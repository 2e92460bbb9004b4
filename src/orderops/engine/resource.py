"""The contract of a resource: listing, desired, create, update, delete. Names no AWS service."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.aws.partition import partition_of
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field, values

Properties = Mapping[str, Any]


class State(StrEnum):
    """Whether an existing resource can be used and changed; GOING is on its way to being deleted."""

    READY = "ready"
    PENDING = "pending"
    GOING = "going"
    FAILED = "failed"


class Effect(StrEnum):
    """What a change does to the running system, least harmful first."""

    SAFE = "safe"
    RESTARTS = "restarts tasks"
    INTERRUPTS = "interrupts"
    REPLACES = "replaces"
    LOSES = "loses data"

    @property
    def weight(self) -> int:
        """Its rank; greater is worse."""
        return list(Effect).index(self)


UNKNOWN = "(known after apply)"
"""A value that AWS chooses when the resource is created."""


class _UnknownProperties(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return UNKNOWN


class PendingChange(Frozen):
    """A change that AWS has accepted and holds back, such as one for the maintenance window."""

    key: str
    """The property, in the words of `desired`."""
    what: str
    """Such as "DBInstanceClass db.t3.micro -> db.t3.medium"."""
    effect: Effect
    """What it does to the running system when it is carried out."""
    until: str
    """What it waits for."""
    command: str
    """The command that carries it out now."""
    sent_along: bool = True
    """Whether a change that AWS applies immediately carries it out as well."""

    def to_dict(self) -> dict[str, str]:
        """As JSON, with stable keys."""
        return {"what": self.what, "class": str(self.effect), "until": self.until, "command": self.command}


class Observed(Frozen):
    """An existing resource as AWS describes it.

    `tags` is None if the listing does not include them. `status` is AWS's own word for its state.
    """

    id: str
    properties: Properties = field(default_factory=dict)
    tags: Tags | None = None
    name: str = ""
    arn: str = ""
    state: State = State.READY
    status: str = ""
    settling: str = ""
    """What AWS still works on although it shows the new values; waited for after a change of ours."""
    pending: tuple[PendingChange, ...] = ()
    """What AWS holds back. Its values are among the properties, so that it is not sent again."""


class Leftover(Frozen):
    """Resources kept intentionally: what they are, their names, and the command that removes one named NAME."""

    what: str
    command: str
    names: tuple[str, ...]


class Outputs:
    """What existing resources offer to others: id, ARN and properties.

    A resource that does not exist yet answers *(known after apply)*, except for an ARN that AWS builds from the name.
    So a plan does not show changes that creating the resource again will not cause.
    """

    def __init__(self, region: str = "", account: str = "") -> None:
        self._observed: dict[str, Observed] = {}
        self._region = region
        self._account = account

    def __getitem__(self, resource: Resource) -> Observed:
        return self._observed.get(resource.address) or self._not_created(resource)

    def __setitem__(self, resource: Resource, observed: Observed) -> None:
        self._observed[resource.address] = observed

    def __contains__(self, resource: Resource) -> bool:
        return resource.address in self._observed

    @property
    def pending(self) -> dict[str, tuple[PendingChange, ...]]:
        """What AWS holds back: address and changes."""
        return {address: observed.pending for address, observed in self._observed.items() if observed.pending}

    def _not_created(self, resource: Resource) -> Observed:
        arn = UNKNOWN
        if resource.arn_form and self._account:
            arn = resource.arn_form.format(
                partition=partition_of(self._region),
                region=self._region,
                account=self._account,
                name=resource.name,
                resource=resource,
            )
        return Observed(UNKNOWN, _UnknownProperties(), arn=arn, name=resource.name)


class Output(Frozen):
    """A value of another resource, to be placed in `desired`: its `id`, its `arn` or a property, in a format string."""

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


class Resource(Frozen, eq=False):
    """A declared AWS resource. Its fields are its settings; another resource in a field is a dependency."""

    name: str

    kind: ClassVar[str]
    retryable_errors: ClassVar[frozenset[str]] = frozenset()
    """Errors that the next read explains: "Code", or "Code: words of the message"."""
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Properties that AWS cannot change on an existing resource."""
    result_properties: ClassVar[frozenset[str]] = frozenset()
    """Properties that show how a change ended; a difference in one of them after a change is a failure."""
    removable: ClassVar[frozenset[State]] = frozenset({State.READY, State.FAILED})
    """States in which AWS accepts a delete."""
    effects: ClassVar[Mapping[str, Effect]] = {}
    """Effects of changing a property, where not safe."""
    replacement_hint: ClassVar[str] = ""
    """Hint for changing an immutable property; `{remove}` is the command that removes the resource."""
    timeout: ClassVar[timedelta] = timedelta(minutes=15)
    """How long it may take to become ready."""
    typical_duration: ClassVar[timedelta] = timedelta(seconds=5)
    """How long that typically takes."""
    replaced_on_update: ClassVar[bool] = False
    """Whether an update creates a new resource, so that its outputs are known only after apply."""
    arn_form: ClassVar[str] = ""
    """Format of its ARN, if AWS builds that from partition, region, account, name and fields of `resource`."""
    permits: ClassVar[bool] = False
    """Whether others work only as long as it allows them to; such a kind also answers `widened`."""
    name_rule: ClassVar[NameRule | None] = None
    """What AWS allows as its name; None for a kind whose name is only a tag, or part of another name."""
    lists_late: ClassVar[bool] = False
    """Whether AWS documents that the listing of an environment lags; `listing` then reads a single one by its name."""
    untagged: ClassVar[bool] = False
    """Whether AWS keeps no tags for this kind, so that a deterministic name marks the owner."""
    made_by_aws: ClassVar[bool] = False
    """Whether AWS makes it by itself, under a name that belongs to one of ours: taken over without being requested."""
    needs_unused_to_delete: ClassVar[bool] = False
    """Whether AWS refuses to delete it while others use it; such a kind also answers `blockers`."""

    feature: ClassVar[Feature | None] = None
    """The feature it belongs to, if only some environments have one; it is made after the feature is noted."""
    notes_features: ClassVar[bool] = False
    """Whether its tags note the features of its environment."""

    @property
    def address(self) -> str:
        """Its name in plans, tags and commands: kind/name."""
        return f"{self.kind}/{self.name}"

    @property
    def own_tags(self) -> Tags:
        """Tags that it has besides those of every resource of its environment."""
        return {}

    @property
    def patience(self) -> timedelta:
        """How long this one may take to become ready."""
        return self.timeout

    def needs(self) -> Iterator[Resource]:
        """Resources that have to exist before this one."""
        for value in values(self):
            yield from _resources_in(value)

    @classmethod
    @abstractmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        """Existing resources of this kind: of an environment, or the one that `owner` names."""

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        """The resource without our tags that occupies this one's place; read only before a create."""
        return None

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        """Add the properties that the listing does not include."""
        return observed

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        """Read the tags, for a resource whose tags neither the listing nor the tag index includes."""
        return observed.tags or {}

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        """Set these tags and keep others; never called for an untagged kind."""
        raise TypeError(f"{cls.kind} has no tags")

    @abstractmethod
    def desired(self, outputs: Outputs) -> Properties:
        """The requested properties, in AWS's words. Places outputs and never branches on them."""

    def widened(self, observed: Properties, desired: Properties) -> Properties:
        """The desired properties that still allow what the users of the observed ones need."""
        return desired

    @abstractmethod
    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        """Create it by one call that makes it findable; `update` sets what that call cannot, after the next read."""

    @abstractmethod
    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Set these properties. Harmless to repeat."""

    @classmethod
    @abstractmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        """Delete it, or take the next step towards that. Harmless to repeat."""

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        """The data that would be lost with it, such as "12 messages"; "" if it can be created again."""
        return ""

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        """What AWS keeps of deleted resources, or shares with other environments."""
        yield from ()

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        """What prevents its deletion and is not ours, such as "eni-12 (…, owner 999)"; called after a failed delete."""
        return ""

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        """Why AWS reverted a change that it had accepted, as far as it says."""
        return ""

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        """The effect of changing this property on the running system."""
        if key in self.immutable:
            return Effect.REPLACES
        return self.effects.get(key, Effect.SAFE)

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        """Whether AWS makes these changes (observed, desired) without carrying out what it holds back."""
        return False

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        """Why this property cannot be changed so, where the words for any immutable property would mislead."""
        return None


def unknown_in(value: Any) -> bool:
    """Whether a value, or one inside it, is known only after apply."""
    if isinstance(value, str):
        return UNKNOWN in value
    if isinstance(value, Mapping):
        return any(unknown_in(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(unknown_in(item) for item in value)
    return False


def _resources_in(value: Any) -> Iterable[Resource]:
    if isinstance(value, Resource):
        yield value
    elif isinstance(value, Frozen):
        for item in values(value):
            yield from _resources_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _resources_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _resources_in(item)
