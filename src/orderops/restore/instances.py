"""The database instances of an environment: the primary and the others, each with its role.

All state is stored in tags, so every machine sees the same. An interrupted restore is recognised by its missing tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, ROLE, Ownership
from orderops.aws.validation import YEARS
from orderops.engine.resource import Observed, State
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen, replace
from orderops.infra.stack import Stack
from orderops.resources.rds_deployment import GREEN
from orderops.resources.rds_description import (
    DISPOSABLE,
    FORMER,
    PRIMARY,
    REPLICA,
    TERM,
    instances,
    read_replicas,
)
from orderops.resources.rds_master import SECRET
from orderops.resources.rds_read_replica import SOURCE as FOLLOWED
from orderops.runs.run import Runs

SERVICES = "ServiceSecretArn"
"""The property with the secret that the services log in with."""
TOKENS = "ServiceIamUser"
"""The property with the role that the services log in as with tokens of IAM."""
# How many runs back an interrupted run of the same command is looked for.
RECENT_RUNS = 20

SOURCE = "orderops:source"
"""The identifier of the instance that this one was restored from."""
SOURCE_RESOURCE = "orderops:source-resource"
"""The source's DbiResourceId, which AWS never reuses (unlike the identifier)."""
RESTORED_TO = "orderops:restored-to"
REQUESTED = "orderops:asked"
"""The `--at` of a restore to a relative time: "-15m", "latest"."""
STARTED = "orderops:begun"
READY_AT = "orderops:ready"
"""When the restore ended with all settings verified; missing while it runs."""
PREVIOUS_PRIMARY = "orderops:before"
"""On a promoted instance: the primary before it."""
PROMOTED_BY = "orderops:promoted-by"
"""On a promoted instance: the command, `promote` or `back`."""
SETTLED = "orderops:settled"
"""On a promoted instance: the term in which all services had switched to it."""


class Instance(Frozen):
    """One database instance, as its tags describe it."""

    observed: Observed

    @property
    def name(self) -> str:
        return self.observed.id

    @property
    def role(self) -> str:
        return REPLICA if self.is_replica else self.tag(ROLE) or PRIMARY

    @property
    def is_replica(self) -> bool:
        """Whether it is a read replica of the environment, or was one until its promotion began."""
        return FOLLOWED in self.observed.properties

    @property
    def ready(self) -> bool:
        """Whether AWS reports it as available and its restore, if any, is complete."""
        return self.observed.state is State.READY and (not self.tag(RESTORED_TO) or bool(self.tag(READY_AT)))

    @property
    def settled(self) -> bool:
        """Whether all services have switched to it since it became the primary."""
        return self.tag(SETTLED) == self.tag(TERM)

    @property
    def moment(self) -> datetime | None:
        """The point in time of its data; None for an instance that was not restored."""
        return _time(self.tag(RESTORED_TO))

    @property
    def started(self) -> datetime | None:
        """When its restore was requested."""
        return _time(self.tag(STARTED))

    @property
    def ended(self) -> datetime | None:
        """When its restore was complete; None while it runs."""
        return _time(self.tag(READY_AT))

    @property
    def duration(self) -> timedelta | None:
        """How long its restore took."""
        return self.ended - self.started if self.started and self.ended else None

    def tag(self, key: str) -> str:
        """Return the value of a tag; "" for a missing one."""
        return (self.observed.tags or {}).get(key, "")

    def to_dict(self) -> dict[str, object]:
        """Return the record that `--json` prints."""
        properties = self.observed.properties
        created = properties["InstanceCreateTime"]
        return {
            "name": self.name,
            "role": self.role,
            "status": self.observed.status,
            "ready": self.ready,
            "settled": self.settled if self.role == PRIMARY else None,
            "source": self.tag(SOURCE) or None,
            "restored_to": self.tag(RESTORED_TO) if self.moment else None,
            "class": properties["DBInstanceClass"],
            "storage_gb": properties["AllocatedStorageNow"],
            "created": created.astimezone(UTC).isoformat() if created else None,
            "endpoint": properties["EndpointAddress"],
            "port": properties["EndpointPort"],
        }


class Instances(Frozen):
    """All instances of an environment, from one listing."""

    environment: str
    primary: Instance | None
    others: Sequence[Instance]
    replicas: Sequence[Instance] = ()
    """Read replicas, which can be promoted, too."""

    @property
    def all(self) -> list[Instance]:
        """The primary first, if there is one."""
        return [*([self.primary] if self.primary else []), *self.others]

    @property
    def primary_missing(self) -> bool:
        """Whether there is no primary although a restored or former one, or a replica, exists."""
        return self.primary is None and bool(self.restored or self.replicas)

    @property
    def restored(self) -> list[Instance]:
        """Instances that can be compared and promoted: neither disposable nor being deleted."""
        return [
            instance
            for instance in self.others
            if instance.role not in DISPOSABLE and instance.observed.state is not State.GOING
        ]

    def require_primary(self) -> Instance:
        """Return the primary; raises OrderopsError if there is none."""
        if self.primary is not None:
            return self.primary
        if candidates := [*self.restored, *self.replicas]:
            raise OrderopsError(
                f"the primary database of {self.environment} does not exist; promote one of these instances:",
                self._commands("promote", candidates),
            )
        raise OrderopsError(
            f"{self.environment} has no database", f"create it first: orderops up --env {self.environment}"
        )

    def named(self, name: str | None, *, action: str) -> Instance:
        """Return an instance by name; without a name, the only one that `action` (a verb of the command) can use.

        Raises UsageError for an unknown name or where several instances qualify, OrderopsError where none does.
        """
        if name is None:
            return self._only_candidate(action)
        for instance in (*self.all, *(self.replicas if action == "promote" else ())):
            # RDS stores identifiers in lower case, whatever the operator typed.
            if instance.name == name.lower():
                return instance
        raise UsageError(
            f"{self.environment} has no instance named {name}",
            f"list the instances: orderops restore list --env {self.environment}",
        )

    def check_alone(self, instance: Instance) -> None:
        """Raise OrderopsError if another instance carries the same address, so that it is unclear which is meant."""
        twins = [
            other.name
            for other in self.all
            if other is not instance
            and other.tag(ADDRESS) == instance.tag(ADDRESS)
            and other.observed.state is not State.GOING
        ]
        if twins:
            raise OrderopsError(
                f"{' and '.join([instance.name, *twins])} carry the same tag {ADDRESS}={instance.tag(ADDRESS)}",
                f"remove the tag {ADDRESS} from the one that orderops did not make, then re-run this command",
            )

    def _only_candidate(self, action: str) -> Instance:
        # A former primary is meant only if nothing else can be: the usual case is the newly restored instance.
        candidates = [instance for instance in self.restored if instance.role != FORMER] or self.restored
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            hint = f'restore one: orderops restore --at "-15m" --env {self.environment}'
            if action == "discard":
                hint = f"list the instances: orderops restore list --env {self.environment}"
            raise OrderopsError(f"{self.environment} has no restored instance to {action}", hint)
        raise UsageError(
            f"{self.environment} has {len(candidates)} restored instances: name one", self._commands(action, candidates)
        )

    def _commands(self, action: str, candidates: Sequence[Instance]) -> str:
        return "\n".join(
            f"orderops restore {action} {instance.name} --env {self.environment}" for instance in candidates
        )


def load_instances(aws: Aws, stack: Stack) -> Instances:
    """List all instances of an environment in one call.

    Raises OrderopsError if two instances are tagged as the primary.
    """
    environment, listed = stack.environment.name, aws.remembering()
    owned = [Instance(observed) for observed in _owned(instances(listed, Ownership(environment)), environment)]
    declared = stack.database.address
    # An instance that is being deleted keeps its tags for minutes; it is no longer the primary.
    primaries = [
        instance
        for instance in owned
        if instance.tag(ADDRESS) == declared and instance.observed.state is not State.GOING
    ]
    if len(primaries) > 1:
        raise OrderopsError(
            f"{' and '.join(instance.name for instance in primaries)} are both tagged as the primary",
            f"remove the tag {ADDRESS} from the instance that no service uses",
        )
    # RDS ends a deployment whose green instance is promoted or deleted by itself.
    rest = [instance for instance in owned if instance not in primaries and instance.tag(ROLE) != GREEN]
    others = sorted(rest, key=lambda instance: instance.name)
    primary = primaries[0] if primaries else None
    found = _owned(read_replicas(listed, Ownership(environment)), environment)
    logins = _logins(aws, stack, primary) if found else {}
    replicas = [Instance(replace(member, properties={**member.properties, **logins})) for member in found]
    return Instances(environment, primary, others, sorted(replicas, key=lambda instance: instance.name))


def _owned(found: Iterable[Observed], environment: str) -> list[Observed]:
    return [observed for observed in found if (observed.tags or {}).get(ENVIRONMENT) == environment]


def _logins(aws: Aws, stack: Stack, primary: Instance | None) -> Mapping[str, str | None]:
    """What opens a replica: the secrets and the role for tokens of the primary, whose data it has."""
    if primary:
        return {key: primary.observed.properties[key] for key in (SECRET, SERVICES, TOKENS)}
    # The primary is gone. The pointer still names what opened it.
    pointer = stack.pointer.now(aws, stack.environment.name)
    if pointer is None:
        return {}
    value = pointer[0]
    master, services = value.get("master"), value.get("credentials")
    tokens = value.get("username", "") if value.get("login") == "iam" else ""
    return {SECRET: master, SERVICES: "" if services == master else services, TOKENS: tokens}


def was_discarded(instances: Instances, name: str | None, command: str, runs: Runs) -> bool:
    """Return whether an interrupted run of the same command has deleted the instance.

    A misspelt name has no run record, so it is not taken for a deleted instance.
    """
    if name and any(instance.name == name.lower() for instance in instances.all):
        return False
    if name is None and instances.restored:
        return False
    return any(run["command"].startswith(f"{command} --env") for run in runs.history(last=RECENT_RUNS))


def _time(text: str) -> datetime | None:
    """Read a tag's time; None for a value that is not a time with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Tags can be edited by hand; a year near the calendar's end overflows when it is converted to a local time.
    return moment if moment.tzinfo and moment.year in YEARS else None
