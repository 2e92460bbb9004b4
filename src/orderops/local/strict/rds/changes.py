"""RDS: what ModifyDBInstance refuses, what it does at once, and what waits for the maintenance window."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, given, leave_out, told_true
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.instances import NAMED, Instances
from orderops.local.strict.rds.rules import (
    MANAGED,
    PASSWORD,
    POSTGRES,
    is_offered,
    refuse_class,
    refuse_groups,
    refuse_parameter_group,
    refuse_password,
    refuse_room,
    refuse_size,
    whole_version,
)
from orderops.local.strict.rds.states import AVAILABLE, OPTIMIZING, apply_pending, become, current, is_real, pending_of

MODIFIABLE = (AVAILABLE, OPTIMIZING, "storage-full", "stopped")
# In the words of the call, and in those of PendingModifiedValues.
WAITING = {
    "AllocatedStorage": "AllocatedStorage",
    "CACertificateIdentifier": "CACertificateIdentifier",
    "DBInstanceClass": "DBInstanceClass",
    "DBPortNumber": "Port",
    "DBSubnetGroupName": "DBSubnetGroupName",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EngineVersion": "EngineVersion",
    "Iops": "Iops",
    "MultiAZ": "MultiAZ",
    "NewDBInstanceIdentifier": "DBInstanceIdentifier",
    "StorageThroughput": "StorageThroughput",
    "StorageType": "StorageType",
}
NUMBERS = frozenset({"AllocatedStorage", "DBPortNumber", "Iops", "StorageThroughput", "BackupRetentionPeriod"})
TRUTHS = frozenset({"MultiAZ", "EnableIAMDatabaseAuthentication"})
AT_ONCE = frozenset({"Port"})
"""Applied at once, though nobody asked for it: AWS reboots for another port."""
PASSING = {
    "BackupRetentionPeriod": "modifying",
    "CloudwatchLogsExportConfiguration": "configuring-log-exports",
    "DBParameterGroupName": "modifying",
    "EnablePerformanceInsights": "modifying",
    "ManageMasterUserPassword": "resetting-master-credentials",
    "MasterUserPassword": "resetting-master-credentials",
    "MonitoringInterval": "configuring-enhanced-monitoring",
    "RotateMasterUserPassword": "resetting-master-credentials",
    "VpcSecurityGroupIds": "modifying",
}


class Changes:
    """The changes of instances, at a pace."""

    def __init__(self, emulator: Emulator, pace: Delays, instances: Instances) -> None:
        self._pace = pace
        self._instances = instances
        emulator.on_before("rds", "ModifyDBInstance", self._accept)
        emulator.on_after("rds", "ModifyDBInstance", self._begin)

    def _accept(self, call: Request) -> None:
        """Refuse what AWS refuses, and keep from moto what does not happen now."""
        instance = backend_of(call).databases.get(call.form.get(NAMED, ""))
        if instance is None or instance.db_cluster_identifier:
            return
        if instance.status not in MODIFIABLE:
            raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")
        _refuse(call, instance)
        call.environ["orderops.changes"] = _changes(call, instance)
        call.environ["orderops.parameter_group"] = instance.db_parameter_group_name
        leave_out(call, [*WAITING, *(["BackupRetentionPeriod"] if _turns_backups(call, instance) else [])])
        call.environ["orderops.passing"] = [state for name, state in PASSING.items() if given(call, name)]

    def _begin(self, call: Request, answer: Response) -> Response | None:
        if "orderops.changes" not in call.environ:
            return None
        backend = backend_of(call)
        instance = backend.databases[call.form[NAMED]]
        pending = pending_of(instance)
        for key, value in call.environ["orderops.changes"].items():
            if value == current(instance, key):
                pending.pop(key, None)
            else:
                pending[key] = value
        if given(call, "EnablePerformanceInsights"):
            instance.performance_insights_enabled = told_true(call, "EnablePerformanceInsights")
        if instance.db_parameter_group_name != call.environ["orderops.parameter_group"]:
            instance.parameter_apply_status = "applying"
        now = told_true(call, "ApplyImmediately")
        before, passing = instance.__dict__.get("applying", []), call.environ["orderops.passing"]
        instance.applying = [key for key in pending if now or key in AT_ONCE or key in before]
        if (set(instance.applying) - set(before) or passing) and instance.status != "stopped":
            self._set_out(backend, instance, passing)
        return self._instances.one(call, instance)

    def _set_out(self, backend: Any, instance: Any, passing: list[str]) -> None:
        """Begin what is done now."""
        wait = self._pace.database
        grows = pending_of(instance).get("AllocatedStorage", 0) > instance.allocated_storage
        renamed = "DBInstanceIdentifier" in instance.applying  # the old name is gone at once
        if is_real(instance) or renamed:
            apply_pending(backend, instance)
        if is_real(instance):
            instance.settle("rebooting" if renamed else "modifying")
        elif renamed:
            become(instance, "renaming", (wait / 2, "rebooting"), (wait, AVAILABLE))
        elif passing:
            become(instance, passing[0], (wait, AVAILABLE))
        elif grows and "AllocatedStorage" in instance.applying:
            become(instance, AVAILABLE, (wait / 4, "modifying"), (wait, OPTIMIZING), (2 * wait, AVAILABLE))
        else:  # AWS calls it available for a while after it took the change
            become(instance, AVAILABLE, (wait / 4, "modifying"), (wait, AVAILABLE))


def _changes(call: Request, instance: Any) -> dict[str, Any]:
    """What the call changes and may wait, in the words of PendingModifiedValues."""
    names = [name for name in WAITING if given(call, name)]
    if _turns_backups(call, instance):
        names.append("BackupRetentionPeriod")
    changes = {WAITING.get(name, name): _value(call, name) for name in names}
    if changes.get("AllocatedStorage", 0) > instance.allocated_storage:  # AWS grows by a tenth at least
        changes["AllocatedStorage"] = max(changes["AllocatedStorage"], -(-instance.allocated_storage * 11 // 10))
    if "EngineVersion" in changes and instance.engine == POSTGRES:
        changes["EngineVersion"] = whole_version(changes["EngineVersion"])
    if "DBInstanceIdentifier" in changes:
        changes["DBInstanceIdentifier"] = changes["DBInstanceIdentifier"].lower()
    return changes


def _value(call: Request, name: str) -> Any:
    if name in TRUTHS:
        return told_true(call, name)
    return int(call.form[name]) if name in NUMBERS else call.form[name]


def _turns_backups(call: Request, instance: Any) -> bool:
    """Backups are turned on or off, which interrupts; another number of days does not."""
    asked = call.form.get("BackupRetentionPeriod")
    return asked is not None and (int(asked) == 0) != (instance.backup_retention_period == 0)


def _refuse(call: Request, instance: Any) -> None:
    _refuse_name(call, instance)
    refuse_class(call)
    _refuse_version(call, instance)
    _refuse_storage(call, instance)
    _refuse_credentials(call, instance)
    there = getattr(instance, "db_subnet_group", None)
    refuse_groups(call, instance.engine, _version(call, instance), there.name if there else None)


def _refuse_name(call: Request, instance: Any) -> None:
    name = call.form.get("NewDBInstanceIdentifier", "").lower()
    if name and name != instance.db_instance_identifier and name in backend_of(call).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")


def _version(call: Request, instance: Any) -> str:
    asked = call.form.get("EngineVersion")
    return whole_version(asked) if asked and instance.engine == POSTGRES else str(instance.engine_version)


def _refuse_version(call: Request, instance: Any) -> None:
    asked = call.form.get("EngineVersion")
    if not asked or instance.engine != POSTGRES:
        return
    there = str(instance.engine_version)
    if not is_offered(asked):
        raise ApiError("InvalidParameterCombination", f"Cannot find version {asked} for {POSTGRES}")
    wanted = whole_version(asked)
    if _numbers(wanted) < _numbers(there):
        raise ApiError("InvalidParameterCombination", f"Cannot upgrade {POSTGRES} from {there} to {asked}")
    if _numbers(wanted)[0] > _numbers(there)[0]:
        if not told_true(call, "AllowMajorVersionUpgrade"):
            raise ApiError(
                "InvalidParameterCombination",
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.",
            )
        if not given(call, "DBParameterGroupName") and not (instance.db_parameter_group_name or "default.").startswith(
            "default."
        ):
            refuse_parameter_group(backend_of(call), instance.db_parameter_group_name, POSTGRES, wanted)


def _refuse_storage(call: Request, instance: Any) -> None:
    if given(call, "StorageType") or given(call, "AllocatedStorage"):
        asked = int(call.form.get("AllocatedStorage", instance.allocated_storage))
        refuse_size(instance.engine, call.form.get("StorageType", instance.storage_type), asked)
        if asked < instance.allocated_storage:
            raise ApiError(
                "InvalidParameterCombination",
                f"Requested size ({asked}) cannot be less than the current size ({instance.allocated_storage}).",
            )
        if instance.status == OPTIMIZING and asked != instance.allocated_storage:
            raise ApiError(
                "InvalidParameterCombination",
                "You can't currently modify the storage of this DB instance because the previous storage change "
                "is being optimized.",
            )
    refuse_room(call, int(call.form.get("AllocatedStorage", instance.allocated_storage)))


def _refuse_credentials(call: Request, instance: Any) -> None:
    refuse_password(call)
    managed = told_true(call, MANAGED) or (instance.manage_master_user_password and not given(call, MANAGED))
    if managed and given(call, PASSWORD):
        raise ApiError(
            "InvalidParameterCombination", f"You can't specify {PASSWORD} for an instance with {MANAGED} enabled."
        )
    if given(call, MANAGED) and not told_true(call, MANAGED) and not given(call, PASSWORD):
        raise ApiError("InvalidParameterCombination", f"{PASSWORD} must be provided when {MANAGED} is set to false.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number.isdecimal())
