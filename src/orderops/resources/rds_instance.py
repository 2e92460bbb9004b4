"""RDS instance for PostgreSQL. RDS manages the master user's password, or a secret of ours holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, ROLE, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Leftover, Observed, Outputs, Properties, Resource, State
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.logs_service_group import LogsServiceGroup
from orderops.resources.rds_deployment import green_of, held_by_green, switched_over
from orderops.resources.rds_description import (
    DISPOSABLE,
    FORMER,
    IDENTIFIER,
    KIND,
    LIFECYCLE,
    RESTORED,
    instances,
    is_read_replica,
    is_restored_name,
    observed_of,
    sought_backup,
    tags_of,
)
from orderops.resources.rds_master import KEYS, MANAGED, SECRET, new_password, services_would_fail, set_own_password
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.rds_versions import MANY, UPGRADES, is_or_follows, numbers, upgrades_of, version_refusal
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.text.lists import joined

SNAPSHOT, NO_SNAPSHOT = "orderops:final-snapshot", "none"
"""The tag of an instance that the operator allows to be deleted without a final snapshot."""
ADVANCED = "advanced"
# "Considerations for Database Insights" in the RDS user guide: at least 15 months of Performance Insights.
ADVANCED_DAYS, STANDARD_DAYS = 465, 7
# Made at once, with or without ApplyImmediately: "Settings for DB instances" in the RDS user guide.
AT_ONCE = frozenset(
    {
        "AutoMinorVersionUpgrade",
        "CopyTagsToSnapshot",
        "DBParameterGroupName",
        "DeletionProtection",
        "EnableCloudwatchLogsExports",
        "EnablePerformanceInsights",
        MANAGED,
        "MaxAllocatedStorage",
        "MonitoringInterval",
        "MonitoringRoleArn",
        "PerformanceInsightsRetentionPeriod",
        "Port",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        "PubliclyAccessible",
        "VpcSecurityGroupIds",
    }
)
TROUBLE = re.compile(r"insufficient|unable|fail|cannot|could not", re.IGNORECASE)


class RdsInstance(Resource):
    """Encrypted, not reachable from the internet, and deleted only with a final snapshot.

    Automatic storage growth and minor upgrades are no drift. Storage is in gigabytes, windows are in UTC.
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
    database_insights: str = "standard"
    log_exports: tuple[str, ...] = ("postgresql",)
    log_groups: tuple[LogsServiceGroup, ...] = ()
    port: int = 5432
    database: str = "orders"
    username: str = "orderops"
    master: SecretsmanagerLogin | None = None
    backup_window: str = "16:00-16:30"
    maintenance_window: str = "sun:17:00-sun:17:30"

    kind: ClassVar[str] = KIND
    name_rule: ClassVar[NameRule | None] = IDENTIFIER
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "DBInstanceNotFound",
            "DBInstanceAlreadyExists",
            "InvalidDBInstanceState",
            "DBSubnetGroupNotFoundFault",
            "DBParameterGroupNotFound",
            "InvalidParameterCombination: No modifications were requested",
            # RDS does not know a new service-linked role for tens of seconds (crossplane-contrib/provider-aws#479).
            "InvalidParameterValue: permission to create service linked role",
            # The emulator names the first automated snapshot by the minute, so one of an earlier instance may exist.
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
        """Return None. Raises OrderopsError if only restored instances are left: a new database would be empty."""
        found = {raw["DBInstanceIdentifier"]: raw for raw in every(aws.rds.describe_db_instances, "DBInstances")}
        if raw := found.get(self.name):
            # A switchover has just given it the name.
            return observed_of(raw, tags_of(raw))
        if green := green_of(self.name, found):
            raise switched_over(self.name, green)
        for name, raw in found.items():
            tags = tags_of(raw)
            left = tags.get(ROLE) in (RESTORED, FORMER) or is_read_replica(raw, tags)
            if name.startswith(f"{self.name}-") and left:
                raise _is_gone(name, tags)
        return None

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from instances(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if (observed.tags or {}).get(ROLE) == FORMER:
            raise _is_gone(observed.id, observed.tags or {})
        properties = dict(observed.properties)
        if is_or_follows(properties["EngineVersion"], self.engine_version):
            properties["EngineVersion"] = self.engine_version
        elif numbers(self.engine_version) > numbers(properties["EngineVersion"]):
            properties[UPGRADES] = upgrades_of(aws, properties["EngineVersionNow"])
        if self.storage_gb <= properties["AllocatedStorage"] <= self._most_storage():
            properties["AllocatedStorage"] = self.storage_gb
        if properties["Port"] is None:
            # There is no endpoint until the instance is created.
            properties["Port"] = self.port
        # AWS always returns these, the emulator never does.
        known = {"EnablePerformanceInsights": self.performance_insights, "DatabaseInsightsMode": self.database_insights}
        properties |= {key: value for key, value in known.items() if properties[key] is None}
        if (properties["PerformanceInsightsRetentionPeriod"] or 0) >= ADVANCED_DAYS:
            properties |= self.insights_retention()
        return replace(observed, properties=properties)

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
            MANAGED: self.master is None,
            **({SECRET: outputs[self.master].arn} if self.master else {}),
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
            "DatabaseInsightsMode": self.database_insights,
            **self.insights_retention(),
            "EnableCloudwatchLogsExports": sorted(self.log_exports),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: value for key, value in desired.items() if value is not None and key not in ("Running", SECRET)}
        if self.master:
            # Forgotten at once: the tag that is missing then has `update` set one that the secret knows.
            given["MasterUserPassword"] = new_password()
        aws.rds.create_db_instance(DBInstanceIdentifier=self.name, **given, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Running" in changed:
            # A stopped instance accepts no other change.
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)
            return
        if self.master and SECRET in changed:
            set_own_password(aws, observed, self.username, changed[SECRET])
            changed = {key: value for key, value in changed.items() if key not in KEYS}
        if changed:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **modification(observed, changed))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        properties = observed.properties
        if replicas := properties["ReadReplicaDBInstanceIdentifiers"]:
            raise _has_replicas(observed, replicas)
        if not properties["Running"]:
            # AWS takes no final snapshot of a stopped instance.
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)
        # Without ApplyImmediately, which would carry out what waits for the maintenance window; RDS makes both at once.
        elif properties["DeletionProtection"]:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, DeletionProtection=False)
        elif _leaves_snapshot(observed) and not properties["CopyTagsToSnapshot"]:
            # Without its tags, nothing would tell later whose the final snapshot is.
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, CopyTagsToSnapshot=True)
        elif _goes_without_snapshot(observed):
            aws.rds.delete_db_instance(
                DBInstanceIdentifier=observed.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
            )
        elif not _leaves_snapshot(observed):
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
        if _is_disposable(observed):
            return ""
        properties = observed.properties
        major = properties["EngineVersion"].partition(".")[0]
        size = f"{properties['AllocatedStorage']} GB"
        # `restore discard --no-snapshot` was confirmed for it by name, and interrupted.
        stays = "nothing" if _goes_without_snapshot(observed) else "a final snapshot and its backups"
        return f"a PostgreSQL {major} database of {size} ({stays} would stay)"

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        snapshots = every(aws.rds.describe_db_snapshots, "DBSnapshots", SnapshotType="manual")
        taken = [raw for raw in snapshots if from_pairs(raw.get("TagList")).get(ENVIRONMENT) == owner.environment]
        command = "aws rds delete-db-snapshot --db-snapshot-identifier NAME"
        yield Leftover("snapshot", command, tuple(raw["DBSnapshotIdentifier"] for raw in taken))
        backups = every(aws.rds.describe_db_instance_automated_backups, "DBInstanceAutomatedBackups")
        retained = [raw for raw in backups if raw.get("Status") == "retained" and sought_backup(raw, owner)]
        # The emulator may leave it out.
        names = [raw["DbiResourceId"] for raw in retained if "DbiResourceId" in raw]
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
        if key == "EngineVersion" and numbers(desired) < numbers(observed):
            return Effect.REPLACES
        if key == "BackupRetentionPeriod" and 0 in (observed, desired):
            # AWS deletes the backups with the setting.
            return Effect.INTERRUPTS if desired else Effect.LOSES
        return super().effect(key, observed, desired)

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return all(made_at_once(key, *pair) for key, pair in changes.items())

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        if green := observed.properties["Green"]:
            return held_by_green(observed.id, green)
        if key == "EngineVersion":
            return version_refusal(observed, desired, environment)
        if key == MANAGED:
            return services_would_fail(observed, environment)
        return None

    def insights_retention(self) -> dict[str, int]:
        """The days that the advanced mode needs; in the standard mode, those that an operator has set stay."""
        return {"PerformanceInsightsRetentionPeriod": ADVANCED_DAYS} if self.database_insights == ADVANCED else {}

    def _most_storage(self) -> float:
        """The size up to which AWS may have grown the storage by itself; it grows by at least a tenth."""
        return float("inf") if self.max_storage_gb else -(-self.storage_gb * 11 // 10)


def take_tokens(aws: Aws, instance: Observed) -> None:
    """Turn on the IAM authentication of an instance, which needs no restart. The instance has to be available."""
    aws.rds.modify_db_instance(
        # Without this, the change waits for the maintenance window.
        DBInstanceIdentifier=instance.id,
        EnableIAMDatabaseAuthentication=True,
        ApplyImmediately=True,
    )


def _is_gone(name: str, tags: Tags) -> OrderopsError:
    return OrderopsError(
        f"the database is gone, and {name} is left of it: a new one would be empty, so none is made",
        f"make it the database: orderops restore promote {name} --env {tags.get(ENVIRONMENT)}",
    )


def _has_replicas(observed: Observed, replicas: Sequence[str]) -> OrderopsError:
    return OrderopsError(
        f"{observed.id} has read replicas, which RDS would promote and go on charging: {joined(replicas, MANY)}",
        "delete them first, such as with: aws rds delete-db-instance --skip-final-snapshot "
        f"--db-instance-identifier {replicas[0]}",
    )


def _is_disposable(observed: Observed) -> bool:
    """Whether orderops made it to be thrown away. Its tags alone do not tell: they can have been copied."""
    role = (observed.tags or {}).get(ROLE, "")
    return role in DISPOSABLE and is_restored_name(observed.id, role)


def _goes_without_snapshot(observed: Observed) -> bool:
    return _is_disposable(observed) or (observed.tags or {}).get(SNAPSHOT) == NO_SNAPSHOT


def _leaves_snapshot(observed: Observed) -> bool:
    # AWS takes no snapshot of a failed instance; its automated backups are kept.
    return not _goes_without_snapshot(observed) and observed.state is not State.FAILED


def final_snapshot(observed: Observed) -> str:
    """The name of the final snapshot; different for an instance that was created again under the same name."""
    return f"{observed.id}-final-{observed.properties['DbiResourceId'].removeprefix('db-')[:10].lower()}"


def made_at_once(key: str, observed: Any, desired: Any) -> bool:
    """Whether RDS makes this change at once, even without ApplyImmediately."""
    # Only turning backups on or off waits for the maintenance window.
    if key == "BackupRetentionPeriod":
        return bool(observed and desired)
    return key in AT_ONCE


def modification(observed: Observed, changed: Properties) -> dict[str, Any]:
    """The parameters of ModifyDBInstance, which names some settings unlike CreateDBInstance."""
    properties = observed.properties
    at_once = all(made_at_once(key, properties.get(key), value) for key, value in changed.items())
    # ApplyImmediately carries out what waits for the maintenance window, so it is left out where it changes nothing.
    given = {**changed, "ApplyImmediately": not at_once}
    if "Port" in given:
        given["DBPortNumber"] = given.pop("Port")
    # A maximum equal to the size turns growth off.
    if "MaxAllocatedStorage" in given and given["MaxAllocatedStorage"] is None:
        given["MaxAllocatedStorage"] = changed.get("AllocatedStorage", properties["AllocatedStorageNow"])
    if "EngineVersion" in given:
        given["AllowMajorVersionUpgrade"] = numbers(given["EngineVersion"])[0] > numbers(properties["EngineVersion"])[0]
    if given.get("DatabaseInsightsMode") == ADVANCED:
        # RDS wants both in the same call, even where they are so already (hashicorp/terraform-provider-aws#41952).
        kept = max(properties["PerformanceInsightsRetentionPeriod"] or 0, ADVANCED_DAYS)
        given |= {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": kept}
    elif "DatabaseInsightsMode" in given and properties["PerformanceInsightsRetentionPeriod"]:
        # Days beyond these are charged in the standard mode.
        given.setdefault("PerformanceInsightsRetentionPeriod", STANDARD_DAYS)
    if "EnableCloudwatchLogsExports" in given:
        wanted, enabled = set(given.pop("EnableCloudwatchLogsExports")), set(properties["EnableCloudwatchLogsExports"])
        given["CloudwatchLogsExportConfiguration"] = {
            "EnableLogTypes": sorted(wanted - enabled),
            "DisableLogTypes": sorted(enabled - wanted),
        }
    return given
