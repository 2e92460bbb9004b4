"""RDS instance with PostgreSQL on it; its master password is made, kept and rotated by AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, ROLE, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Effect, Leftover, Observed, Outputs, Properties, Resource, State
from orderops.errors import OrderopsError
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.rds_description import DISPOSABLE, FORMER, KIND, LIFECYCLE, RESTORED, instances, sought_backup
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup

SNAPSHOT, NO_SNAPSHOT = "orderops:final-snapshot", "none"
"""The tag of an instance that goes without a final snapshot, by somebody's word."""
TROUBLE = re.compile(r"insufficient|unable|fail|cannot|could not", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class RdsInstance(Resource):
    """Encrypted, out of reach from the internet, and gone only with a final snapshot behind it.

    What AWS grows or upgrades by itself is no drift. Storage is in gigabytes, windows are in UTC.
    """

    subnet_group: RdsSubnetGroup
    parameter_group: RdsParameterGroup
    security_groups: tuple[Ec2SecurityGroup, ...]
    engine_version: str = "16"
    instance_class: str = "db.t3.micro"
    storage_gb: int = 20
    max_storage_gb: int | None = None
    multi_az: bool = False
    backup_days: int = 7
    deletion_protection: bool = False
    performance_insights: bool = True
    log_exports: tuple[str, ...] = ("postgresql",)
    port: int = 5432
    database: str = "orders"
    username: str = "orderops"
    backup_window: str = "16:00-16:30"
    maintenance_window: str = "sun:17:00-sun:17:30"

    kind: ClassVar[str] = KIND
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "DBInstanceNotFound",
            "DBInstanceAlreadyExists",
            "InvalidDBInstanceState",
            "DBSubnetGroupNotFoundFault",
            "DBParameterGroupNotFound",
            "InvalidParameterCombination: No modifications were requested",
            # the emulator names the first automated snapshot by the minute, and one of an instance before may be there
            "DBSnapshotAlreadyExists: identifier rds:",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"Engine", "DBName", "MasterUsername", "StorageEncrypted", "DBSubnetGroupName"}
    )
    effects: ClassVar[Mapping[str, Effect]] = dict.fromkeys(
        ("DBInstanceClass", "EngineVersion", "MultiAZ", "Port"), Effect.INTERRUPTS
    )
    replacement_hint: ClassVar[str] = (
        "set it back; only a new instance can have it: dump the database, remove the instance with {remove}, "
        "run orderops up and load the dump"
    )
    timeout: ClassVar[timedelta] = timedelta(minutes=90)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=8)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        """Nothing; raises OrderopsError beside copies of a database that is gone: a new one would be empty."""
        for raw in every(aws.rds.describe_db_instances, "DBInstances"):
            tags, name = from_pairs(raw.get("TagList")), raw["DBInstanceIdentifier"]
            if name.startswith(f"{self.name}-") and tags.get(ROLE) in (RESTORED, FORMER):
                raise _is_gone(name, tags)
        return None

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from instances(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if (observed.tags or {}).get(ROLE) == FORMER:
            raise _is_gone(observed.id, observed.tags or {})
        told = dict(observed.properties)
        if _is_or_follows(told["EngineVersion"], self.engine_version):
            told["EngineVersion"] = self.engine_version
        if self.storage_gb <= told["AllocatedStorage"] <= self._most_storage():
            told["AllocatedStorage"] = self.storage_gb
        if told["Port"] is None:
            told["Port"] = self.port  # no endpoint until it is made
        if told["EnablePerformanceInsights"] is None:
            told["EnablePerformanceInsights"] = self.performance_insights  # AWS always tells; the emulator never does
        return replace(observed, properties=told)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.rds.add_tags_to_resource(ResourceName=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "Running": True,
            "Engine": "postgres",
            "EngineVersion": self.engine_version,
            "EngineLifecycleSupport": LIFECYCLE,
            "AutoMinorVersionUpgrade": True,
            "DBInstanceClass": self.instance_class,
            "MultiAZ": self.multi_az,
            "StorageType": "gp3",
            "StorageEncrypted": True,
            "AllocatedStorage": self.storage_gb,
            "MaxAllocatedStorage": self.max_storage_gb,
            "DBName": self.database,
            "MasterUsername": self.username,
            "ManageMasterUserPassword": True,
            "EnableIAMDatabaseAuthentication": True,
            "DBSubnetGroupName": outputs[self.subnet_group].name,
            "DBParameterGroupName": outputs[self.parameter_group].name,
            "VpcSecurityGroupIds": sorted(outputs[group].id for group in self.security_groups),
            "PubliclyAccessible": False,
            "Port": self.port,
            "BackupRetentionPeriod": self.backup_days,
            "PreferredBackupWindow": self.backup_window.lower(),
            "PreferredMaintenanceWindow": self.maintenance_window.lower(),
            "CopyTagsToSnapshot": True,
            "DeletionProtection": self.deletion_protection,
            "EnablePerformanceInsights": self.performance_insights,
            "EnableCloudwatchLogsExports": sorted(self.log_exports),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: value for key, value in desired.items() if value is not None and key != "Running"}
        aws.rds.create_db_instance(DBInstanceIdentifier=self.name, **given, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Running" in changed:
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)  # nothing else can change before
        else:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **modification(observed, changed))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        told = observed.properties
        if not told["Running"]:
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)  # stopped, it takes no final snapshot
        elif told["DeletionProtection"]:
            aws.rds.modify_db_instance(
                DBInstanceIdentifier=observed.id, DeletionProtection=False, ApplyImmediately=True
            )
        elif _holds_nothing(observed):
            aws.rds.delete_db_instance(
                DBInstanceIdentifier=observed.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
            )
        elif observed.state is State.FAILED:  # AWS takes no snapshot of a dead instance; its backups stay
            aws.rds.delete_db_instance(
                DBInstanceIdentifier=observed.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=False
            )
        else:
            aws.rds.delete_db_instance(
                DBInstanceIdentifier=observed.id,
                SkipFinalSnapshot=False,
                FinalDBSnapshotIdentifier=final_snapshot(observed),
                DeleteAutomatedBackups=False,
            )

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        if _holds_nothing(observed):
            return ""
        told = observed.properties
        major = told["EngineVersion"].partition(".")[0]
        size = f"{told['AllocatedStorage']} GB"
        return f"a PostgreSQL {major} database of {size} (a final snapshot and its backups would stay)"

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        snapshots = every(aws.rds.describe_db_snapshots, "DBSnapshots", SnapshotType="manual")
        taken = [raw for raw in snapshots if from_pairs(raw.get("TagList")).get(ENVIRONMENT) == owner.environment]
        command = "aws rds delete-db-snapshot --db-snapshot-identifier NAME"
        yield Leftover("snapshot", command, tuple(raw["DBSnapshotIdentifier"] for raw in taken))
        backups = every(aws.rds.describe_db_instance_automated_backups, "DBInstanceAutomatedBackups")
        retained = [raw for raw in backups if raw.get("Status") == "retained" and sought_backup(raw, owner)]
        names = [raw["DbiResourceId"] for raw in retained if "DbiResourceId" in raw]  # the emulator may not tell it
        command = "aws rds delete-db-instance-automated-backup --dbi-resource-id NAME"
        yield Leftover("backups of a deleted database", command, tuple(names))

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        call = aws.rds.describe_events
        events = every(call, "Events", SourceIdentifier=observed.id, SourceType="db-instance", Duration=120)
        return next((event["Message"] for event in reversed(list(events)) if TROUBLE.search(event["Message"])), "")

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        if key == "AllocatedStorage" and desired < observed:
            return Effect.LOSES
        if key == "EngineVersion" and _numbers(desired) < _numbers(observed):
            return Effect.LOSES
        if key == "BackupRetentionPeriod" and 0 in (observed, desired):
            return Effect.INTERRUPTS if desired else Effect.LOSES  # AWS drops the backups with the setting
        return super().effect(key, observed, desired)

    def _most_storage(self) -> float:
        """To how much the storage may have come without a change of ours: AWS grows it by a tenth at least."""
        return float("inf") if self.max_storage_gb else -(-self.storage_gb * 11 // 10)


def _is_gone(name: str, tags: Tags) -> OrderopsError:
    return OrderopsError(
        f"the database is gone, and {name} is left of it: a new one would be empty, so none is made",
        f"make it the database: orderops restore promote {name} --env {tags.get(ENVIRONMENT)}",
    )


def _holds_nothing(observed: Observed) -> bool:
    """Whether it is a copy that somebody made to look at, or said of that no snapshot is wanted."""
    tags = observed.tags or {}
    return tags.get(ROLE) in DISPOSABLE or tags.get(SNAPSHOT) == NO_SNAPSHOT


def final_snapshot(observed: Observed) -> str:
    """The one name of an instance's final snapshot, different for an instance made again under its name."""
    return f"{observed.id}-final-{observed.properties['DbiResourceId'].removeprefix('db-')[:10].lower()}"


def modification(observed: Observed, changed: Properties) -> dict[str, Any]:
    """What ModifyDBInstance is given; it has other words than CreateDBInstance for some settings."""
    told = observed.properties
    given = {**changed, "ApplyImmediately": True}
    if "Port" in given:
        given["DBPortNumber"] = given.pop("Port")
    if "MaxAllocatedStorage" in given and given["MaxAllocatedStorage"] is None:  # no room to grow turns it off
        given["MaxAllocatedStorage"] = changed.get("AllocatedStorage", told["AllocatedStorageNow"])
    if "EngineVersion" in given:
        given["AllowMajorVersionUpgrade"] = _numbers(given["EngineVersion"])[0] > _numbers(told["EngineVersion"])[0]
    if "EnableCloudwatchLogsExports" in given:
        wanted, there = set(given.pop("EnableCloudwatchLogsExports")), set(told["EnableCloudwatchLogsExports"])
        given["CloudwatchLogsExportConfiguration"] = {
            "EnableLogTypes": sorted(wanted - there),
            "DisableLogTypes": sorted(there - wanted),
        }
    return given


def _is_or_follows(there: str, asked: str) -> bool:
    """Whether `there` is of the major version asked, and no minor version before it."""
    return _numbers(there)[0] == _numbers(asked)[0] and _numbers(there) >= _numbers(asked)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
