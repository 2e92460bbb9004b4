"""RDS: read replicas, which inherit little of their source, follow it, and can be promoted.

A replica without a server only passes through its states; the data plane replicates, promotes and sets the states of
one with a server.
"""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, has_parameter, is_true, list_of, rds_response, tags_in
from orderops.local.strict.delays import Delays
from orderops.local.strict.logs.service_groups import make_export_groups
from orderops.local.strict.rds.insights import check_insights, store_insights
from orderops.local.strict.rds.rules import MANAGED, check_class, check_groups, check_size
from orderops.local.strict.rds.settings import settings_in
from orderops.local.strict.rds.states import (
    AVAILABLE,
    PROMOTED,
    REPLICATING,
    InstanceView,
    advance,
    has_server,
    identify,
    promote,
    transition,
)

CREATE, PROMOTE = "CreateDBInstanceReadReplica", "PromoteReadReplica"
MOST = 15
"""Replicas of one source."""
INHERITED = (
    "auto_minor_version_upgrade",
    "db_name",
    "db_parameter_group_name",
    "engine",
    "engine_version",
    "kms_key_id",
    "license_model",
    "master_username",
    "port",
    "preferred_maintenance_window",
    "storage_encrypted",
)
"""Settings that a replica takes from its source; the API reference has a default of its own for every other one."""
NOT_TAKEN = frozenset({"BackupRetentionPeriod", "DBParameterGroupName", "DBSubnetGroupName", "PreferredBackupWindow"})
"""Settings that a replica is not given."""


class ReplicaRules:
    """Read replicas as on AWS; in a plain emulator only those of instances with a server."""

    def __init__(self, emulator: Emulator, delays: Delays, *, plain: bool = False) -> None:
        self._delays = delays
        self._plain = plain
        emulator.instead["rds", CREATE] = self._create
        emulator.instead["rds", PROMOTE] = self._promote
        # Both register: this one promotes replicas with a server, and the strict one those without.
        emulator.on_after("rds", "DeleteDBInstance", self._source_deleted)
        if not plain:
            emulator.on_before("rds", "DeleteDBInstance", _check_deletion)
            emulator.on_before("rds", "StopDBInstance", _check_stop)
            emulator.on_before("rds", "ModifyDBInstance", _check_change)

    def _create(self, request: Request) -> Response | None:
        backend = backend_of(request)
        advance(backend)
        source = backend.databases.get(_name(request.form.get("SourceDBInstanceIdentifier", "")))
        if self._plain and not has_server(source):
            return None
        if source is None:
            raise _not_found(request.form.get("SourceDBInstanceIdentifier", ""))
        _check_source(request, source)
        _check_settings(request, source)
        name = request.form["DBInstanceIdentifier"].lower()
        replica = backend.create_db_instance({**_settings(request, source), "db_instance_identifier": name})
        replica.set_as_replica()
        source.add_replica(replica)
        _forget_backups(backend, replica)
        replica.performance_insights_enabled = False
        store_insights(request, replica)
        replica.engine_lifecycle_support = getattr(source, "engine_lifecycle_support", "")
        make_export_groups(request, replica)
        if has_server(replica):
            replica.replicates_from = source.dbi_resource_id
        else:
            identify(backend, replica)
            ready, following = self._delays.database * 1.2, self._delays.database * 1.5
            transition(replica, "creating", (ready, AVAILABLE), (following, REPLICATING))
        return rds_response(request, {"DBInstance": InstanceView(replica, self._delays)})

    def _promote(self, request: Request) -> Response | None:
        backend = backend_of(request)
        advance(backend)
        name = request.form["DBInstanceIdentifier"]
        replica = backend.databases.get(name.lower())
        if self._plain and not has_server(replica):
            return None
        if replica is None:
            raise _not_found(name)
        if not replica.is_replica:
            raise ApiError("InvalidDBInstanceState", f"DB instance {name} is not a read replica.")
        if replica.status != AVAILABLE:
            raise ApiError("InvalidDBInstanceState", f"DB instance {name} is not in available state.")
        if has_parameter(request, "PreferredBackupWindow"):
            replica.preferred_backup_window = request.form["PreferredBackupWindow"].lower()
        self._begin_promotion(replica, int(request.form.get("BackupRetentionPeriod", 1)))
        return rds_response(request, {"DBInstance": InstanceView(replica, self._delays)})

    def _begin_promotion(self, replica: Any, days: int) -> None:
        replica.promotion = days
        if has_server(replica):
            replica.set_status("modifying")
            return
        delay = self._delays.database
        backing_up = [(delay * 1.2, "backing-up")] if days else []
        transition(
            replica, "modifying", (delay / 2, "rebooting"), (delay, PROMOTED), *backing_up, (delay * 1.5, AVAILABLE)
        )

    def _source_deleted(self, request: Request, response: Response) -> None:
        """Promote the replicas that a deleted instance leaves, without backups."""
        backend, name = backend_of(request), request.form["DBInstanceIdentifier"].lower()
        for replica in list(backend.databases.values()):
            followed = replica.is_replica and replica.source_db_instance_identifier == name
            if not followed or has_server(replica) != self._plain:
                continue
            promote(backend, replica)
            if has_server(replica):
                replica.set_status("modifying")
            else:
                transition(replica, "rebooting", (self._delays.database, AVAILABLE))


def _settings(request: Request, source: Any) -> dict[str, Any]:
    """Return a replica's settings: from the request, from the source, else the defaults of the API reference."""
    form = request.form
    group = getattr(source, "db_subnet_group", None)
    return {
        **{name: getattr(source, name) for name in INHERITED},
        "allocated_storage": source.allocated_storage,
        "backup_retention_period": 0,
        "db_instance_class": source.db_instance_class,
        "publicly_accessible": False,
        "storage_type": "gp3",
        "db_subnet_group_name": form.get("DBSubnetGroupName") or (group.name if group else None),
        "enable_cloudwatch_logs_exports": list_of(request, "EnableCloudwatchLogsExports"),
        "source_db_instance_identifier": source.db_instance_identifier,
        "tags": tags_in(request),
        "vpc_security_group_ids": list_of(request, "VpcSecurityGroupIds"),
        **settings_in(request, NOT_TAKEN),
    }


def _check_source(request: Request, source: Any) -> None:
    if request.form["DBInstanceIdentifier"].lower() in backend_of(request).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    if not source.backup_retention_period:
        raise ApiError("InvalidDBInstanceState", "Automated backups are not enabled for this database instance.")
    if source.status != AVAILABLE:
        raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")
    if source.manage_master_user_password:
        raise ApiError(
            "InvalidDBInstanceState",
            "A read replica can't be created of a DB instance whose master user password is in Secrets Manager.",
        )
    if len(source.replicas) >= MOST:
        raise ApiError("InvalidDBInstanceState", f"A DB instance can have at most {MOST} read replicas.")


def _check_settings(request: Request, source: Any) -> None:
    check_class(request)
    check_insights(request)
    if has_parameter(request, "DBParameterGroupName"):
        raise ApiError(
            "InvalidParameterCombination",
            f"A parameter group can't be specified for a read replica of {source.engine} in the same Region.",
        )
    group = getattr(source, "db_subnet_group", None)
    check_groups(request, source.engine, str(source.engine_version), group.name if group else None)
    size = int(request.form.get("AllocatedStorage", source.allocated_storage))
    check_size(source.engine, request.form.get("StorageType", "gp3"), size)
    if size < source.allocated_storage:
        raise ApiError(
            "InvalidParameterValue", "The allocated storage of a read replica can't be less than that of its source."
        )


def _check_deletion(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get("DBInstanceIdentifier", "").lower())
    if instance is None or not instance.is_replica:
        return
    if has_parameter(request, "FinalDBSnapshotIdentifier"):
        raise ApiError(
            "InvalidParameterCombination", "FinalDBSnapshotIdentifier can not be specified when deleting a replica."
        )
    if not is_true(request, "SkipFinalSnapshot"):
        raise ApiError("InvalidParameterCombination", "SkipFinalSnapshot must be enabled when deleting a replica.")


def _check_stop(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get("DBInstanceIdentifier", "").lower())
    if instance and (instance.is_replica or instance.replicas):
        raise ApiError("InvalidDBInstanceState", "A DB instance that is or has a read replica can't be stopped.")


def _check_change(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get("DBInstanceIdentifier", "").lower())
    if instance is None:
        return
    if instance.replicas and request.form.get("BackupRetentionPeriod") == "0":
        raise ApiError("InvalidParameterCombination", "Backups can't be disabled for the source of read replicas.")
    if instance.is_replica and (is_true(request, MANAGED) or has_parameter(request, "MasterUserPassword")):
        raise ApiError("InvalidParameterCombination", "A read replica has the master user password of its source.")


def _forget_backups(backend: Any, replica: Any) -> None:
    """Delete the automated snapshot that moto takes of each new instance: a replica has no backups."""
    for name, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and snapshot.database.db_instance_arn == replica.db_instance_arn:
            del backend.database_snapshots[name]


def _name(identifier: str) -> str:
    return identifier.rpartition(":db:")[2].lower()


def _not_found(name: str) -> ApiError:
    return ApiError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
