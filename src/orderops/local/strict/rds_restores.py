"""RDS: a restore makes an instance of which only what is in the data is as it was; and from when to when one can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from orderops.local.emulator import Emulator
from orderops.local.strict.pace import Pace
from orderops.local.strict.rds_instances import Instances
from orderops.local.strict.rds_rules import is_offered, refuse_class, refuse_groups, refuse_size
from orderops.local.strict.rds_states import identify, is_real, make_room, settle, window_of
from orderops.local.strict.rds_words import answer_with, backend_of, given, listed, tags_in, told_true
from orderops.local.wire import Answer, Call, Refusal

TO_TIME = "RestoreDBInstanceToPointInTime"
FROM_SNAPSHOT = "RestoreDBInstanceFromDBSnapshot"
BACKUPS = "DescribeDBInstanceAutomatedBackups"
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
    """Restores, refused and made as AWS does."""

    def __init__(self, emulator: Emulator, pace: Pace, instances: Instances) -> None:
        self._pace = pace
        self._instances = instances
        emulator.instead["rds", BACKUPS] = self._backups
        for action, refuse in ((TO_TIME, self._to_time), (FROM_SNAPSHOT, self._from_snapshot)):
            emulator.instead["rds", action] = self._restore(refuse, emulator.instead.get(("rds", action)))

    def _restore(
        self, find: Callable[[Call], Any], real: Callable[[Call], Answer | None] | None
    ) -> Callable[[Call], Answer | None]:
        """Refuse what AWS refuses; restore what has a server in the way of whoever knows how, and the rest here."""

        def restore(call: Call) -> Answer | None:
            settle(backend_of(call))
            source = find(call)
            if is_real(source):
                return real(call) if real else None
            backend = backend_of(call)
            settings = settings_of(call, source)
            make_room(backend, settings["db_instance_identifier"])
            instance = backend.create_db_instance(settings)
            identify(backend, instance)
            instance.performance_insights_enabled = False
            instance.engine_lifecycle_support = getattr(source, "engine_lifecycle_support", "")
            self._instances.is_made(instance)
            return self._instances.one(call, instance)

        return restore

    def _to_time(self, call: Call) -> Any:
        """The source of a restore to a time at which AWS has it."""
        source = self._source(call)
        _refuse_target(call, call.form.get("TargetDBInstanceIdentifier", ""), source)
        if given(call, "RestoreTime") == told_true(call, "UseLatestRestorableTime"):
            raise Refusal(
                "InvalidParameterCombination",
                "Either RestoreTime or UseLatestRestorableTime must be specified, and not both.",
            )
        window = window_of(source, self._pace)
        if not source.backup_retention_period:
            name = source.db_instance_identifier
            raise Refusal("PointInTimeRestoreNotEnabled", f"Automated backups are not enabled for DB instance {name}.")
        if not window:
            raise Refusal("InvalidRestoreFault", f"There is no backup of {source.db_instance_identifier} yet.")
        if given(call, "RestoreTime"):
            _refuse_time(_time(call.form["RestoreTime"]), *window)
        return source

    def _from_snapshot(self, call: Call) -> Any:
        """The instance as it was when the snapshot was taken."""
        name = call.form.get("DBSnapshotIdentifier", "").rpartition(":snapshot:")[2]
        snapshot = backend_of(call).database_snapshots.get(name)
        if snapshot is None:
            raise Refusal("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        if snapshot.status != "available":
            raise Refusal("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")
        _refuse_target(call, call.form.get("DBInstanceIdentifier", ""), snapshot.database)
        return snapshot.database

    def _source(self, call: Call) -> Any:
        name = call.form.get("SourceDBInstanceIdentifier", "").rpartition(":db:")[2].lower()
        resource = call.form.get("SourceDbiResourceId")
        for instance in _backed_up(backend_of(call)):
            if instance.dbi_resource_id == resource or (instance.db_instance_identifier == name and _lives(instance)):
                return instance
        raise Refusal("DBInstanceNotFound", f"DBInstance {name or resource} not found.", 404)

    def _backups(self, call: Call) -> Answer:
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
            raise Refusal(
                "DBInstanceAutomatedBackupNotFound", f"No automated backup of {name or resource} was found.", 404
            )
        return answer_with(call, {"DBInstanceAutomatedBackups": found})

    def _backup(self, call: Call, instance: Any) -> dict[str, Any]:
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


def settings_of(call: Call, source: Any) -> dict[str, Any]:
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


def _refuse_target(call: Call, name: str, source: Any) -> None:
    if name in backend_of(call).databases:
        raise Refusal("DBInstanceAlreadyExists", "DB instance already exists")
    refuse_class(call)
    version = str(source.engine_version)
    refuse_groups(call, source.engine if is_offered(version) else "", version)
    if given(call, "AllocatedStorage"):
        asked = int(call.form["AllocatedStorage"])
        refuse_size(source.engine, call.form.get("StorageType", source.storage_type), asked)
        if asked < source.allocated_storage:
            raise Refusal(
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
    raise Refusal(
        "InvalidParameterValue",
        f"The specified instance cannot be restored to a time {word} than {limit:%Y-%m-%d %H:%M:%S} UTC.",
    )


def _time(text: str) -> datetime:
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("MalformedInput", f"{text} is no time") from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
