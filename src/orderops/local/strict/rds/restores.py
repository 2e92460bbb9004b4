"""RDS: a restore makes an instance of which only what is in the data is as it was; and from when to when one can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from orderops.local.emulator.origin import RestoreOrigin
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import answer_with, backend_of, given, listed, tags_in, told_true
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.instances import is_made, one
from orderops.local.strict.rds.rules import is_offered, refuse_class, refuse_groups, refuse_size
from orderops.local.strict.rds.states import identify, is_real, make_room, settle, window_of

TO_TIME = "RestoreDBInstanceToPointInTime"
FROM_SNAPSHOT = "RestoreDBInstanceFromDBSnapshot"
BACKUPS = "DescribeDBInstanceAutomatedBackups"
FORGET = "DeleteDBInstanceAutomatedBackup"
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
"""What a restored instance has of its source without being told."""
TEXTS = {
    "CACertificateIdentifier": "ca_certificate_identifier",
    "DBInstanceClass": "db_instance_class",
    "DBParameterGroupName": "db_parameter_group_name",
    "DBSubnetGroupName": "db_subnet_group_name",
    "PreferredBackupWindow": "preferred_backup_window",
    "StorageType": "storage_type",
}
NUMBERS = {
    "AllocatedStorage": "allocated_storage",
    "BackupRetentionPeriod": "backup_retention_period",
    "Iops": "iops",
    "MaxAllocatedStorage": "max_allocated_storage",
    "Port": "port",
    "StorageThroughput": "storage_throughput",
}
TRUTHS = {
    "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
    "CopyTagsToSnapshot": "copy_tags_to_snapshot",
    "DeletionProtection": "deletion_protection",
    "EnableIAMDatabaseAuthentication": "enable_iam_database_authentication",
    "MultiAZ": "multi_az",
    "PubliclyAccessible": "publicly_accessible",
}


class Restores:
    """Restores, refused and made as AWS does; in a plain emulator only those of what has a server."""

    def __init__(self, emulator: Emulator, pace: Delays, *, plain: bool = False) -> None:
        self._pace = pace
        self._plain = plain
        emulator.instead["rds", BACKUPS] = self._backups
        emulator.instead["rds", FORGET] = _forget_backups
        for action, find in ((TO_TIME, self._to_time), (FROM_SNAPSHOT, self._from_snapshot)):
            emulator.instead["rds", action] = self._restore(find)

    def _restore(self, find: Callable[[Request], tuple[Any, RestoreOrigin]]) -> Callable[[Request], Response | None]:
        """Refuse what AWS refuses; the data of what has a server is brought by the data plane."""

        def restore(call: Request) -> Response | None:
            backend = backend_of(call)
            settle(backend)
            if self._plain and not any(is_real(source) for source in self._meant(call)):
                return None
            source, origin = find(call)
            settings = settings_of(call, source)
            make_room(backend, settings["db_instance_identifier"])
            instance = backend.create_db_instance(settings)
            instance.performance_insights_enabled = False
            instance.engine_lifecycle_support = getattr(source, "engine_lifecycle_support", "")
            if is_real(instance):
                instance.origin = origin
                instance.master_user_password = None  # the one that is in the data
            else:
                identify(backend, instance)
                is_made(instance, self._pace)
            return one(call, instance, self._pace)

        return restore

    def _to_time(self, call: Request) -> tuple[Any, RestoreOrigin]:
        """The source of a restore to a time at which AWS has it."""
        source = self._source(call)
        name = source.db_instance_identifier
        _refuse_target(call, call.form.get("TargetDBInstanceIdentifier", ""), source)
        if given(call, "RestoreTime") == told_true(call, "UseLatestRestorableTime"):
            raise ApiError(
                "InvalidParameterCombination",
                "Either RestoreTime or UseLatestRestorableTime must be specified, and not both.",
            )
        window = window_of(source, self._pace)
        if not source.backup_retention_period:
            raise ApiError("PointInTimeRestoreNotEnabled", f"Automated backups are not enabled for DB instance {name}.")
        if not window:
            raise ApiError("InvalidRestoreFault", f"There is no backup of {name} yet.")
        if not given(call, "RestoreTime"):
            return source, RestoreOrigin(source.dbi_resource_id, name, source.latest if is_real(source) else window[1])
        moment = _time(call.form["RestoreTime"])
        _refuse_time(moment, *window)
        return source, RestoreOrigin(source.dbi_resource_id, name, moment.replace(microsecond=0))

    def _from_snapshot(self, call: Request) -> tuple[Any, RestoreOrigin]:
        """The instance as it was when the snapshot was taken."""
        name = _snapshot_name(call)
        snapshot = backend_of(call).database_snapshots.get(name)
        if snapshot is None:
            raise ApiError("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        if snapshot.status != "available":
            raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")
        source = snapshot.database
        _refuse_target(call, call.form.get("DBInstanceIdentifier", ""), source)
        if is_real(source) and not getattr(snapshot, "kept_in", ""):
            return source, self._first_backup(call, snapshot)
        return source, RestoreOrigin(getattr(snapshot, "kept_in", ""), name)

    def _first_backup(self, call: Request, snapshot: Any) -> RestoreOrigin:
        """What moto calls the automated snapshot of a new instance is its first base backup."""
        for instance in _backed_up(backend_of(call)):
            if instance.dbi_resource_id == snapshot.dbi_resource_id and (window := window_of(instance, self._pace)):
                return RestoreOrigin(instance.dbi_resource_id, instance.db_instance_identifier, window[0])
        name = snapshot.db_snapshot_identifier
        raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")

    def _meant(self, call: Request) -> list[Any]:
        """What may be meant as the source, as far as it is there at all."""
        if call.action == FROM_SNAPSHOT:
            snapshot = backend_of(call).database_snapshots.get(_snapshot_name(call))
            return [snapshot.database] if snapshot else []
        return [instance for instance in _backed_up(backend_of(call)) if _is_meant(call, instance)]

    def _source(self, call: Request) -> Any:
        for instance in self._meant(call):
            return instance
        told = _source_name(call) or call.form.get("SourceDbiResourceId")
        raise ApiError("DBInstanceNotFound", f"DBInstance {told} not found.", 404)

    def _backups(self, call: Request) -> Response:
        backend = backend_of(call)
        settle(backend)
        name, resource = call.form.get("DBInstanceIdentifier", "").lower(), call.form.get("DbiResourceId", "")
        found = [
            self._backup(call, instance)
            for instance in _backed_up(backend)
            if instance.backup_retention_period
            and name in ("", instance.db_instance_identifier)
            and resource in ("", instance.dbi_resource_id)
        ]
        if not found and (name or resource):
            raise ApiError(
                "DBInstanceAutomatedBackupNotFound", f"No automated backup of {name or resource} was found.", 404
            )
        return answer_with(call, {"DBInstanceAutomatedBackups": found})

    def _backup(self, call: Request, instance: Any) -> dict[str, Any]:
        window = window_of(instance, self._pace)
        state = "retained" if not _lives(instance) else "active" if window else "creating"
        return {
            "DBInstanceArn": instance.db_instance_arn,
            "DBInstanceIdentifier": instance.db_instance_identifier,
            "DbiResourceId": instance.dbi_resource_id,
            "Region": call.region,
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


def settings_of(call: Request, source: Any) -> dict[str, Any]:
    """What a restored instance is made with: what the call gives, what comes along, and else AWS's defaults."""
    form = call.form
    return {
        **{name: getattr(source, name) for name in INHERITED},
        "db_instance_class": source.db_instance_class,
        "publicly_accessible": not given(call, "DBSubnetGroupName"),
        "master_user_password": source.__dict__.get("_master_user_password"),
        "db_instance_identifier": form.get("TargetDBInstanceIdentifier") or form["DBInstanceIdentifier"],
        "vpc_security_group_ids": listed(call, "VpcSecurityGroupIds"),
        "enable_cloudwatch_logs_exports": listed(call, "EnableCloudwatchLogsExports"),
        "tags": tags_in(call) or [dict(tag) for tag in source.tags],
        **{name: form[key] for key, name in TEXTS.items() if key in form},
        **{name: int(form[key]) for key, name in NUMBERS.items() if key in form},
        **{name: told_true(call, key) for key, name in TRUTHS.items() if key in form},
    }


def _forget_backups(call: Request) -> Response:
    """The backups that a deleted instance left."""
    backend, resource = backend_of(call), call.form.get("DbiResourceId", "")
    found = [each for each in _backed_up(backend) if each.dbi_resource_id == resource]
    if not found:
        raise ApiError("DBInstanceAutomatedBackupNotFound", f"No automated backup of {resource} was found.", 404)
    if _lives(found[0]):
        raise ApiError("InvalidDBInstanceAutomatedBackupState", "Only retained backups can be deleted.")
    for name, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and snapshot.dbi_resource_id == resource:
            backend.database_snapshots.pop(name)
    told = {"DbiResourceId": resource, "DBInstanceIdentifier": found[0].db_instance_identifier, "Status": "deleting"}
    return answer_with(call, {"DBInstanceAutomatedBackup": told})


def _is_meant(call: Request, instance: Any) -> bool:
    named = instance.db_instance_identifier == _source_name(call) and _lives(instance)
    return bool(named or instance.dbi_resource_id == call.form.get("SourceDbiResourceId"))


def _source_name(call: Request) -> str:
    return call.form.get("SourceDBInstanceIdentifier", "").rpartition(":db:")[2].lower()


def _snapshot_name(call: Request) -> str:
    return call.form.get("DBSnapshotIdentifier", "").rpartition(":snapshot:")[2]


def _backed_up(backend: Any) -> Iterator[Any]:
    """The instances that are there, and those that are gone and left their backups."""
    yield from backend.databases.values()
    there = {instance.dbi_resource_id for instance in backend.databases.values()}
    for snapshot in backend.database_snapshots.values():
        if snapshot.snapshot_type == "automated" and snapshot.dbi_resource_id not in there:
            there.add(snapshot.dbi_resource_id)
            yield snapshot.database


def _lives(instance: Any) -> bool:
    return "retained_at" not in instance.__dict__


def _refuse_target(call: Request, name: str, source: Any) -> None:
    if name in backend_of(call).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    refuse_class(call)
    version = str(source.engine_version)
    refuse_groups(call, source.engine if is_offered(version) else "", version)
    if given(call, "AllocatedStorage"):
        asked = int(call.form["AllocatedStorage"])
        refuse_size(source.engine, call.form.get("StorageType", source.storage_type), asked)
        if asked < source.allocated_storage:
            raise ApiError(
                "InvalidParameterValue",
                "The allocated storage size can't be less than the source snapshot or backup size.",
            )


def _refuse_time(asked: datetime, earliest: datetime, latest: datetime) -> None:
    if asked > latest:
        word, limit = "later", latest
    elif asked < earliest:
        word, limit = "earlier", earliest
    else:
        return
    raise ApiError(
        "InvalidParameterValue",
        f"The specified instance cannot be restored to a time {word} than {limit:%Y-%m-%d %H:%M:%S} UTC.",
    )


def _time(text: str) -> datetime:
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("MalformedInput", f"{text} is no time") from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
