"""The life of a database instance: what is asked of it becomes true later, and is seen on the way.

What is under way stands on moto's instance: `stages`, the states to come and when, and the values that AWS calls
pending. An instance with a real server has its states from the data plane; it is told what it becomes, and no more.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.rds.models import DBParameterGroup

from orderops.local.strict.delays import Delays

AVAILABLE = "available"
OPTIMIZING = "storage-optimization"
USABLE = (AVAILABLE, OPTIMIZING)
GONE = "gone"
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
"""PendingModifiedValues, and where moto keeps them."""

Stages = list[tuple[float, str]]


def is_real(instance: Any) -> bool:
    """A server of this machine stands behind the instance, and the data plane says what state it is in."""
    return bool(getattr(instance, "is_real", False))


def become(instance: Any, status: str, *later: tuple[float, str]) -> None:
    """Be in this state now, and in others so many seconds from now."""
    _set(instance, status)
    now = time.time()
    instance.stages = [(now + seconds, state) for seconds, state in later]


def settle(backend: Any) -> None:
    """Let everything whose time has come be what it was to become."""
    now = time.time()
    for instance in list(backend.databases.values()):
        while (stages := stages_of(instance)) and stages[0][0] <= now:
            moment, status = stages.pop(0)
            if status == GONE:
                backend.databases.pop(instance.db_instance_identifier)
            if status in USABLE:
                apply_pending(backend, instance)
                _back_up(instance, moment)
            _set(instance, status)
    for snapshot in backend.database_snapshots.values():
        if 0 < getattr(snapshot, "available_from", 0) <= now:
            snapshot.available_from = 0
            snapshot.status = AVAILABLE


def stages_of(instance: Any) -> Stages:
    """The states to come."""
    found: Stages = instance.__dict__.get("stages", [])
    return found


def pending_of(instance: Any) -> dict[str, Any]:
    """What was accepted and is not applied."""
    found: dict[str, Any] = instance.__dict__.setdefault("pending_modified_values", {})
    return found


def current(instance: Any, key: str) -> Any:
    """The value that an instance has for what PendingModifiedValues calls so."""
    if key == "DBSubnetGroupName":
        group = getattr(instance, "db_subnet_group", None)
        return group.name if group else None
    return getattr(instance, ATTRIBUTES[key], None)


def apply_pending(backend: Any, instance: Any) -> None:
    """Make true what was accepted and is under way; what waits for its window goes on waiting."""
    for key in instance.__dict__.pop("applying", ()):
        value = pending_of(instance).pop(key)
        if key == "DBInstanceIdentifier":
            _rename(backend, instance, value)
        else:
            setattr(instance, ATTRIBUTES[key], value)
    if instance.__dict__.get("parameter_apply_status") == "applying":
        instance.parameter_apply_status = "pending-reboot"


def new_resource_id() -> str:
    """What no instance before it had; moto gives all of them the same."""
    return f"db-{base64.b32encode(uuid.uuid4().bytes).decode().rstrip('=')}"


def identify(backend: Any, instance: Any) -> None:
    """Give a new instance, and the first snapshot that moto took of it, an identity of its own."""
    before = (instance.db_instance_identifier, instance.dbi_resource_id)
    instance.dbi_resource_id = new_resource_id()
    for snapshot in backend.database_snapshots.values():
        if (snapshot.db_instance_identifier, snapshot.dbi_resource_id) == before:
            snapshot.dbi_resource_id = snapshot.database.dbi_resource_id = instance.dbi_resource_id


def make_room(backend: Any, name: str) -> None:
    """Let the first snapshot of a new instance have its name: moto makes it of the minute, and one may have it."""
    if name in backend.databases:
        return
    for taken, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and taken.startswith(f"rds:{name.lower()}-"):
            backend.database_snapshots.pop(taken)
            snapshot.db_snapshot_identifier = f"{taken}-{snapshot.dbi_resource_id[-6:]}"
            backend.database_snapshots[snapshot.db_snapshot_identifier] = snapshot


def window_of(instance: Any, pace: Delays) -> tuple[datetime, datetime] | None:
    """From when to when the instance can be restored; nothing while there is no backup."""
    if is_real(instance):
        told: tuple[datetime, datetime] | None = instance.window
        return told
    since = instance.__dict__.get("backed_up_since", 0.0)
    until = instance.__dict__.get("retained_at") or time.time()
    earliest = max(since, until - instance.backup_retention_period * 86400)
    latest = until - pace.backup_lag
    if not since or latest < earliest:
        return None
    return datetime.fromtimestamp(earliest, UTC), datetime.fromtimestamp(latest, UTC)


class Seen:
    """An instance as DescribeDBInstances tells it: without the address it has not yet, and with its backups' lag."""

    def __init__(self, instance: Any, pace: Delays) -> None:
        self._instance = instance
        self._pace = pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instance, name)

    @property
    def endpoint(self) -> Any:
        return None if self._instance.status == "creating" else self._instance.endpoint

    @property
    def latest_restorable_time(self) -> Any:
        window = window_of(self._instance, self._pace)
        return window[1].replace(tzinfo=None) if window else None

    @property
    def db_parameter_group_status_list(self) -> list[dict[str, str]]:
        status = self._instance.__dict__.get("parameter_apply_status", "in-sync")
        groups: list[DBParameterGroup] = self._instance.db_parameter_groups()
        return [{"DBParameterGroupName": group.name, "ParameterApplyStatus": status} for group in groups]


def _rename(backend: Any, instance: Any, name: str) -> None:
    backend.databases.pop(instance.db_instance_identifier)
    instance.db_instance_identifier = name
    backend.databases[instance.db_instance_identifier] = instance


def _back_up(instance: Any, moment: float) -> None:
    """A first time available with backups, it can be restored from then on."""
    if not instance.backup_retention_period:
        instance.backed_up_since = 0.0
    elif not instance.__dict__.get("backed_up_since"):
        instance.backed_up_since = moment


def _set(instance: Any, status: str) -> None:
    settled: Callable[[str], None] | None = getattr(instance, "settle", None)
    if settled:
        settled(status)  # the data plane's instances take a plain status for a wish
    else:
        instance.status = status
