"""RDS instance created by a point-in-time restore, with every setting of its source.

AWS carries over few settings of the source. Those that the restore accepts are sent with it, the others are modified
afterwards. The instance is ready when all settings equal those of the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace
from orderops.resources.logs_service_group import LogsServiceGroup
from orderops.resources.rds_description import IDENTIFIER, KIND, instances
from orderops.resources.rds_instance import RdsInstance, made_at_once, modification

IN_SYNC = "in-sync"
PARAMETERS = "ParameterApplyStatus"
GIVEN = (
    "AutoMinorVersionUpgrade",
    "BackupRetentionPeriod",
    "CACertificateIdentifier",
    "CopyTagsToSnapshot",
    "DBInstanceClass",
    "DBParameterGroupName",
    "DBSubnetGroupName",
    "DedicatedLogVolume",
    "DeletionProtection",
    "EnableCloudwatchLogsExports",
    "EnableIAMDatabaseAuthentication",
    "EngineLifecycleSupport",
    "Iops",
    "MaxAllocatedStorage",
    "MultiAZ",
    "NetworkType",
    "OptionGroupName",
    "Port",
    "PreferredBackupWindow",
    "PubliclyAccessible",
    "StorageThroughput",
    "StorageType",
    "VpcSecurityGroupIds",
)
"""Settings that RestoreDBInstanceToPointInTime accepts."""
LATER = (
    "DatabaseInsightsMode",
    "EnablePerformanceInsights",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PreferredMaintenanceWindow",
)
"""Settings that only ModifyDBInstance accepts."""
SAME = ("AllocatedStorage", "DBName", "Engine", "EngineVersion", "MasterUsername", "StorageEncrypted")
"""Settings that AWS carries over."""
CARRIED = tuple(sorted((*GIVEN, *LATER, *SAME)))
"""All settings in which a restored instance equals its source."""
PERFORMANCE = ("Iops", "StorageThroughput")
STRIPED = 400
"""Gigabytes from which gp3 storage is striped and its performance can be set (RDS user guide, storage)."""
ALONE: Mapping[str, Any] = {
    "BackupRetentionPeriod": 0,
    "DatabaseInsightsMode": "standard",
    "DedicatedLogVolume": False,
    "DeletionProtection": False,
    # Else RDS would make log groups, which stay after the instance.
    "EnableCloudwatchLogsExports": [],
    "EnablePerformanceInsights": False,
    "MaxAllocatedStorage": None,
    "MonitoringInterval": 0,
    "MonitoringRoleArn": None,
    "MultiAZ": False,
    "PerformanceInsightsKMSKeyId": None,
    "PerformanceInsightsRetentionPeriod": None,
}
"""Settings of a temporary instance: no protection, low cost."""


class RdsRestoredInstance(Resource):
    """`source` as it was at `moment`, or at the latest restorable time. Has its own master password."""

    source: Observed
    moment: datetime | None = None
    disposable: bool = False
    log_groups: tuple[LogsServiceGroup, ...] = ()

    kind: ClassVar[str] = KIND
    name_rule: ClassVar[NameRule | None] = IDENTIFIER
    retryable_errors: ClassVar[frozenset[str]] = RdsInstance.retryable_errors
    timeout: ClassVar[timedelta] = timedelta(hours=24)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=20)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from instances(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        return replace(observed, properties=self._known(observed))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        RdsInstance.retag(aws, observed, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {**self._wanted(), PARAMETERS: IN_SYNC}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        when = {"RestoreTime": self.moment.astimezone(UTC)} if self.moment else {"UseLatestRestorableTime": True}
        aws.rds.restore_db_instance_to_point_in_time(
            SourceDbiResourceId=self.source.properties["DbiResourceId"],
            TargetDBInstanceIdentifier=self.name,
            **when,
            **_given(desired),
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if set(changed) == {PARAMETERS}:
            aws.rds.reboot_db_instance(DBInstanceIdentifier=observed.id)
        elif "Running" in changed:
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)
        else:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **modification(observed, _to_set(changed)))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        RdsInstance.delete(aws, observed)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.holds(aws, observed)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.rollback_reason(aws, observed)

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return all(made_at_once(key, *pair) for key, pair in changes.items())

    def unlike(self, copy: Observed) -> dict[str, tuple[Any, Any]]:
        """Settings that differ from the wanted ones: wanted and observed value."""
        wanted, known = self._wanted(), self._known(copy)
        return {key: (wanted[key], known[key]) for key in CARRIED if known[key] != wanted[key]}

    def _known(self, observed: Observed) -> dict[str, Any]:
        """The observed settings; those that AWS does not return yet count as wanted."""
        wanted = self._wanted()
        properties = dict(observed.properties)
        if properties["Port"] is None:
            # There is no endpoint until the instance is created.
            properties["Port"] = wanted["Port"]
        if properties["EnablePerformanceInsights"] is None:
            # AWS always returns this and the next, the emulator never does.
            properties["EnablePerformanceInsights"] = wanted["EnablePerformanceInsights"]
        if properties["DatabaseInsightsMode"] is None:
            properties["DatabaseInsightsMode"] = wanted["DatabaseInsightsMode"]
        if any(properties[key] != wanted[key] for key in wanted):
            # Reboot once, after the last change.
            properties[PARAMETERS] = IN_SYNC
        return properties

    def _wanted(self) -> dict[str, Any]:
        properties = self.source.properties
        carried = {key: properties.get(key) for key in CARRIED}
        if carried["EnablePerformanceInsights"] is None:
            carried["EnablePerformanceInsights"] = False
        return {**carried, **(ALONE if self.disposable else {}), "ManageMasterUserPassword": True, "Running": True}


def differences(source: Observed, copy: Observed) -> dict[str, tuple[Any, Any]]:
    """Settings that differ from the source: the source's value and the observed one."""
    pairs = {key: (source.properties.get(key), copy.properties.get(key)) for key in CARRIED}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _given(desired: Properties) -> dict[str, Any]:
    """The parameters of the restore."""
    # Below 400 GB, gp3 has a fixed performance, and AWS refuses these parameters.
    striped = desired["AllocatedStorage"] >= STRIPED or str(desired["StorageType"]).startswith("io")
    left_out = () if striped else PERFORMANCE
    return {key: desired[key] for key in GIVEN if desired[key] not in (None, []) and key not in left_out}


def _to_set(changed: Properties) -> dict[str, Any]:
    """The parameters of ModifyDBInstance. A setting that is left out is not turned off."""
    off = {"MonitoringInterval": 0, "MaxAllocatedStorage": None}
    return {key: value for key, value in changed.items() if key != PARAMETERS and (value is not None or key in off)}
