"""Data: database, its replicas and groups, secrets without their values, queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.export.hcl import Json, blocks
from orderops.export.part import Found, Part, ignoring


def database(found: Found) -> Iterator[Part]:
    """The database. No password is written: RDS manages it, or it is in a secret."""
    properties = found.properties
    body = {
        **_instance(found),
        "engine": properties["Engine"],
        # The exact one: the major version alone would have RDS choose another minor version at once.
        "engine_version": properties["EngineVersionNow"],
        "engine_lifecycle_support": properties["EngineLifecycleSupport"],
        "db_name": properties["DBName"],
        "username": properties["MasterUsername"],
        "manage_master_user_password": properties["ManageMasterUserPassword"] or None,
        "storage_encrypted": properties["StorageEncrypted"],
        "db_subnet_group_name": found.references.named("rds-subnet-group", properties["DBSubnetGroupName"]),
        "backup_retention_period": properties["BackupRetentionPeriod"],
        "backup_window": properties["PreferredBackupWindow"],
        # Known to OpenTofu alone: what a removal of the database does.
        "skip_final_snapshot": False,
        "final_snapshot_identifier": f"{found.observed.id}-final",
    }
    yield Part("aws_db_instance", found.observed.id, body)


def replica(found: Found) -> Iterator[Part]:
    """A read replica."""
    properties = found.properties
    source = properties["SourceDBInstanceIdentifier"]
    body = {
        **_instance(found),
        "replicate_source_db": found.references.named("rds-instance", source, "identifier"),
        "skip_final_snapshot": True,
    }
    yield Part("aws_db_instance", found.observed.id, body)


def _instance(found: Found) -> dict[str, Any]:
    properties = found.properties
    return {
        "identifier": found.observed.id,
        "instance_class": properties["DBInstanceClass"],
        "multi_az": properties["MultiAZ"],
        "storage_type": properties["StorageType"],
        "allocated_storage": properties["AllocatedStorage"],
        "max_allocated_storage": properties["MaxAllocatedStorage"],
        "auto_minor_version_upgrade": properties["AutoMinorVersionUpgrade"],
        "iam_database_authentication_enabled": properties["EnableIAMDatabaseAuthentication"],
        "parameter_group_name": found.references.named("rds-parameter-group", properties["DBParameterGroupName"]),
        "vpc_security_group_ids": found.place(properties["VpcSecurityGroupIds"]),
        "publicly_accessible": properties["PubliclyAccessible"],
        "port": properties["Port"],
        "maintenance_window": properties["PreferredMaintenanceWindow"],
        "copy_tags_to_snapshot": properties["CopyTagsToSnapshot"],
        "deletion_protection": properties["DeletionProtection"],
        "performance_insights_enabled": properties["EnablePerformanceInsights"],
        "performance_insights_retention_period": properties["PerformanceInsightsRetentionPeriod"],
        "database_insights_mode": properties["DatabaseInsightsMode"],
        "enabled_cloudwatch_logs_exports": properties["EnableCloudwatchLogsExports"],
        "tags": found.tags,
    }


def subnet_group(found: Found) -> Iterator[Part]:
    """The subnets of the database."""
    body = {
        "name": found.name,
        "subnet_ids": found.place(found.properties["SubnetIds"]),
        "tags": found.tags,
        "lifecycle": ignoring("description"),
    }
    yield Part("aws_db_subnet_group", found.observed.id, body)


def parameter_group(found: Found) -> Iterator[Part]:
    """The parameters of the database. Another description would replace the group."""
    properties = found.properties
    # RDS takes this method for every parameter, and `immediate` only for some.
    parameters = [
        {"name": name, "value": value, "apply_method": "pending-reboot"}
        for name, value in sorted(properties["Parameters"].items())
    ]
    body = {
        "name": found.name,
        "family": properties["DBParameterGroupFamily"],
        "parameter": blocks(*parameters),
        "tags": found.tags,
        "lifecycle": ignoring("description"),
    }
    yield Part("aws_db_parameter_group", found.observed.id, body)


def secret(found: Found) -> Iterator[Part]:
    """A secret without its value."""
    body = {"name": found.name, "description": found.properties.get("Description"), "tags": found.tags}
    yield Part("aws_secretsmanager_secret", found.observed.arn, body)


def queue(found: Found) -> Iterator[Part]:
    """A queue."""
    properties = found.properties
    redrive = properties["RedrivePolicy"]
    body = {
        "name": found.name,
        "visibility_timeout_seconds": properties["VisibilityTimeout"],
        "message_retention_seconds": properties["MessageRetentionPeriod"],
        "redrive_policy": Json(found.place(redrive)) if redrive else None,
        "tags": found.tags,
        # AWS allows 1 MiB now, and version 5 of the provider would set its former limit again.
        "lifecycle": ignoring("max_message_size"),
    }
    yield Part("aws_sqs_queue", found.observed.id, body)
