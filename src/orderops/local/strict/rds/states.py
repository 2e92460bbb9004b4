"""Life cycle of a database instance: requested changes take effect later.

Future states are stored on moto's instance as `stages`, with the pending values. The data plane sets the states of
an instance with a server.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.rds.models import DBParameterGroup

from orderops.local.emulator import replication
from orderops.local.strict.delays import Delays

AVAILABLE = "available"
OPTIMIZING = "storage-optimization"
USABLE = (AVAILABLE, OPTIMIZING)
GONE = "gone"
# Stages of a replica, which change what it is and leave its status alone.
REPLICATING, PROMOTED = "replicating", "promoted"
# Names in PendingModifiedValues, and moto's attributes.
ATTRIBUTES = {
    "AllocatedStorage": "allocated_storage",
    "BackupRetentionPeriod": "backup_retention_period",
    "CACertificateIdentifier": "ca_certificate_identifier",
    "DBInstanceClass": "db_instance_class",
    "DBInstanceIdentifier": "db_instance_identifier",
    "DBSubnetGroupName": "db_subnet_group_name",
    "EngineVersion": "engine_version",
    "IAMDatabaseAuthenticationEnabled": "enable_iam_database_authentication",
    "Iops": "iops",
    "MultiAZ": "multi_az",
    "Port": "port",
    "StorageThroughput": "storage_throughput",
    "StorageType": "storage_type",
}

Stages = list[tuple[float, str]]


def has_server(instance: Any) -> bool:
    """Tell whether a local server runs for the instance, so that the data plane sets its status."""
    return bool(getattr(instance, "has_server", False))


def transition(instance: Any, status: str, *later: tuple[float, str]) -> None:
    """Set the status now, and further ones after the given seconds."""
    _set_status(instance, status)
    now = time.time()
    # A replica catches up, whatever else is done to it.
    behind = [stage for stage in stages_of(instance) if stage[1] == REPLICATING]
    instance.stages = sorted(
        [*((now + seconds, state) for seconds, state in later), *behind], key=lambda stage: stage[0]
    )


def advance(backend: Any) -> None:
    """Make all state changes that are due."""
    now = time.time()
    for instance in list(backend.databases.values()):
        while (stages := stages_of(instance)) and stages[0][0] <= now:
            moment, status = stages.pop(0)
            if status == GONE:
                backend.databases.pop(instance.db_instance_identifier, None)
            if status == REPLICATING:
                instance.replication_status = REPLICATING
                continue
            if status == PROMOTED:
                promote(backend, instance)
                continue
            if status in USABLE:
                apply_pending(backend, instance)
                _note_first_backup(instance, moment)
            _set_status(instance, status)
    for snapshot in backend.database_snapshots.values():
        if 0 < getattr(snapshot, "available_from", 0) <= now:
            snapshot.available_from = 0
            snapshot.status = AVAILABLE


def stages_of(instance: Any) -> Stages:
    """Return the future states with their times."""
    stages: Stages = instance.__dict__.get("stages", [])
    return stages


def pending_of(instance: Any) -> dict[str, Any]:
    """Return the accepted changes that are not applied yet."""
    pending: dict[str, Any] = instance.__dict__.setdefault("pending_modified_values", {})
    return pending


def current(instance: Any, key: str) -> Any:
    """Return the instance's value for a name in PendingModifiedValues."""
    if key == "DBSubnetGroupName":
        group = getattr(instance, "db_subnet_group", None)
        return group.name if group else None
    return getattr(instance, ATTRIBUTES[key], None)


def apply_pending(backend: Any, instance: Any) -> None:
    """Apply the changes under way; those for the maintenance window stay pending."""
    for key in instance.__dict__.pop("applying", ()):
        value = pending_of(instance).pop(key)
        if key == "DBInstanceIdentifier":
            rename(backend, instance, value)
        else:
            if key == "EngineVersion" and _major(value) != _major(instance.engine_version):
                _upgrade_replicas(backend, instance, value)
            setattr(instance, ATTRIBUTES[key], value)
    if instance.__dict__.get("parameter_apply_status") == "applying":
        # AWS shows `applying` first, then waits for a reboot even for dynamic parameters of a new group.
        instance.parameter_apply_status = "pending-reboot"


def _upgrade_replicas(backend: Any, source: Any, version: str) -> None:
    """Take the replicas along to another major version, with the parameter group of their source."""
    for replica in backend.databases.values():
        if replica.is_replica and replica.source_db_instance_identifier == source.db_instance_identifier:
            replica.engine_version = version
            replica.db_parameter_group_name = source.db_parameter_group_name


def _major(version: str) -> str:
    return str(version).partition(".")[0]


def promote(backend: Any, replica: Any) -> None:
    """Make a replica an instance of its own, with backups for as many days as were asked for."""
    replication.promote(backend, replica)
    replica.stages = [stage for stage in stages_of(replica) if stage[1] != REPLICATING]


def new_resource_id() -> str:
    """Return a unique resource id; moto uses the same one for every instance."""
    return f"db-{base64.b32encode(uuid.uuid4().bytes).decode().rstrip('=')}"


def identify(backend: Any, instance: Any) -> None:
    """Give a new instance, and moto's first snapshot of it, an identity of their own."""
    old_identity = (instance.db_instance_identifier, instance.dbi_resource_id)
    instance.dbi_resource_id = new_resource_id()
    for snapshot in backend.database_snapshots.values():
        if (snapshot.db_instance_identifier, snapshot.dbi_resource_id) == old_identity:
            snapshot.dbi_resource_id = snapshot.database.dbi_resource_id = instance.dbi_resource_id


def free_snapshot_name(backend: Any, name: str) -> None:
    """Rename an automated snapshot that a new instance needs: moto's names have only minutes."""
    if name in backend.databases:
        return
    for taken, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and taken.startswith(f"rds:{name.lower()}-"):
            backend.database_snapshots.pop(taken)
            snapshot.db_snapshot_identifier = f"{taken}-{snapshot.dbi_resource_id[-6:]}"
            backend.database_snapshots[snapshot.db_snapshot_identifier] = snapshot


def window_of(instance: Any, delays: Delays) -> tuple[datetime, datetime] | None:
    """Return the earliest and latest restorable time, or None before the first backup."""
    if has_server(instance):
        window: tuple[datetime, datetime] | None = instance.restore_window
        return window
    since = instance.__dict__.get("backed_up_since", 0.0)
    until = instance.__dict__.get("deleted_at") or time.time()
    earliest = max(since, until - instance.backup_retention_period * 86400)
    latest = until - delays.backup_lag
    if not since or latest < earliest:
        return None
    return datetime.fromtimestamp(earliest, UTC), datetime.fromtimestamp(latest, UTC)


class InstanceView:
    """Instance in AWS's form: no endpoint while it is created, and a lagging restorable time."""

    def __init__(self, instance: Any, delays: Delays) -> None:
        self._instance = instance
        self._delays = delays

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instance, name)

    @property
    def endpoint(self) -> Any:
        return None if self._instance.status == "creating" else self._instance.endpoint

    @property
    def status_infos(self) -> list[dict[str, Any]]:
        return replication.status_infos(self._instance)

    @property
    def latest_restorable_time(self) -> Any:
        window = window_of(self._instance, self._delays)
        return window[1].replace(tzinfo=None) if window else None

    @property
    def db_parameter_group_status_list(self) -> list[dict[str, str]]:
        status = self._instance.__dict__.get("parameter_apply_status", "in-sync")
        groups: list[DBParameterGroup] = self._instance.db_parameter_groups()
        return [{"DBParameterGroupName": group.name, "ParameterApplyStatus": status} for group in groups]


def rename(backend: Any, instance: Any, name: str) -> None:
    """Give an instance another identifier, also in what names it."""
    before = instance.db_instance_identifier
    backend.databases.pop(before)
    instance.db_instance_identifier = name
    backend.databases[instance.db_instance_identifier] = instance
    for other in backend.databases.values():
        if other.source_db_instance_identifier == before:
            other.source_db_instance_identifier = instance.db_instance_identifier
        other.replicas = [
            instance.db_instance_identifier if replica == before else replica for replica in other.replicas
        ]


def _note_first_backup(instance: Any, moment: float) -> None:
    """Record when the instance became restorable."""
    if not instance.backup_retention_period:
        instance.backed_up_since = 0.0
    elif not instance.__dict__.get("backed_up_since"):
        instance.backed_up_since = moment


def _set_status(instance: Any, status: str) -> None:
    set_status: Callable[[str], None] | None = getattr(instance, "set_status", None)
    if set_status:
        # Assigning `status` sets a target there; see DBInstance.
        set_status(status)
    else:
        instance.status = status
