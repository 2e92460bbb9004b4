"""The database instances of an environment: the primary, and what stands beside it, each with its role.

What they are stands in their tags, so that any machine sees the same, and a cut restore is known by what it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, ROLE, Ownership
from orderops.engine.resource import Observed, State
from orderops.errors import OrderopsError, UsageError
from orderops.infra.stack import Stack
from orderops.resources.rds_description import DISPOSABLE, FORMER, PRIMARY, TERM, instances
from orderops.restore.timestamps import YEARS

SOURCE = "orderops:source"
"""The identifier of the instance that this one is a copy of."""
SOURCE_RESOURCE = "orderops:source-resource"
"""Its DbiResourceId, which no instance after it has."""
RESTORED_TO = "orderops:restored-to"
REQUESTED = "orderops:asked"
"""The words of a moment that is another one each time: "-15m", "latest"."""
STARTED = "orderops:begun"
READY_AT = "orderops:ready"
"""When the restore ended and every setting was compared; not there while it goes on."""
PREVIOUS_PRIMARY = "orderops:before"
"""On a promoted instance: the one that was primary before it."""
PROMOTED_BY = "orderops:promoted-by"
"""On a promoted instance: the command that did it."""
SETTLED = "orderops:settled"
"""On a promoted instance: the term in which everything had followed it."""


@dataclass(frozen=True)
class Instance:
    """One instance, by what its tags say of it."""

    observed: Observed

    @property
    def name(self) -> str:
        return self.observed.id

    @property
    def role(self) -> str:
        return self.tag(ROLE) or PRIMARY

    @property
    def ready(self) -> bool:
        """Whether its restore, if it comes from one, is done."""
        return self.observed.state is State.READY and (not self.tag(RESTORED_TO) or bool(self.tag(READY_AT)))

    @property
    def settled(self) -> bool:
        """Whether everything followed it when it became the primary."""
        return self.tag(SETTLED) == self.tag(TERM)

    @property
    def moment(self) -> datetime | None:
        """As of when its data are; none for what was not restored."""
        return _time(self.tag(RESTORED_TO))

    @property
    def started(self) -> datetime | None:
        """When its restore was asked for."""
        return _time(self.tag(STARTED))

    @property
    def ended(self) -> datetime | None:
        """When its restore was done; none while it goes on."""
        return _time(self.tag(READY_AT))

    @property
    def duration(self) -> timedelta | None:
        """How long its restore took."""
        return self.ended - self.started if self.started and self.ended else None

    def tag(self, key: str) -> str:
        """One of its tags, empty where it has none."""
        return (self.observed.tags or {}).get(key, "")

    def to_dict(self) -> dict[str, object]:
        """For machines."""
        created = self.observed.properties["InstanceCreateTime"]
        return {
            "name": self.name,
            "role": self.role,
            "status": self.observed.status,
            "ready": self.ready,
            "settled": self.settled if self.role == PRIMARY else None,
            "source": self.tag(SOURCE) or None,
            "restored_to": self.tag(RESTORED_TO) if self.moment else None,
            "class": self.observed.properties["DBInstanceClass"],
            "storage_gb": self.observed.properties["AllocatedStorageNow"],
            "created": created.astimezone(UTC).isoformat() if created else None,
            "endpoint": self.observed.properties["EndpointAddress"],
            "port": self.observed.properties["EndpointPort"],
        }


@dataclass(frozen=True)
class Instances:
    """All of an environment at one look."""

    environment: str
    primary: Instance | None
    others: Sequence[Instance]

    @property
    def all(self) -> list[Instance]:
        """The primary first, where there is one."""
        return [*([self.primary] if self.primary else []), *self.others]

    @property
    def primary_missing(self) -> bool:
        """Whether there is no primary, and yet what was or could be one."""
        return self.primary is None and bool(self.restored)

    @property
    def restored(self) -> list[Instance]:
        """What can be compared and promoted: neither made to be thrown away nor on its way out."""
        gone = State.GOING
        return [copy for copy in self.others if copy.role not in DISPOSABLE and copy.observed.state is not gone]

    def require_primary(self) -> Instance:
        """Raises OrderopsError where there is none."""
        if self.primary is None:
            left = [f"orderops restore promote {copy.name} --env {self.environment}" for copy in self.restored]
            if left:
                raise OrderopsError(f"the database of {self.environment} is gone; what is left:", "\n".join(left))
            raise OrderopsError(
                f"{self.environment} has no database", f"make it first: orderops up --env {self.environment}"
            )
        return self.primary

    def named(self, name: str | None, *, action: str) -> Instance:
        """The one meant beside the primary; may be left out where there is only one that could be `what`."""
        if name is None:
            return self._the_only_one(action)
        for copy in self.all:
            if copy.name == name.lower():
                return copy
        raise UsageError(
            f"no instance of {self.environment} is named {name}",
            f"what there is: orderops restore list --env {self.environment}",
        )

    def _the_only_one(self, what: str) -> Instance:
        found = [copy for copy in self.restored if copy.role != FORMER] or self.restored
        if len(found) == 1:
            return found[0]
        if not found:
            make = f'make one: orderops restore --at "-15m" --env {self.environment}'
            there = f"what there is: orderops restore list --env {self.environment}"
            hint = there if what == "discard" else make
            raise OrderopsError(f"{self.environment} has no restored instance to {what}", hint)
        names = "\n".join(f"orderops restore {what} {copy.name} --env {self.environment}" for copy in found)
        raise UsageError(f"{self.environment} has {len(found)} restored instances: say which", names)


def load_instances(aws: Aws, stack: Stack) -> Instances:
    """All of them, by one call."""
    environment = stack.environment.name
    found = [
        Instance(live)
        for live in instances(aws, Ownership(environment))
        if (live.tags or {}).get(ENVIRONMENT) == environment
    ]
    declared = stack.database.address
    primary = [copy for copy in found if copy.tag(ADDRESS) == declared and copy.observed.state is not State.GOING]
    if len(primary) > 1:
        raise OrderopsError(
            f"{' and '.join(copy.name for copy in primary)} both say that they are the primary",
            f"take the tag {ADDRESS} from the one that nothing uses",
        )
    beside = [copy for copy in found if copy not in primary]
    return Instances(environment, primary[0] if primary else None, sorted(beside, key=lambda copy: copy.name))


def _time(text: str) -> datetime | None:
    """What a tag says of a moment; none where it says no moment that can be told and reckoned with."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo and told.year in YEARS else None
