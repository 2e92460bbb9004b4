"""What RDS holds back: changes for the maintenance window, and parameters that wait for a reboot."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from orderops.engine.resource import Effect, PendingChange

# Names in PendingModifiedValues that differ from those of CreateDBInstance.
KEYS = {
    "IAMDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "PendingCloudwatchLogsExports": "EnableCloudwatchLogsExports",
}
# "Settings for DB instances" in the RDS user guide names no downtime for these. Whatever else RDS may hold back counts
# as an interruption.
HARMLESS = frozenset(
    {
        "AllocatedStorage",
        "BackupRetentionPeriod",
        "IAMDatabaseAuthenticationEnabled",
        "Iops",
        "MasterUserPassword",
        "PendingCloudwatchLogsExports",
        "StorageThroughput",
        "StorageType",
    }
)
OPTIONS = {
    "AllocatedStorage": "--allocated-storage",
    "BackupRetentionPeriod": "--backup-retention-period",
    "CACertificateIdentifier": "--ca-certificate-identifier",
    "DBInstanceClass": "--db-instance-class",
    "DBInstanceIdentifier": "--new-db-instance-identifier",
    "DBSubnetGroupName": "--db-subnet-group-name",
    "DedicatedLogVolume": "--dedicated-log-volume",
    "EngineVersion": "--engine-version",
    "IAMDatabaseAuthenticationEnabled": "--enable-iam-database-authentication",
    "Iops": "--iops",
    "LicenseModel": "--license-model",
    "MultiAZ": "--multi-az",
    "StorageThroughput": "--storage-throughput",
    "StorageType": "--storage-type",
}
"""Options of `aws rds modify-db-instance`. A value that is sent again with --apply-immediately is carried out."""
PENDING_REBOOT = "pending-reboot"


def pending_changes(raw: Mapping[str, Any]) -> tuple[PendingChange, ...]:
    """What RDS holds back of an instance, from its description."""
    # While RDS works on the instance, it may be carrying out just these.
    if raw["DBInstanceStatus"] not in ("available", "stopped"):
        return ()
    return (*_for_the_window(raw), *_for_a_reboot(raw))


def _for_the_window(raw: Mapping[str, Any]) -> Iterator[PendingChange]:
    pending = raw.get("PendingModifiedValues", {})
    window = f"the maintenance window {raw.get('PreferredMaintenanceWindow', '')}".rstrip()
    for name, value in sorted(pending.items()):
        yield PendingChange(
            KEYS.get(name, name),
            _described(name, _current(raw, name), value),
            _effect(name, _current(raw, name), value),
            window,
            _command(raw, name, value),
        )


def _for_a_reboot(raw: Mapping[str, Any]) -> Iterator[PendingChange]:
    for group in raw.get("DBParameterGroups", ()):
        if group.get("ParameterApplyStatus") == PENDING_REBOOT:
            yield PendingChange(
                "ParameterApplyStatus",
                f"parameter group {group['DBParameterGroupName']}",
                Effect.INTERRUPTS,
                "a reboot",
                f"aws rds reboot-db-instance {_target(raw)}",
                # RDS reboots for a change only if that change needs it.
                sent_along=False,
            )


def _current(raw: Mapping[str, Any], name: str) -> Any:
    if name == "DBSubnetGroupName":
        return raw.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
    if name == "Port":
        return raw.get("Endpoint", {}).get("Port")
    return raw.get(name)


def _described(name: str, current: Any, value: Any) -> str:
    key = KEYS.get(name, name)
    if name == "PendingCloudwatchLogsExports":
        on, off = value.get("LogTypesToEnable", ()), value.get("LogTypesToDisable", ())
        return " ".join([key, *(f"+{log}" for log in on), *(f"-{log}" for log in off)])
    # A password is masked by RDS, and structures say little on one line.
    if name == "MasterUserPassword" or not isinstance(value, (str, int)):
        return key
    return f"{key} {_shown(current)} -> {_shown(value)}"


def _shown(value: Any) -> str:
    return "(none)" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _effect(name: str, current: Any, value: Any) -> Effect:
    if name == "BackupRetentionPeriod" and not (current and value):
        # RDS deletes the backups when they are turned off, and is interrupted when they are turned on.
        return Effect.INTERRUPTS if value else Effect.LOSES
    return Effect.SAFE if name in HARMLESS else Effect.INTERRUPTS


def _command(raw: Mapping[str, Any], name: str, value: Any) -> str:
    option = OPTIONS.get(name)
    if option is None:
        return f"aws rds describe-db-instances {_target(raw)} --query 'DBInstances[].PendingModifiedValues'"
    if isinstance(value, bool):
        sent = option if value else f"--no-{option.removeprefix('--')}"
    else:
        sent = f"{option} {shlex.quote(str(value))}"
    if name == "EngineVersion" and _major(value) != _major(raw.get(name, "")):
        sent += " --allow-major-version-upgrade"
    return f"aws rds modify-db-instance {_target(raw)} {sent} --apply-immediately"


def _major(version: str) -> str:
    return version.partition(".")[0]


def _target(raw: Mapping[str, Any]) -> str:
    region = raw["DBInstanceArn"].split(":")[3]
    return f"--db-instance-identifier {shlex.quote(raw['DBInstanceIdentifier'])} --region {region}"
