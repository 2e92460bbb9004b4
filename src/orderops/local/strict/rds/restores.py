"""RDS: a restored instance keeps its data and few settings; and the restore window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from orderops.local.emulator.origin import RestoreOrigin
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, has_parameter, is_true, list_of, rds_response, tags_in
from orderops.local.strict.delays import Delays
from orderops.local.strict.logs.service_groups import make_export_groups
from orderops.local.strict.rds.instances import begin_creation, instance_response
from orderops.local.strict.rds.rules import check_class, check_groups, check_size, is_offered
from orderops.local.strict.rds.settings import settings_in
from orderops.local.strict.rds.states import advance, free_snapshot_name, has_server, identify, window_of

RESTORE_TO_TIME = "RestoreDBInstanceToPointInTime"
RESTORE_FROM_SNAPSHOT = "RestoreDBInstanceFromDBSnapshot"
DESCRIBE_BACKUPS = "DescribeDBInstanceAutomatedBackups"
DELETE_BACKUP = "DeleteDBInstanceAutomatedBackup"
# Settings that a restored instance takes from its source unless given.
INHERITED = (
    "allocated_storage",
    "auto_minor_version_upgrade",
    "backup_retention_period",
    "db_name",
    "engine",
    "engine_version",
    "iops",
    "kms_key_id",
    "license_model",
    "master_username",
    "port",
    "preferred_backup_window",
    "storage_encrypted",
    "storage_throughput",
    "storage_type",
)
NOT_TAKEN = frozenset({"AvailabilityZone", "MonitoringInterval", "MonitoringRoleArn"})
"""Settings that a restore is not given."""


class Restores:
    """Restores as on AWS; in a plain emulator only those of instances with a server."""

    def __init__(self, emulator: Emulator, delays: Delays, *, plain: bool = False) -> None:
        self._delays = delays
        self._plain = plain
        emulator.instead["rds", DESCRIBE_BACKUPS] = self._backups
        emulator.instead["rds", DELETE_BACKUP] = _delete_backup
        for action, resolve in ((RESTORE_TO_TIME, self._to_time), (RESTORE_FROM_SNAPSHOT, self._from_snapshot)):
            emulator.instead["rds", action] = self._restore(resolve)

    def _restore(self, resolve: Callable[[Request], tuple[Any, RestoreOrigin]]) -> Callable[[Request], Response | None]:
        """Return a handler that creates the instance; the data plane restores the data of one with a server."""

        def restore(request: Request) -> Response | None:
            backend = backend_of(request)
            advance(backend)
            if self._plain and not any(has_server(source) for source in self._candidates(request)):
                return None
            source, origin = resolve(request)
            settings = settings_of(request, source)
            free_snapshot_name(backend, settings["db_instance_identifier"])
            instance = backend.create_db_instance(settings)
            instance.performance_insights_enabled = False
            instance.database_insights_mode = "standard"
            instance.engine_lifecycle_support = getattr(source, "engine_lifecycle_support", "")
            make_export_groups(request, instance)
            if has_server(instance):
                instance.origin = origin
                # The restored data contains the password.
                instance.master_user_password = None
            else:
                identify(backend, instance)
                begin_creation(instance, self._delays)
            return instance_response(request, instance, self._delays)

        return restore

    def _to_time(self, request: Request) -> tuple[Any, RestoreOrigin]:
        """Return the source of a restore to a point in time. Raises ApiError outside the restore window."""
        source = self._source(request)
        name = source.db_instance_identifier
        _check_target(request, request.form.get("TargetDBInstanceIdentifier", ""), source)
        if has_parameter(request, "RestoreTime") == is_true(request, "UseLatestRestorableTime"):
            raise ApiError(
                "InvalidParameterCombination",
                "Either RestoreTime or UseLatestRestorableTime must be specified, and not both.",
            )
        window = window_of(source, self._delays)
        if not source.backup_retention_period:
            raise ApiError("PointInTimeRestoreNotEnabled", f"Automated backups are not enabled for DB instance {name}.")
        if not window:
            raise ApiError("InvalidRestoreFault", f"There is no backup of {name} yet.")
        if not has_parameter(request, "RestoreTime"):
            return source, RestoreOrigin(
                source.dbi_resource_id, name, source.latest_restorable if has_server(source) else window[1]
            )
        moment = _parse_time(request.form["RestoreTime"])
        _check_time(moment, *window)
        return source, RestoreOrigin(source.dbi_resource_id, name, moment.replace(microsecond=0))

    def _from_snapshot(self, request: Request) -> tuple[Any, RestoreOrigin]:
        """Return the instance as it was when the snapshot was taken."""
        name = _snapshot_name(request)
        snapshot = backend_of(request).database_snapshots.get(name)
        if snapshot is None:
            raise ApiError("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        if snapshot.status != "available":
            raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")
        source = snapshot.database
        _check_target(request, request.form.get("DBInstanceIdentifier", ""), source)
        if has_server(source) and not getattr(snapshot, "data_folder", ""):
            return source, self._first_backup(request, snapshot)
        return source, RestoreOrigin(getattr(snapshot, "data_folder", ""), name)

    def _first_backup(self, request: Request, snapshot: Any) -> RestoreOrigin:
        """Return the origin of an automated snapshot: the first base backup of a new instance."""
        for instance in _backed_up(backend_of(request)):
            if instance.dbi_resource_id == snapshot.dbi_resource_id and (window := window_of(instance, self._delays)):
                return RestoreOrigin(instance.dbi_resource_id, instance.db_instance_identifier, window[0])
        name = snapshot.db_snapshot_identifier
        raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")

    def _candidates(self, request: Request) -> list[Any]:
        """Return the instances that the request may mean, if any exist."""
        if request.action == RESTORE_FROM_SNAPSHOT:
            snapshot = backend_of(request).database_snapshots.get(_snapshot_name(request))
            return [snapshot.database] if snapshot else []
        return [instance for instance in _backed_up(backend_of(request)) if _is_source(request, instance)]

    def _source(self, request: Request) -> Any:
        for instance in self._candidates(request):
            return instance
        identifier = _source_name(request) or request.form.get("SourceDbiResourceId")
        raise ApiError("DBInstanceNotFound", f"DBInstance {identifier} not found.", 404)

    def _backups(self, request: Request) -> Response:
        backend = backend_of(request)
        advance(backend)
        name, resource = request.form.get("DBInstanceIdentifier", "").lower(), request.form.get("DbiResourceId", "")
        backups = [
            self._backup(request, instance)
            for instance in _backed_up(backend)
            if instance.backup_retention_period
            and name in ("", instance.db_instance_identifier)
            and resource in ("", instance.dbi_resource_id)
        ]
        if not backups and (name or resource):
            raise ApiError(
                "DBInstanceAutomatedBackupNotFound", f"No automated backup of {name or resource} was found.", 404
            )
        return rds_response(request, {"DBInstanceAutomatedBackups": backups})

    def _backup(self, request: Request, instance: Any) -> dict[str, Any]:
        window = window_of(instance, self._delays)
        state = "retained" if not _exists(instance) else "active" if window else "creating"
        return {
            "DBInstanceArn": instance.db_instance_arn,
            "DBInstanceIdentifier": instance.db_instance_identifier,
            "DbiResourceId": instance.dbi_resource_id,
            "Region": request.region,
            "Status": state,
            "RestoreWindow": {"EarliestTime": window[0], "LatestTime": window[1]} if window else None,
            "AllocatedStorage": instance.allocated_storage,
            "BackupRetentionPeriod": instance.backup_retention_period,
            "Encrypted": instance.storage_encrypted,
            "Engine": instance.engine,
            "EngineVersion": instance.engine_version,
            "InstanceCreateTime": instance.created,
            "MasterUsername": instance.master_username,
            "Port": int(instance.port),
            "StorageType": instance.storage_type,
        }


def settings_of(request: Request, source: Any) -> dict[str, Any]:
    """Return a restored instance's settings: from the request, from the source, else AWS's defaults."""
    form = request.form
    return {
        **{name: getattr(source, name) for name in INHERITED},
        "db_instance_class": source.db_instance_class,
        "publicly_accessible": not has_parameter(request, "DBSubnetGroupName"),
        "master_user_password": source.__dict__.get("_master_user_password"),
        "db_instance_identifier": form.get("TargetDBInstanceIdentifier") or form["DBInstanceIdentifier"],
        "vpc_security_group_ids": list_of(request, "VpcSecurityGroupIds"),
        "enable_cloudwatch_logs_exports": list_of(request, "EnableCloudwatchLogsExports"),
        "tags": tags_in(request) or [dict(tag) for tag in source.tags],
        **settings_in(request, NOT_TAKEN),
    }


def _delete_backup(request: Request) -> Response:
    """Delete the backups retained from a deleted instance."""
    backend, resource = backend_of(request), request.form.get("DbiResourceId", "")
    instances = [instance for instance in _backed_up(backend) if instance.dbi_resource_id == resource]
    if not instances:
        raise ApiError("DBInstanceAutomatedBackupNotFound", f"No automated backup of {resource} was found.", 404)
    if _exists(instances[0]):
        raise ApiError("InvalidDBInstanceAutomatedBackupState", "Only retained backups can be deleted.")
    for name, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and snapshot.dbi_resource_id == resource:
            backend.database_snapshots.pop(name)
    document = {
        "DbiResourceId": resource,
        "DBInstanceIdentifier": instances[0].db_instance_identifier,
        "Status": "deleting",
    }
    return rds_response(request, {"DBInstanceAutomatedBackup": document})


def _is_source(request: Request, instance: Any) -> bool:
    named = instance.db_instance_identifier == _source_name(request) and _exists(instance)
    return bool(named or instance.dbi_resource_id == request.form.get("SourceDbiResourceId"))


def _source_name(request: Request) -> str:
    return request.form.get("SourceDBInstanceIdentifier", "").rpartition(":db:")[2].lower()


def _snapshot_name(request: Request) -> str:
    return request.form.get("DBSnapshotIdentifier", "").rpartition(":snapshot:")[2]


def _backed_up(backend: Any) -> Iterator[Any]:
    """Yield existing instances, and deleted ones with retained backups."""
    yield from backend.databases.values()
    seen = {instance.dbi_resource_id for instance in backend.databases.values()}
    for snapshot in backend.database_snapshots.values():
        if snapshot.snapshot_type == "automated" and snapshot.dbi_resource_id not in seen:
            seen.add(snapshot.dbi_resource_id)
            yield snapshot.database


def _exists(instance: Any) -> bool:
    return "deleted_at" not in instance.__dict__


def _check_target(request: Request, name: str, source: Any) -> None:
    if name in backend_of(request).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    check_class(request)
    version = str(source.engine_version)
    check_groups(request, source.engine if is_offered(version) else "", version)
    if has_parameter(request, "AllocatedStorage"):
        size = int(request.form["AllocatedStorage"])
        check_size(source.engine, request.form.get("StorageType", source.storage_type), size)
        if size < source.allocated_storage:
            raise ApiError(
                "InvalidParameterValue",
                "The allocated storage size can't be less than the source snapshot or backup size.",
            )


def _check_time(time: datetime, earliest: datetime, latest: datetime) -> None:
    if time > latest:
        word, limit = "later", latest
    elif time < earliest:
        word, limit = "earlier", earliest
    else:
        return
    raise ApiError(
        "InvalidParameterValue",
        f"The specified instance cannot be restored to a time {word} than {limit:%Y-%m-%d %H:%M:%S} UTC.",
    )


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("MalformedInput", f"{text} is not a timestamp") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
