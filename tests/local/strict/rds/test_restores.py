from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.emulated_databases import SMALL, available, describe, gone, restorable, settled, subnet_group, taken
from support.laptop import until
from support.strict_clients import Client, Refused


def restore(client: Client, name: str = "copy", **settings: Any) -> dict[str, Any]:
    times = {"UseLatestRestorableTime": True} if "RestoreTime" not in settings else {}
    made: dict[str, Any] = client("rds").restore_db_instance_to_point_in_time(
        **{"SourceDBInstanceIdentifier": "source", "TargetDBInstanceIdentifier": name, **times, **settings}
    )["DBInstance"]
    return made


def test_the_latest_restorable_time_is_behind_the_clock(moto: Client, strict: Client) -> None:
    available(strict, "source")
    began = datetime.now(UTC)
    assert describe(moto, "source")["LatestRestorableTime"] >= began.replace(microsecond=0)

    latest = restorable(strict, "source")["LatestRestorableTime"]

    assert latest < datetime.now(UTC) - timedelta(seconds=0.1)
    until(lambda: describe(strict, "source")["LatestRestorableTime"] > latest, what="the time advances")


def test_automated_backups_have_a_restore_window(moto: Client, strict: Client) -> None:
    available(strict, "source")
    restorable(strict, "source")
    (plain,) = moto("rds").describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    assert "RestoreWindow" not in plain

    (found,) = strict("rds").describe_db_instance_automated_backups(DBInstanceIdentifier="source")[
        "DBInstanceAutomatedBackups"
    ]

    window = found["RestoreWindow"]
    assert window["EarliestTime"] <= window["LatestTime"] < datetime.now(UTC)
    assert found["DbiResourceId"] == describe(strict, "source")["DbiResourceId"]
    assert found["Status"] == "active"


def test_an_instance_without_backups_has_no_restore_window(strict: Client, refused: Refused) -> None:
    available(strict, "bare", BackupRetentionPeriod=0)

    assert strict("rds").describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"] == []
    with refused("DBInstanceAutomatedBackupNotFound"):
        strict("rds").describe_db_instance_automated_backups(DBInstanceIdentifier="bare")


TIMES: dict[str, tuple[str, dict[str, Any]]] = {
    "the future": ("InvalidParameterValue", {"RestoreTime": datetime(2099, 1, 1, tzinfo=UTC)}),
    "a time before the backups": ("InvalidParameterValue", {"RestoreTime": datetime(2020, 1, 1, tzinfo=UTC)}),
    "no restore time": ("InvalidParameterCombination", {"UseLatestRestorableTime": False}),
    "two restore times": (
        "InvalidParameterCombination",
        {"RestoreTime": datetime(2020, 1, 1, tzinfo=UTC), "UseLatestRestorableTime": True},
    ),
    "less storage": ("InvalidParameterValue", {"AllocatedStorage": 20}),
    "an unknown class": ("InvalidParameterValue", {"DBInstanceClass": "db.t3.mikro"}),
    "an unknown security group": ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
}


@pytest.mark.parametrize("case", TIMES)
def test_a_restore_is_refused_for(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, times = TIMES[case]
    available(strict, "source", AllocatedStorage=30)
    restorable(strict, "source")

    with refused(code):
        restore(strict, **times)
    if case != "less storage":  # moto also refuses less storage
        restore(moto, **times)


def test_a_source_without_backups_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "source", BackupRetentionPeriod=0)

    with refused("PointInTimeRestoreNotEnabled"):
        restore(strict)
    restore(moto)


def test_a_restore_needs_an_existing_source_and_a_new_target(strict: Client, refused: Refused) -> None:
    available(strict, "source")
    available(strict, "other")

    with refused("DBInstanceNotFound"):
        restore(strict, SourceDBInstanceIdentifier="absent")
    with refused("DBInstanceAlreadyExists"):
        restore(strict, "other")


KEPT_BY_MOTO: dict[str, Any] = {
    "MultiAZ": True,
    "DeletionProtection": True,
    "IAMDatabaseAuthenticationEnabled": True,
    "CopyTagsToSnapshot": True,
}


def source_with_everything(strict: Client) -> dict[str, Any]:
    rds = strict("rds")
    vpc = subnet_group(strict, "own")
    group = strict("ec2").create_security_group(GroupName="own", Description="own", VpcId=vpc)["GroupId"]
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="-")
    available(
        strict,
        "source",
        DBSubnetGroupName="own",
        DBParameterGroupName="own",
        VpcSecurityGroupIds=[group],
        MultiAZ=True,
        DeletionProtection=True,
        EnableIAMDatabaseAuthentication=True,
        CopyTagsToSnapshot=True,
        PubliclyAccessible=False,
        StorageEncrypted=True,
        DBName="orders",
        EnablePerformanceInsights=True,
        EnableCloudwatchLogsExports=["postgresql"],
        MaxAllocatedStorage=100,
        PreferredMaintenanceWindow="sun:17:00-sun:17:30",
        Tags=[{"Key": "team", "Value": "orders"}],
    )
    return restorable(strict, "source")


def test_a_restored_instance_has_defaults_for_missing_settings(moto: Client, strict: Client) -> None:
    source = source_with_everything(strict)
    plain = restore(moto, "plain")
    assert {key: plain[key] for key in KEPT_BY_MOTO} == KEPT_BY_MOTO
    assert plain["DbiResourceId"] == "db-M5ENSHXFPU6XHZ4G4ZEI5QIO2U"
    assert plain["DBInstanceStatus"] == "available"

    assert restore(strict)["DBInstanceStatus"] == "creating"
    copy = settled(strict, "copy")

    assert not any(copy[key] for key in KEPT_BY_MOTO)
    assert copy["DbiResourceId"] != source["DbiResourceId"]
    assert copy["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres16"
    assert copy["VpcSecurityGroups"] != source["VpcSecurityGroups"]
    assert "DBSubnetGroup" not in copy
    assert copy.get("EnabledCloudwatchLogsExports", []) == []
    assert "MaxAllocatedStorage" not in copy
    assert not copy["PerformanceInsightsEnabled"]
    assert copy["PreferredMaintenanceWindow"] != source["PreferredMaintenanceWindow"]
    assert "MasterUserSecret" not in copy
    for key in ("DBInstanceClass", "Engine", "EngineVersion", "DBName", "StorageEncrypted", "BackupRetentionPeriod"):
        assert copy[key] == source[key], key
    assert copy["TagList"] == source["TagList"]


def test_a_restored_instance_has_the_given_settings(strict: Client) -> None:
    source = source_with_everything(strict)
    groups = [group["VpcSecurityGroupId"] for group in source["VpcSecurityGroups"]]

    restore(
        strict,
        DBSubnetGroupName="own",
        DBParameterGroupName="own",
        VpcSecurityGroupIds=groups,
        MultiAZ=True,
        DeletionProtection=False,
        EnableIAMDatabaseAuthentication=True,
        CopyTagsToSnapshot=True,
        MaxAllocatedStorage=100,
        EnableCloudwatchLogsExports=["postgresql"],
        Tags=[{"Key": "only", "Value": "this"}],
    )
    copy = settled(strict, "copy")

    same = ("VpcSecurityGroups", "DBParameterGroups", "MultiAZ", "MaxAllocatedStorage", "EnabledCloudwatchLogsExports")
    assert {key: copy[key] for key in same} == {key: source[key] for key in same}
    assert copy["DBSubnetGroup"]["DBSubnetGroupName"] == "own"
    assert not copy["DeletionProtection"]
    assert copy["TagList"] == [{"Key": "only", "Value": "this"}]


def test_a_managed_password_is_not_restored(moto: Client, strict: Client) -> None:
    managed = {key: value for key, value in SMALL.items() if key != "MasterUserPassword"}
    strict("rds").create_db_instance(DBInstanceIdentifier="source", **managed, ManageMasterUserPassword=True)
    settled(strict, "source")
    restorable(strict, "source")

    assert "MasterUserSecret" not in restore(strict)
    assert "MasterUserSecret" in restore(moto, "plain")


def test_a_deleted_instance_is_restored_from_retained_backups(strict: Client, refused: Refused) -> None:
    rds = strict("rds")
    available(strict, "source")
    resource = restorable(strict, "source")["DbiResourceId"]
    rds.delete_db_instance(DBInstanceIdentifier="source", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    gone(strict, "source")

    (backups,) = rds.describe_db_instance_automated_backups(DbiResourceId=resource)["DBInstanceAutomatedBackups"]
    assert backups["Status"] == "retained"
    with refused("DBInstanceNotFound"):
        restore(strict)
    rds.restore_db_instance_to_point_in_time(
        SourceDbiResourceId=resource,
        TargetDBInstanceIdentifier="source",
        RestoreTime=backups["RestoreWindow"]["LatestTime"],
    )

    assert settled(strict, "source")["DbiResourceId"] != resource
    backups = rds.describe_db_instance_automated_backups(DbiResourceId=resource)["DBInstanceAutomatedBackups"]
    assert [group["Status"] for group in backups] == ["retained"]


def test_backups_are_deleted_with_the_instance_unless_retained(strict: Client) -> None:
    rds = strict("rds")
    available(strict, "source")
    rds.delete_db_instance(DBInstanceIdentifier="source", SkipFinalSnapshot=True)

    gone(strict, "source")

    assert rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"] == []


def test_an_instance_restored_from_a_snapshot_has_defaults(moto: Client, strict: Client) -> None:
    rds = strict("rds")
    source = source_with_everything(strict)
    rds.create_db_snapshot(DBInstanceIdentifier="source", DBSnapshotIdentifier="taken")
    taken(strict, "taken")
    plain = moto("rds").restore_db_instance_from_db_snapshot(DBInstanceIdentifier="plain", DBSnapshotIdentifier="taken")
    assert plain["DBInstance"]["MultiAZ"]

    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="copy", DBSnapshotIdentifier="taken")

    copy = settled(strict, "copy")
    assert not any(copy[key] for key in KEPT_BY_MOTO)
    assert copy["DBName"] == source["DBName"]
    assert copy["DbiResourceId"] != source["DbiResourceId"]
