"""RDS: changes that ModifyDBInstance rejects, applies at once, or defers to the maintenance window."""

from __future__ import annotations

from typing import Any

from moto.rds.models import DBParameterGroup

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, has_parameter, is_true, remove_parameters
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.insights import check_insights, store_insights
from orderops.local.strict.rds.instances import IDENTIFIER, Instances
from orderops.local.strict.rds.offerings import check_combination, check_zone
from orderops.local.strict.rds.rules import (
    MANAGED,
    PASSWORD,
    POSTGRES,
    check_class,
    check_groups,
    check_growth_limit,
    check_parameter_group,
    check_password,
    check_size,
    full_version,
    is_offered,
)
from orderops.local.strict.rds.states import (
    AVAILABLE,
    OPTIMIZING,
    apply_pending,
    current,
    has_server,
    pending_of,
    transition,
)
from orderops.local.strict.rds.versions import check_upgrade

# States in which AWS accepts ModifyDBInstance.
MODIFIABLE = (AVAILABLE, OPTIMIZING, "storage-full", "stopped")
# Names in ModifyDBInstance, and in PendingModifiedValues.
PENDING_NAMES = {
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
NUMERIC = frozenset({"AllocatedStorage", "DBPortNumber", "Iops", "StorageThroughput", "BackupRetentionPeriod"})
BOOLEAN = frozenset({"MultiAZ", "EnableIAMDatabaseAuthentication"})
# Applied without ApplyImmediately: AWS reboots the instance for a new port.
IMMEDIATE = frozenset({"Port"})
# State that DescribeDBInstances shows while the parameter is applied.
TRANSITION_STATES = {
    "BackupRetentionPeriod": "modifying",
    "CloudwatchLogsExportConfiguration": "configuring-log-exports",
    "DBParameterGroupName": "modifying",
    "DatabaseInsightsMode": "modifying",
    "EnablePerformanceInsights": "modifying",
    "ManageMasterUserPassword": "resetting-master-credentials",
    "MasterUserPassword": "resetting-master-credentials",
    "MonitoringInterval": "configuring-enhanced-monitoring",
    "RotateMasterUserPassword": "resetting-master-credentials",
    "VpcSecurityGroupIds": "modifying",
}


class Changes:
    """Changes of instances, with delays."""

    def __init__(self, emulator: Emulator, delays: Delays, instances: Instances) -> None:
        self._delays = delays
        self._instances = instances
        emulator.on_before("rds", "ModifyDBInstance", self._check_and_defer)
        emulator.on_after("rds", "ModifyDBInstance", self._record)

    def _check_and_defer(self, request: Request) -> None:
        """Reject what AWS rejects, and hide deferred changes from moto."""
        instance = backend_of(request).databases.get(request.form.get(IDENTIFIER, ""))
        if instance is None or instance.db_cluster_identifier:
            return
        if instance.status not in MODIFIABLE:
            raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")
        _check_change(request, instance)
        _make_default_group(request)
        if instance.manage_master_user_password and is_true(request, MANAGED):
            # It is managed already, and moto would create a second secret.
            remove_parameters(request, [MANAGED])
        request.environ["orderops.changes"] = _changes(request, instance)
        request.environ["orderops.parameter_group"] = instance.db_parameter_group_name
        remove_parameters(
            request, [*PENDING_NAMES, *(["BackupRetentionPeriod"] if _switches_backups(request, instance) else [])]
        )
        request.environ["orderops.passing"] = [
            state for name, state in TRANSITION_STATES.items() if has_parameter(request, name)
        ]

    def _record(self, request: Request, response: Response) -> Response | None:
        if "orderops.changes" not in request.environ:
            return None
        backend = backend_of(request)
        instance = backend.databases[request.form[IDENTIFIER]]
        pending = pending_of(instance)
        for key, value in request.environ["orderops.changes"].items():
            if value == current(instance, key):
                pending.pop(key, None)
            else:
                pending[key] = value
        store_insights(request, instance)
        if instance.db_parameter_group_name != request.environ["orderops.parameter_group"]:
            instance.parameter_apply_status = "applying"
        immediately = is_true(request, "ApplyImmediately")
        already_applying, states = instance.__dict__.get("applying", []), request.environ["orderops.passing"]
        instance.applying = [key for key in pending if immediately or key in IMMEDIATE or key in already_applying]
        if (set(instance.applying) - set(already_applying) or states) and instance.status != "stopped":
            self._apply(backend, instance, states)
        return self._instances.response(request, instance)

    def _apply(self, backend: Any, instance: Any, states: list[str]) -> None:
        """Start the changes that apply now."""
        delay = self._delays.database
        growing = pending_of(instance).get("AllocatedStorage", 0) > instance.allocated_storage
        # The old name disappears at once.
        renamed = "DBInstanceIdentifier" in instance.applying
        if has_server(instance) or renamed:
            apply_pending(backend, instance)
        if has_server(instance):
            instance.set_status("rebooting" if renamed else "modifying")
        elif renamed:
            transition(instance, "renaming", (delay / 2, "rebooting"), (delay, AVAILABLE))
        elif states:
            transition(instance, states[0], (delay, AVAILABLE))
        elif growing and "AllocatedStorage" in instance.applying:
            transition(instance, AVAILABLE, (delay / 4, "modifying"), (delay, OPTIMIZING), (2 * delay, AVAILABLE))
        else:
            # AWS reports `available` for a while after it has accepted the change.
            transition(instance, AVAILABLE, (delay / 4, "modifying"), (delay, AVAILABLE))


def _changes(request: Request, instance: Any) -> dict[str, Any]:
    """Return the changes that may be deferred, named as in PendingModifiedValues."""
    names = [name for name in PENDING_NAMES if has_parameter(request, name)]
    if _switches_backups(request, instance):
        names.append("BackupRetentionPeriod")
    changes = {PENDING_NAMES.get(name, name): _value(request, name) for name in names}
    if changes.get("AllocatedStorage", 0) > instance.allocated_storage:
        # AWS grows by 10 % at least.
        changes["AllocatedStorage"] = max(changes["AllocatedStorage"], -(-instance.allocated_storage * 11 // 10))
    if "EngineVersion" in changes and instance.engine == POSTGRES:
        changes["EngineVersion"] = full_version(changes["EngineVersion"])
    if "DBInstanceIdentifier" in changes:
        changes["DBInstanceIdentifier"] = changes["DBInstanceIdentifier"].lower()
    return changes


def _value(request: Request, name: str) -> Any:
    if name in BOOLEAN:
        return is_true(request, name)
    return int(request.form[name]) if name in NUMERIC else request.form[name]


def _switches_backups(request: Request, instance: Any) -> bool:
    """Tell whether backups are switched on or off, which interrupts; another number of days does not."""
    days = request.form.get("BackupRetentionPeriod")
    return days is not None and (int(days) == 0) != (instance.backup_retention_period == 0)


def _check_change(request: Request, instance: Any) -> None:
    _check_name(request, instance)
    check_class(request)
    _check_version(request, instance)
    _check_offered(request, instance)
    _check_storage(request, instance)
    _check_credentials(request, instance)
    check_insights(request, instance)
    current_group = getattr(instance, "db_subnet_group", None)
    check_groups(request, instance.engine, _version(request, instance), current_group.name if current_group else None)


def _make_default_group(request: Request) -> None:
    """Make the default group of a family that no instance had before: RDS has it, and moto then refuses its name."""
    groups, name = backend_of(request).db_parameter_groups, request.form.get("DBParameterGroupName", "")
    if name.startswith("default.") and name not in groups:
        family = name.removeprefix("default.")
        description = f"Default parameter group for {family}"
        groups[name] = DBParameterGroup(backend_of(request), name, description, family, [])


def _check_name(request: Request, instance: Any) -> None:
    name = request.form.get("NewDBInstanceIdentifier", "").lower()
    if name and name != instance.db_instance_identifier and name in backend_of(request).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")


def _version(request: Request, instance: Any) -> str:
    version = request.form.get("EngineVersion")
    return full_version(version) if version and instance.engine == POSTGRES else str(instance.engine_version)


def _check_version(request: Request, instance: Any) -> None:
    version = request.form.get("EngineVersion")
    if not version or instance.engine != POSTGRES:
        return
    existing = str(instance.engine_version)
    if not is_offered(version):
        raise ApiError("InvalidParameterCombination", f"Cannot find version {version} for {POSTGRES}")
    wanted = full_version(version)
    check_upgrade(existing, version, wanted)
    if _numbers(wanted)[0] > _numbers(existing)[0]:
        if not is_true(request, "AllowMajorVersionUpgrade"):
            raise ApiError(
                "InvalidParameterCombination",
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.",
            )
        if not has_parameter(request, "DBParameterGroupName") and not (
            instance.db_parameter_group_name or "default."
        ).startswith("default."):
            check_parameter_group(backend_of(request), instance.db_parameter_group_name, POSTGRES, wanted)


def _check_offered(request: Request, instance: Any) -> None:
    instance_class = request.form.get("DBInstanceClass")
    if instance_class and instance_class != instance.db_instance_class and instance.engine == POSTGRES:
        # The class has to be offered for the running version, also where both change together.
        check_combination(instance_class, str(instance.engine_version))
        check_zone(instance_class, instance.availability_zone)


def _check_storage(request: Request, instance: Any) -> None:
    if has_parameter(request, "StorageType") or has_parameter(request, "AllocatedStorage"):
        size = int(request.form.get("AllocatedStorage", instance.allocated_storage))
        check_size(instance.engine, request.form.get("StorageType", instance.storage_type), size)
        if size < instance.allocated_storage:
            raise ApiError(
                "InvalidParameterCombination",
                f"Requested size ({size}) cannot be less than the current size ({instance.allocated_storage}).",
            )
        if instance.status == OPTIMIZING and size != instance.allocated_storage:
            raise ApiError(
                "InvalidParameterCombination",
                "You can't currently modify the storage of this DB instance because the previous storage change "
                "is being optimized.",
            )
    check_growth_limit(request, int(request.form.get("AllocatedStorage", instance.allocated_storage)))


def _check_credentials(request: Request, instance: Any) -> None:
    check_password(request)
    managed = is_true(request, MANAGED) or (
        instance.manage_master_user_password and not has_parameter(request, MANAGED)
    )
    if managed and has_parameter(request, PASSWORD):
        raise ApiError(
            "InvalidParameterCombination", f"You can't specify {PASSWORD} for an instance with {MANAGED} enabled."
        )
    if has_parameter(request, MANAGED) and not is_true(request, MANAGED) and not has_parameter(request, PASSWORD):
        raise ApiError("InvalidParameterCombination", f"{PASSWORD} must be provided when {MANAGED} is set to false.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number.isdecimal())
