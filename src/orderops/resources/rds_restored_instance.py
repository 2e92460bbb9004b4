"""RDS instance made by a restore: a copy of another one as it was at a moment, with every setting of its source.

AWS carries over little of what is set on the source. What a restore can be given is given; the rest is modified
afterwards, and the instance is ready when each setting is the source's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.rds_description import KIND, instances
from orderops.resources.rds_instance import RdsInstance, modification

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
"""What RestoreDBInstanceToPointInTime can be given."""
LATER = (
    "EnablePerformanceInsights",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PreferredMaintenanceWindow",
)
"""What only ModifyDBInstance can set."""
SAME = ("AllocatedStorage", "DBName", "Engine", "EngineVersion", "MasterUsername", "StorageEncrypted")
"""What comes along by itself."""
CARRIED = tuple(sorted((*GIVEN, *LATER, *SAME)))
"""Every setting that a restored instance has as its source has it."""
PERFORMANCE = ("Iops", "StorageThroughput")
STRIPED = 400
"""Gigabytes from which on gp3 of PostgreSQL is striped, and its performance can be set (RDS guide, storage)."""
ALONE: Mapping[str, Any] = {
    "BackupRetentionPeriod": 0,
    "DedicatedLogVolume": False,
    "DeletionProtection": False,
    "EnablePerformanceInsights": False,
    "MaxAllocatedStorage": None,
    "MonitoringInterval": 0,
    "MonitoringRoleArn": None,
    "MultiAZ": False,
    "PerformanceInsightsKMSKeyId": None,
    "PerformanceInsightsRetentionPeriod": None,
}
"""What a copy that is thrown away has instead: it protects nothing and costs little."""


@dataclass(frozen=True, eq=False)
class RdsRestoredInstance(Resource):
    """A copy of `source` as it was at `moment`, or as late as can be; with a master password of its own."""

    source: Observed
    moment: datetime | None = None
    disposable: bool = False

    kind: ClassVar[str] = KIND
    retryable_errors: ClassVar[frozenset[str]] = RdsInstance.retryable_errors
    timeout: ClassVar[timedelta] = timedelta(hours=24)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=20)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from instances(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        return replace(observed, properties=self._told(observed))

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

    def unlike(self, copy: Observed) -> dict[str, tuple[Any, Any]]:
        """The settings that a copy does not have as it should, each with what it should have and what it has."""
        wanted, told = self._wanted(), self._told(copy)
        return {key: (wanted[key], told[key]) for key in CARRIED if told[key] != wanted[key]}

    def _told(self, observed: Observed) -> dict[str, Any]:
        """What is told of a copy, and what is not told yet taken as right."""
        wanted = self._wanted()
        told = dict(observed.properties)
        if told["Port"] is None:
            told["Port"] = wanted["Port"]  # no endpoint until it is made
        if told["EnablePerformanceInsights"] is None:
            told["EnablePerformanceInsights"] = wanted["EnablePerformanceInsights"]  # the emulator never tells
        if any(told[key] != wanted[key] for key in wanted):
            told[PARAMETERS] = IN_SYNC  # one reboot, after the last change
        return told

    def _wanted(self) -> dict[str, Any]:
        told = self.source.properties
        carried = {key: told.get(key) for key in CARRIED}
        if carried["EnablePerformanceInsights"] is None:
            carried["EnablePerformanceInsights"] = False
        return {**carried, **(ALONE if self.disposable else {}), "ManageMasterUserPassword": True, "Running": True}


def differences(source: Observed, copy: Observed) -> dict[str, tuple[Any, Any]]:
    """The settings in which a copy is not as its source, each with the source's value and its own."""
    pairs = {key: (source.properties.get(key), copy.properties.get(key)) for key in CARRIED}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _given(desired: Properties) -> dict[str, Any]:
    """What the call is given. Performance of gp3 comes of itself below 400 GB, where AWS refuses to be told of it."""
    striped = desired["AllocatedStorage"] >= STRIPED or str(desired["StorageType"]).startswith("io")
    left_out = () if striped else PERFORMANCE
    return {key: desired[key] for key in GIVEN if desired[key] is not None and key not in left_out}


def _to_set(changed: Properties) -> dict[str, Any]:
    """What ModifyDBInstance takes: nothing is turned off by leaving it out."""
    off = {"MonitoringInterval": 0, "MaxAllocatedStorage": None}
    return {key: value for key, value in changed.items() if key != PARAMETERS and (value is not None or key in off)}
