"""Changes of an instance with a server read back, and a changed password opens the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory
from support.laptop import Laptop, until
from support.laptop_restores import password, remove

BACKUP_LAG = "ORDEROPS_LOCAL_BACKUP_LAG"

CHANGES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "protection": ({"DeletionProtection": True}, "DeletionProtection", True),
    "backups": ({"BackupRetentionPeriod": 5}, "BackupRetentionPeriod", 5),
    "log_exports": (
        {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["upgrade"]}},
        "EnabledCloudwatchLogsExports",
        ["upgrade"],
    ),
    "insights": ({"EnablePerformanceInsights": True}, "PerformanceInsightsEnabled", True),
    "maintenance": (
        {"PreferredMaintenanceWindow": "sun:17:00-sun:17:30"},
        "PreferredMaintenanceWindow",
        "sun:17:00-sun:17:30",
    ),
    "authentication": ({"EnableIAMDatabaseAuthentication": True}, "IAMDatabaseAuthenticationEnabled", True),
    "tags_of_snapshots": ({"CopyTagsToSnapshot": True}, "CopyTagsToSnapshot", True),
    "class": ({"DBInstanceClass": "db.t3.small"}, "DBInstanceClass", "db.t3.small"),
}


@pytest.fixture(scope="module")
def name(laptop: Laptop) -> Iterator[str]:
    database: str = laptop.create_database(ManageMasterUserPassword=False, MasterUserPassword="as-it-was-made")[
        "DBInstanceIdentifier"
    ]
    yield database
    changed(laptop, database, DeletionProtection=False)
    remove(laptop, database)


def changed(laptop: Laptop, name: str, **settings: Any) -> dict[str, Any]:
    laptop.client("rds").modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **settings)
    return laptop.wait_for_database(name, "available")


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_setting_reads_back(laptop: Laptop, name: str, what: str) -> None:
    settings, key, value = CHANGES[what]

    assert changed(laptop, name, **settings)[key] == value


def test_a_protected_instance_is_not_deleted(laptop: Laptop, name: str) -> None:
    changed(laptop, name, DeletionProtection=True)

    with pytest.raises(ClientError, match="protected DB Instance"):
        laptop.client("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_groups_are_replaced_and_static_parameters_wait_for_a_reboot(laptop: Laptop, name: str) -> None:
    ec2, rds, group_name = laptop.client("ec2"), laptop.client("rds"), laptop.name("mine")
    vpc = next(vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"])
    group = ec2.create_security_group(GroupName=group_name, Description="mine", VpcId=vpc)["GroupId"]
    rds.create_db_parameter_group(
        DBParameterGroupName=group_name, DBParameterGroupFamily="postgres18", Description="of this test"
    )

    instance = changed(laptop, name, VpcSecurityGroupIds=[group], DBParameterGroupName=group_name)
    assert [member["VpcSecurityGroupId"] for member in instance["VpcSecurityGroups"]] == [group]
    assert instance["DBParameterGroups"] == [
        {"DBParameterGroupName": group_name, "ParameterApplyStatus": "pending-reboot"}
    ]
    rds.reboot_db_instance(DBInstanceIdentifier=name)

    instance = laptop.wait_for_database(name, "available")
    assert instance["DBParameterGroups"] == [{"DBParameterGroupName": group_name, "ParameterApplyStatus": "in-sync"}]


def test_a_managed_password_replaces_a_given_one_and_is_created_once(laptop: Laptop, name: str) -> None:
    instance = changed(laptop, name, ManageMasterUserPassword=True)
    where = {"host": "127.0.0.1", "port": instance["Endpoint"]["Port"], "dbname": "orders", "user": "orders_admin"}

    psycopg.connect(**where, password=password(laptop, instance)).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**where, password="as-it-was-made")
    repeated = changed(laptop, name, ManageMasterUserPassword=True)
    assert repeated["MasterUserSecret"]["SecretArn"] == instance["MasterUserSecret"]["SecretArn"]

    assert "MasterUserSecret" not in changed(
        laptop, name, ManageMasterUserPassword=False, MasterUserPassword="given-again"
    )
    psycopg.connect(**where, password="given-again").close()


def test_tags_are_set_and_removed(laptop: Laptop, name: str) -> None:
    arn = laptop.database(name)["DBInstanceArn"]
    laptop.client("rds").add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "orderops:role", "Value": "primary"}])
    assert laptop.database(name)["TagList"] == [{"Key": "orderops:role", "Value": "primary"}]

    laptop.client("rds").remove_tags_from_resource(ResourceName=arn, TagKeys=["orderops:role"])

    assert laptop.database(name)["TagList"] == []


def test_the_restore_window_of_a_stopped_instance_does_not_move(laptop: Laptop, name: str) -> None:
    until(lambda: "LatestRestorableTime" in laptop.database(name), what="a restore window")
    laptop.client("rds").stop_db_instance(DBInstanceIdentifier=name)
    stopped = laptop.wait_for_database(name, "stopped")["LatestRestorableTime"]

    assert laptop.database(name)["LatestRestorableTime"] == stopped
    laptop.client("rds").start_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")
    until(lambda: laptop.database(name)["LatestRestorableTime"] > stopped, what="the window moves again")


def test_the_backup_lag_is_given_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DataDirectory(tmp_path).backup_lag == timedelta()
    monkeypatch.setenv(BACKUP_LAG, "300")
    assert DataDirectory(tmp_path).backup_lag == timedelta(minutes=5)
    monkeypatch.setenv(BACKUP_LAG, "5m")

    with pytest.raises(OrderopsError, match="ORDEROPS_LOCAL_BACKUP_LAG=5m is not a number of whole seconds"):
        _ = DataDirectory(tmp_path).backup_lag
