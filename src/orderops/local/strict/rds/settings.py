"""The settings of an instance in a request, by moto's names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from orderops.local.emulator.protocol import Request
from orderops.local.rds.parameters import is_true

TEXT = {
    "AvailabilityZone": "availability_zone",
    "CACertificateIdentifier": "ca_certificate_identifier",
    "DBInstanceClass": "db_instance_class",
    "DBParameterGroupName": "db_parameter_group_name",
    "DBSubnetGroupName": "db_subnet_group_name",
    "MonitoringRoleArn": "monitoring_role_arn",
    "PreferredBackupWindow": "preferred_backup_window",
    "StorageType": "storage_type",
}
NUMERIC = {
    "AllocatedStorage": "allocated_storage",
    "BackupRetentionPeriod": "backup_retention_period",
    "Iops": "iops",
    "MaxAllocatedStorage": "max_allocated_storage",
    "MonitoringInterval": "monitoring_interval",
    "Port": "port",
    "StorageThroughput": "storage_throughput",
}
BOOLEAN = {
    "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
    "CopyTagsToSnapshot": "copy_tags_to_snapshot",
    "DeletionProtection": "deletion_protection",
    "EnableIAMDatabaseAuthentication": "enable_iam_database_authentication",
    "MultiAZ": "multi_az",
    "PubliclyAccessible": "publicly_accessible",
}


def settings_in(request: Request, without: Collection[str]) -> dict[str, Any]:
    """The settings that a request gives, but for those that its action does not take."""
    given = {key: value for key, value in request.form.items() if key not in without}
    return {
        **{name: given[key] for key, name in TEXT.items() if key in given},
        **{name: int(given[key]) for key, name in NUMERIC.items() if key in given},
        **{name: is_true(request, key) for key, name in BOOLEAN.items() if key in given},
    }
