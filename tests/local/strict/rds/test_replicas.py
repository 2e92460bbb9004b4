"""Read replicas: what they need of their source, what they inherit, and what promotion and deletion do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.emulated_databases import SMALL, available, backend, describe, proceed, settled, subnet_group
from support.strict_clients import Client, Refused


def replica_of(client: Client, source: str, name: str = "copy", **settings: Any) -> dict[str, Any]:
    """Create a replica and let it catch up."""
    client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source, **settings
    )
    return settled(client, name)


def test_a_replica_needs_a_source_with_backups_and_an_unmanaged_password(
    moto: Client, strict: Client, refused: Refused
) -> None:
    managed = {key: value for key, value in SMALL.items() if key != "MasterUserPassword"}
    available(strict, "bare", BackupRetentionPeriod=0)
    strict("rds").create_db_instance(DBInstanceIdentifier="managed", **managed, ManageMasterUserPassword=True)
    settled(strict, "managed")
    strict("rds").create_db_instance(DBInstanceIdentifier="young", **SMALL)

    for name in ("bare", "managed", "young"):
        with refused("InvalidDBInstanceState"):
            strict("rds").create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier=name)
    with refused("DBInstanceNotFound"):
        strict("rds").create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="none")
    moto("rds").create_db_instance_read_replica(DBInstanceIdentifier="plain", SourceDBInstanceIdentifier="bare")


def test_a_replica_is_available_before_it_replicates(moto: Client, strict: Client) -> None:
    source = available(strict, "source")
    moto("rds").create_db_instance_read_replica(DBInstanceIdentifier="plain", SourceDBInstanceIdentifier="source")
    assert "StatusInfos" not in describe(moto, "plain")
    moto("rds").delete_db_instance(DBInstanceIdentifier="plain", SkipFinalSnapshot=True)

    strict("rds").create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="source")
    assert describe(strict, "copy")["DBInstanceStatus"] == "creating"
    first = proceed(strict, "copy")
    assert first["DBInstanceStatus"] == "available"
    assert not first.get("StatusInfos")
    # A change in between does not keep it from catching up.
    strict("rds").modify_db_instance(DBInstanceIdentifier="copy", DeletionProtection=True)
    copy = settled(strict, "copy")

    assert copy["StatusInfos"] == [{"StatusType": "read replication", "Normal": True, "Status": "replicating"}]
    assert copy["DbiResourceId"] != source["DbiResourceId"]
    assert copy["ReadReplicaSourceDBInstanceIdentifier"] == "source"
    assert describe(strict, "source")["ReadReplicaDBInstanceIdentifiers"] == ["copy"]
    assert copy["BackupRetentionPeriod"] == 0
    assert not strict("rds").describe_db_snapshots(DBInstanceIdentifier="copy")["DBSnapshots"]


def test_a_replica_inherits_only_what_it_cannot_choose(moto: Client, strict: Client) -> None:
    vpc = subnet_group(strict, "own")
    group = strict("ec2").create_security_group(VpcId=vpc, GroupName="own", Description="of a test")["GroupId"]
    settings: dict[str, Any] = {
        "CopyTagsToSnapshot": True,
        "DBName": "orders",
        "DBSubnetGroupName": "own",
        "DeletionProtection": True,
        "EnableCloudwatchLogsExports": ["postgresql"],
        "EnableIAMDatabaseAuthentication": True,
        "EnablePerformanceInsights": True,
        "MultiAZ": True,
        "PreferredMaintenanceWindow": "sun:17:00-sun:17:30",
        "StorageEncrypted": True,
        "Tags": [{"Key": "team", "Value": "orders"}],
        "VpcSecurityGroupIds": [group],
    }
    source = available(strict, "source", **settings)
    moto("rds").create_db_instance_read_replica(DBInstanceIdentifier="plain", SourceDBInstanceIdentifier="source")
    assert describe(moto, "plain")["DeletionProtection"]
    assert describe(moto, "plain")["BackupRetentionPeriod"] == 7

    copy = replica_of(strict, "source")

    same = (
        "AllocatedStorage",
        "DBInstanceClass",
        "DBName",
        "DBSubnetGroup",
        "EngineVersion",
        "MasterUsername",
        "PreferredMaintenanceWindow",
        "StorageEncrypted",
    )
    assert {key: copy[key] for key in same} == {key: source[key] for key in same}
    off = (
        "CopyTagsToSnapshot",
        "DeletionProtection",
        "IAMDatabaseAuthenticationEnabled",
        "MultiAZ",
        "PerformanceInsightsEnabled",
        "PubliclyAccessible",
    )
    assert not any(copy[key] for key in off)
    assert not copy.get("EnabledCloudwatchLogsExports")
    assert not copy["TagList"]
    assert [found["VpcSecurityGroupId"] for found in copy["VpcSecurityGroups"]] != [group]


def test_settings_given_to_a_replica_are_its_own(strict: Client) -> None:
    available(strict, "source")

    copy = replica_of(
        strict,
        "source",
        AvailabilityZone="ap-southeast-2c",
        DBInstanceClass="db.t3.small",
        EnableCloudwatchLogsExports=["postgresql"],
        EnableIAMDatabaseAuthentication=True,
        EnablePerformanceInsights=True,
        MaxAllocatedStorage=40,
        Port=6000,
        Tags=[{"Key": "team", "Value": "orders"}],
    )

    assert copy["AvailabilityZone"] == "ap-southeast-2c"
    assert copy["DBInstanceClass"] == "db.t3.small"
    assert copy["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert copy["IAMDatabaseAuthenticationEnabled"]
    assert copy["PerformanceInsightsEnabled"]
    assert copy["MaxAllocatedStorage"] == 40
    assert copy["Endpoint"]["Port"] == 6000
    assert copy["TagList"] == [{"Key": "team", "Value": "orders"}]
    groups = strict("logs").describe_log_groups(logGroupNamePrefix="/aws/rds/instance/copy/")["logGroups"]
    assert len(groups) == 1


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a parameter group": ("InvalidParameterCombination", {"DBParameterGroupName": "default.postgres16"}),
    "an unknown class": ("InvalidParameterValue", {"DBInstanceClass": "db.t3.mikro"}),
    "less storage than the source": ("InvalidParameterValue", {"AllocatedStorage": 20}),
    "an unknown security group": ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-00000000000000000"]}),
    "advanced insights alone": ("InvalidParameterCombination", {"DatabaseInsightsMode": "advanced"}),
    "a name in use": ("DBInstanceAlreadyExists", {"DBInstanceIdentifier": "source"}),
}


@pytest.mark.parametrize(("code", "settings"), REFUSED.values(), ids=REFUSED)
def test_a_setting_that_a_replica_cannot_have_is_refused(
    strict: Client, refused: Refused, code: str, settings: dict[str, Any]
) -> None:
    available(strict, "source", AllocatedStorage=40)

    with refused(code):
        strict("rds").create_db_instance_read_replica(
            **{"DBInstanceIdentifier": "copy", "SourceDBInstanceIdentifier": "source", **settings}
        )


def test_a_source_has_at_most_fifteen_replicas(strict: Client, refused: Refused) -> None:
    available(strict, "source")
    for number in range(15):
        replica_of(strict, "source", f"copy-{number}")

    with refused("InvalidDBInstanceState"):
        replica_of(strict, "source", "one-more")


def test_a_promoted_replica_is_an_instance_of_its_own(moto: Client, strict: Client) -> None:
    available(strict, "source")
    before = replica_of(strict, "source")
    replica_of(strict, "source", "other")

    strict("rds").promote_read_replica(DBInstanceIdentifier="copy", PreferredBackupWindow="01:00-01:30")
    states = [describe(strict, "copy")["DBInstanceStatus"]]
    assert describe(strict, "copy")["ReadReplicaSourceDBInstanceIdentifier"] == "source"
    while backend().databases["copy"].stages:
        states.append(proceed(strict, "copy")["DBInstanceStatus"])
    copy = describe(strict, "copy")

    assert list(dict.fromkeys(states)) == ["modifying", "rebooting", "backing-up", "available"]
    assert not copy.get("ReadReplicaSourceDBInstanceIdentifier")
    assert not copy.get("StatusInfos")
    assert describe(strict, "source")["ReadReplicaDBInstanceIdentifiers"] == ["other"]
    assert copy["BackupRetentionPeriod"] == 1
    assert copy["PreferredBackupWindow"] == "01:00-01:30"
    assert (copy["Endpoint"], copy["DbiResourceId"]) == (before["Endpoint"], before["DbiResourceId"])
    moto("rds").promote_read_replica(DBInstanceIdentifier="other")
    assert describe(moto, "source")["ReadReplicaDBInstanceIdentifiers"] == ["other"]


def test_the_retention_given_to_a_promotion_is_kept(strict: Client) -> None:
    available(strict, "source")
    replica_of(strict, "source")

    strict("rds").promote_read_replica(DBInstanceIdentifier="copy", BackupRetentionPeriod=14)
    assert describe(strict, "copy")["BackupRetentionPeriod"] == 0

    assert settled(strict, "copy")["BackupRetentionPeriod"] == 14


def test_only_an_available_replica_is_promoted(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "source")
    moto("rds").promote_read_replica(DBInstanceIdentifier="source")
    strict("rds").create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="source")

    for name, code in (
        ("source", "InvalidDBInstanceState"),
        ("copy", "InvalidDBInstanceState"),
        ("none", "DBInstanceNotFound"),
    ):
        with refused(code):
            strict("rds").promote_read_replica(DBInstanceIdentifier=name)


def test_deleting_a_source_promotes_its_replicas_without_backups(moto: Client, strict: Client) -> None:
    available(strict, "source")
    replica_of(strict, "source")

    strict("rds").delete_db_instance(DBInstanceIdentifier="source", SkipFinalSnapshot=True)
    proceed_all("source")
    copy = settled(strict, "copy")

    assert not copy.get("ReadReplicaSourceDBInstanceIdentifier")
    assert copy["BackupRetentionPeriod"] == 0
    strict("rds").delete_db_instance(
        DBInstanceIdentifier="copy", SkipFinalSnapshot=False, FinalDBSnapshotIdentifier="last"
    )


def test_a_replica_is_deleted_without_a_final_snapshot_only(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "source")
    replica_of(strict, "source")
    replica_of(strict, "source", "plain")
    moto("rds").delete_db_instance(DBInstanceIdentifier="plain", FinalDBSnapshotIdentifier="of-a-replica")

    for asked in ({"FinalDBSnapshotIdentifier": "last"}, {}):
        with refused("InvalidParameterCombination"):
            strict("rds").delete_db_instance(DBInstanceIdentifier="copy", **asked)
    strict("rds").delete_db_instance(DBInstanceIdentifier="copy", SkipFinalSnapshot=True)
    proceed_all("copy")

    assert [found["DBInstanceIdentifier"] for found in strict("rds").describe_db_instances()["DBInstances"]] == [
        "source"
    ]
    assert describe(strict, "source")["ReadReplicaDBInstanceIdentifiers"] == []


def test_neither_source_nor_replica_is_stopped(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "source")
    replica_of(strict, "source")

    for name in ("source", "copy"):
        with refused("InvalidDBInstanceState"):
            strict("rds").stop_db_instance(DBInstanceIdentifier=name)
    moto("rds").stop_db_instance(DBInstanceIdentifier="source")


def test_a_source_keeps_its_backups_and_a_replica_has_no_password_of_its_own(
    moto: Client, strict: Client, refused: Refused
) -> None:
    available(strict, "source")
    replica_of(strict, "source")

    for name, change in (
        ("source", {"BackupRetentionPeriod": 0}),
        ("copy", {"MasterUserPassword": "chosen-by-hand"}),
        ("copy", {"ManageMasterUserPassword": True}),
    ):
        with refused("InvalidParameterCombination"):
            strict("rds").modify_db_instance(DBInstanceIdentifier=name, **change)
        moto("rds").modify_db_instance(DBInstanceIdentifier=name, **change)


def test_a_new_major_version_of_the_source_takes_its_replicas_along(strict: Client) -> None:
    available(strict, "source")
    replica_of(strict, "source")
    strict("rds").create_db_parameter_group(
        DBParameterGroupName="own", DBParameterGroupFamily="postgres17", Description="of a test"
    )

    strict("rds").modify_db_instance(
        DBInstanceIdentifier="source",
        EngineVersion="17.2",
        DBParameterGroupName="own",
        AllowMajorVersionUpgrade=True,
        ApplyImmediately=True,
    )
    settled(strict, "source")

    copy = describe(strict, "copy")
    assert copy["EngineVersion"] == "17.2"
    assert [group["DBParameterGroupName"] for group in copy["DBParameterGroups"]] == ["own"]


def test_a_renamed_source_or_replica_is_still_the_others_one(strict: Client) -> None:
    available(strict, "source")
    replica_of(strict, "source")

    for name in ("source", "copy"):
        strict("rds").modify_db_instance(
            DBInstanceIdentifier=name, NewDBInstanceIdentifier=f"{name}-new", ApplyImmediately=True
        )
        settled(strict, f"{name}-new")

    assert describe(strict, "copy-new")["ReadReplicaSourceDBInstanceIdentifier"] == "source-new"
    assert describe(strict, "source-new")["ReadReplicaDBInstanceIdentifiers"] == ["copy-new"]


def proceed_all(name: str) -> None:
    """Make all further states of an instance due, which may end in its absence."""
    instance = backend().databases[name]
    instance.stages = [(time.time(), status) for _, status in instance.stages]
