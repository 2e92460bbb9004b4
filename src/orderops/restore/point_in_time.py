"""Point-in-time restore into a new instance: the request, and the steps to a verified instance.

The instance's name is derived from the point in time, so a re-run finds what an interrupted run created and resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.ownership import ROLE
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import State
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Step
from orderops.engine.task import RecentWrites
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, replace
from orderops.infra.stack import Stack
from orderops.resources.logs_service_group import LogsServiceGroup, belongs_to_database, database_log_groups
from orderops.resources.rds_description import DISPOSABLE, DRILL, RESTORED, is_restored_name, restored_name
from orderops.resources.rds_instance import NO_SNAPSHOT, SNAPSHOT, RdsInstance
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

# Older data would give a rehearsal row counts and statistics that no longer match the live database.
RESUMABLE_FOR = timedelta(hours=1)
"""How long a rehearsal resumes the instance that an interrupted one began to restore."""
StartOf = Callable[[int], datetime]
"""Returns when a migration started, by the database's clock."""


class RestoreRequest(Frozen):
    """A new instance to create: `source` as of `moment`."""

    name: str
    source: Instance
    moment: datetime
    requested: RestoreTarget
    window: RestoreWindow
    role: str = RESTORED
    instance_class: str = ""
    existing: Instance | None = None
    """The instance of that name, if an earlier run has begun to restore it."""

    @property
    def resource(self) -> RdsRestoredInstance:
        """The resource that the engine reconciles."""
        latest = self.requested.form is TimestampForm.LATEST
        source = self.source.observed
        if self.instance_class:
            source = replace(source, properties={**source.properties, "DBInstanceClass": self.instance_class})
        return RdsRestoredInstance(
            self.name, source, None if latest else self.moment, disposable=self.role in DISPOSABLE
        )

    @property
    def tags(self) -> dict[str, str]:
        """The tags that describe the restore."""
        # A resumed restore keeps its start: durations are measured from it.
        started = self.existing.tag(STARTED) if self.existing else ""
        relative = {REQUESTED: self.requested.text} if self.requested.form is not TimestampForm.TIME else {}
        return {
            ROLE: self.role,
            SOURCE: self.source.name,
            SOURCE_RESOURCE: self.source.observed.properties["DbiResourceId"],
            RESTORED_TO: utc(self.moment),
            STARTED: started or _now(),
            **relative,
        }


@dataclass
class Restore:
    """Creates the requested instance, or completes it."""

    aws: Aws
    stack: Stack
    request: RestoreRequest
    recent_writes: RecentWrites = field(default_factory=RecentWrites)
    limits: ReconcileLimits = field(default_factory=ReconcileLimits)
    on_wait: OnWait = lambda *_: None

    def plan(self) -> list[Step]:
        """Return the steps that `run` would take."""
        return list(self._reconcile(dry_run=True))

    def run(self) -> Iterator[Step]:
        """Create the instance, apply the settings that AWS does not restore, verify all and tag it as ready.

        Raises OrderopsError if a setting still differs from the source's.
        """
        yield from self._reconcile()
        instance = self.instance()
        if differences := self.request.resource.unlike(instance.observed):
            source = self.request.source.name
            lines = "\n".join(
                f"{key}: {actual!r}, but {wanted!r} on {source}" for key, (wanted, actual) in differences.items()
            )
            raise OrderopsError(f"{instance.name} differs from {source}:\n{lines}", "re-run this command to continue")
        # The tag comes last: an instance without it is known to be incomplete, wherever the run was interrupted.
        if not instance.tag(READY_AT):
            RdsInstance.retag(self.aws, instance.observed, {READY_AT: _now()})

    def instance(self) -> Instance:
        """Read the instance's current state."""
        return load_instances(self.aws, self.stack).named(self.request.name, action="restore")

    def _reconcile(self, *, dry_run: bool = False) -> Iterator[Step]:
        environment = self.stack.environment
        tags = {**environment.tags, **self.request.tags}
        restored = self.request.resource
        if not restored.disposable:
            # The groups have the tags of the restored instance, so that they are deleted with it.
            exports = tuple(restored.source.properties["EnableCloudwatchLogsExports"])
            groups = database_log_groups(restored.name, exports, environment.database.log_days)
            restored = replace(restored, log_groups=groups)
        yield from reconcile(
            [*restored.log_groups, restored],
            Inventory(self.aws, environment.name, [LogsServiceGroup, RdsRestoredInstance], tags),
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
    """Decide which instance to create, from the primary or from the instance named `source`.

    An interrupted restore is resumed; a relative time keeps the point in time of the first run. A restore with the same
    `--at` that another operator completed after `since` is taken as the result.

    Raises OrderopsError for a point in time that the source cannot be restored to, or a name that is in use.
    """
    instances = load_instances(aws, stack)
    origin = instances.named(source, action="restore") if source else instances.require_primary()
    # RDS also restores from an instance that is being modified or backed up.
    if origin.observed.state not in (State.READY, State.PENDING):
        raise OrderopsError(
            f"{origin.name} cannot be restored from: its status is {origin.observed.status}",
            "check the instance in the AWS console",
        )
    window = window_of(aws, origin.observed)
    resumed = _resumable(instances, origin, requested, role, since)
    if resumed and resumed.moment:
        return RestoreRequest(resumed.name, origin, resumed.moment, requested, window, role, instance_class, resumed)
    moment = _moment(requested, window, start_of)
    check_in_window(moment, window, origin.name, lambda: _other_source(aws, instances, origin, moment))
    name = restored_name(stack.database.name, role, moment)
    existing = next((instance for instance in instances.all if instance.name == name), None)
    if existing:
        _check_same_restore(existing, origin, role, instances.environment)
    return RestoreRequest(name, origin, moment, requested, window, role, instance_class, existing)


def abandoned_instances(
    aws: Aws, stack: Stack, requested: RestoreTarget, role: str, start_of: StartOf
) -> list[Instance]:
    """Return temporary instances that killed runs left, without the one that a new run of the same restore resumes.

    Only those whose identifier orderops gave: they are deleted unasked, and tags can have been copied to any instance.
    """
    resumed = ""
    # A drill measures the whole restore, so it never resumes one.
    if role != DRILL:
        # An impossible restore has nothing to resume; its error is raised when it is requested.
        with suppress(OrderopsError):
            resumed = restore_request(aws, stack, requested, role=role, start_of=start_of).name
    return [
        instance
        for instance in load_instances(aws, stack).others
        if instance.role == role
        and is_restored_name(instance.name, role)
        and (instance.name != resumed or instance.ended or instance.observed.state is State.FAILED)
    ]


def delete_instance(
    aws: Aws, environment: str, instance: Instance, *, snapshot: bool, on_wait: OnWait
) -> Iterator[Step]:
    """Delete an instance that is not the primary, and yield the step once the instance is gone."""
    if not snapshot:
        # Read by the deletion itself, so that an interrupted one is resumed without a snapshot too.
        RdsInstance.retag(aws, instance.observed, {SNAPSHOT: NO_SNAPSHOT})
    inventory = Inventory(aws, environment, [LogsServiceGroup, RdsInstance])
    owned = [resource for resource in inventory.owned() if _goes_with(resource, instance.name)]
    yield from destroy(owned, inventory, on_wait=on_wait)


def _goes_with(resource: Owned, instance: str) -> bool:
    """Whether this is the instance, or a log group that was made for it alone."""
    observed = resource.observed
    made_for_it = ROLE in (observed.tags or {}) and belongs_to_database(observed.id, instance)
    return observed.id == instance or made_for_it


def last_second_before(start: datetime) -> datetime:
    """Return the last whole second before a moment, in UTC."""
    return (start - timedelta(microseconds=1)).astimezone(UTC).replace(microsecond=0)


def describe_moment(moment: datetime, requested: RestoreTarget) -> str:
    """Return a point in time as the plan shows it."""
    # With UseLatestRestorableTime, AWS chooses when the restore starts, which is after the plan.
    return f"{utc_and_local(moment)}{', or later' if requested.form is TimestampForm.LATEST else ''}"


def _other_source(aws: Aws, instances: Instances, origin: Instance, moment: datetime) -> str:
    """Return another instance that can be restored to a moment, usually the former primary; "" if there is none."""
    for instance in instances.all:
        # An instance without backups has no window and raises: it is no alternative.
        with suppress(OrderopsError):
            if (
                instance is not origin
                and instance.role not in DISPOSABLE
                and moment in window_of(aws, instance.observed)
            ):
                return instance.name
    return ""


def _resumable(
    instances: Instances, source: Instance, requested: RestoreTarget, role: str, since: datetime | None
) -> Instance | None:
    """Return an unfinished restore of the same source to the same relative time, or one completed after `since`."""
    # An absolute time is resumed by its name.
    if requested.form is TimestampForm.TIME:
        return None
    for instance in instances.others:
        completed_before = instance.ended is not None and not (since and instance.ended >= since)
        if (
            instance.tag(SOURCE_RESOURCE) == source.observed.properties["DbiResourceId"]
            and instance.tag(REQUESTED) == requested.text
            and instance.observed.state in (State.READY, State.PENDING)
            and instance.role == role
            and _recent_enough(instance, role)
            and not completed_before
        ):
            return instance
    return None


def _recent_enough(instance: Instance, role: str) -> bool:
    """Return whether a new run may use an interrupted run's instance.

    A drill never does, because it measures the whole restore; a rehearsal does for an hour.
    """
    if role not in DISPOSABLE:
        return True
    started = instance.started
    return role != DRILL and started is not None and datetime.now(UTC) - started < RESUMABLE_FOR


def _moment(requested: RestoreTarget, window: RestoreWindow, start_of: StartOf | None) -> datetime:
    match requested.form:
        case TimestampForm.LATEST:
            return window.latest
        case TimestampForm.AGO:
            return (datetime.now(UTC) - requested.ago).replace(microsecond=0)
        case TimestampForm.BEFORE:
            assert start_of, "a caller that accepts a migration passes start_of"
            return last_second_before(start_of(requested.version))
    assert requested.time, "the parser sets the time of this form"
    return requested.time


def _check_same_restore(existing: Instance, source: Instance, role: str, environment: str) -> None:
    """Raise OrderopsError if the instance of the requested name is not the result of the same restore."""
    if existing.observed.state is State.GOING:
        raise OrderopsError(
            f"{existing.name}, which has the requested name, is being deleted",
            "wait until it is deleted, then re-run this command",
        )
    if existing.tag(SOURCE_RESOURCE) != source.observed.properties["DbiResourceId"]:
        raise OrderopsError(
            f"{existing.name}, which has the requested name, was restored from "
            f"{existing.tag(SOURCE) or 'an unknown instance'}",
            f"discard it: orderops restore discard {existing.name} --env {environment}",
        )
    if existing.role != role:
        raise OrderopsError(
            f"{existing.name} was restored to that time before, and its role is {existing.role} now",
            f"choose a time that differs by a second; list the instances: orderops restore list --env {environment}",
        )


def _now() -> str:
    return utc(datetime.now(UTC))
