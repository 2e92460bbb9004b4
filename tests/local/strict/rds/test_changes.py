from __future__ import annotations

from typing import Any

import pytest

from support.emulated_databases import SMALL, available, describe, proceed, settled
from support.strict_clients import Client, Refused


def test_a_change_waits_for_its_window_unless_applied_immediately(moto: Client, strict: Client) -> None:
    rds = strict("rds")
    available(strict, "db", MultiAZ=False)
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL)
    moto("rds").modify_db_instance(DBInstanceIdentifier="plain", DBInstanceClass="db.t3.small")
    assert describe(moto, "plain")["DBInstanceClass"] == "db.t3.small"

    rds.modify_db_instance(DBInstanceIdentifier="db", DBInstanceClass="db.t3.small", CopyTagsToSnapshot=True)
    found = describe(strict, "db")
    assert found["DBInstanceClass"] == "db.t3.micro"
    assert found["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.small"}
    assert found["DBInstanceStatus"] == "available"
    assert found["CopyTagsToSnapshot"]

    rds.modify_db_instance(DBInstanceIdentifier="db", MultiAZ=True, ApplyImmediately=True)
    assert describe(strict, "db")["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.small", "MultiAZ": True}
    assert proceed(strict, "db")["DBInstanceStatus"] == "modifying"
    found = settled(strict, "db")
    assert (found["DBInstanceClass"], found["MultiAZ"]) == ("db.t3.small", True)
    assert not found.get("PendingModifiedValues")


def test_requesting_the_old_value_cancels_a_pending_change(strict: Client) -> None:
    rds = strict("rds")
    available(strict, "db")
    rds.modify_db_instance(DBInstanceIdentifier="db", EngineVersion="16.6", EnableIAMDatabaseAuthentication=True)
    assert describe(strict, "db")["PendingModifiedValues"]["EngineVersion"] == "16.6"

    rds.modify_db_instance(DBInstanceIdentifier="db", EngineVersion="16.4")

    assert describe(strict, "db")["PendingModifiedValues"] == {"IAMDatabaseAuthenticationEnabled": True}


def test_a_further_change_does_not_stop_one_under_way(strict: Client) -> None:
    rds = strict("rds")
    available(strict, "db")
    rds.modify_db_instance(DBInstanceIdentifier="db", DBInstanceClass="db.t3.small", ApplyImmediately=True)

    rds.modify_db_instance(DBInstanceIdentifier="db", MultiAZ=True)

    found = settled(strict, "db")
    assert (found["DBInstanceClass"], found["MultiAZ"]) == ("db.t3.small", False)
    assert found["PendingModifiedValues"] == {"MultiAZ": True}


def test_a_new_port_applies_at_once_and_interrupts(moto: Client, strict: Client) -> None:
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL)
    moto("rds").modify_db_instance(DBInstanceIdentifier="plain", DBPortNumber=6543)
    assert describe(moto, "plain")["Endpoint"]["Port"] == 5432

    available(strict, "db")
    strict("rds").modify_db_instance(DBInstanceIdentifier="db", DBPortNumber=6543)
    assert proceed(strict, "db")["DBInstanceStatus"] == "modifying"

    assert settled(strict, "db")["Endpoint"]["Port"] == 6543


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"MasterUserPassword": "another-password"}, "resetting-master-credentials"),
        ({"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["postgresql"]}}, "configuring-log-exports"),
        ({"BackupRetentionPeriod": 14}, "modifying"),
    ],
)
def test_a_change_without_a_window_shows_a_transition_state(strict: Client, change: dict[str, Any], state: str) -> None:
    available(strict, "db")

    response = strict("rds").modify_db_instance(DBInstanceIdentifier="db", **change)

    assert response["DBInstance"]["DBInstanceStatus"] == state
    settled(strict, "db")


def test_backups_are_switched_off_in_the_maintenance_window(strict: Client) -> None:
    rds = strict("rds")
    available(strict, "db")

    rds.modify_db_instance(DBInstanceIdentifier="db", BackupRetentionPeriod=0)
    assert describe(strict, "db")["PendingModifiedValues"] == {"BackupRetentionPeriod": 0}
    rds.modify_db_instance(DBInstanceIdentifier="db", ApplyImmediately=True)

    assert settled(strict, "db")["BackupRetentionPeriod"] == 0
    assert "LatestRestorableTime" not in describe(strict, "db")


def test_an_instance_under_change_refuses_other_changes(moto: Client, strict: Client, refused: Refused) -> None:
    rds = strict("rds")
    rds.create_db_instance(DBInstanceIdentifier="db", **SMALL)

    with refused("InvalidDBInstanceState"):
        rds.modify_db_instance(DBInstanceIdentifier="db", MultiAZ=True)
    moto("rds").modify_db_instance(DBInstanceIdentifier="db", MultiAZ=True)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "less storage": ("InvalidParameterCombination", {"AllocatedStorage": 25}),
    "an unknown version": ("InvalidParameterCombination", {"EngineVersion": "16.99"}),
    "an older version": ("InvalidParameterCombination", {"EngineVersion": "16.1"}),
    "a major version without permission": ("InvalidParameterCombination", {"EngineVersion": "17.2"}),
    "an unknown class": ("InvalidParameterValue", {"DBInstanceClass": "db.t3.mikro"}),
    "an unknown security group": ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
    "a managed and a given password": (
        "InvalidParameterCombination",
        {"ManageMasterUserPassword": True, "MasterUserPassword": "chosen-by-hand"},
    ),
    "an unmanaged password without a new one": (
        "InvalidParameterCombination",
        {"ManageMasterUserPassword": False},
    ),
    "the name of another instance": ("DBInstanceAlreadyExists", {"NewDBInstanceIdentifier": "other"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_change_is_refused_for(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, change = REFUSED[case]
    available(strict, "db", AllocatedStorage=30)
    moto("rds").create_db_instance(DBInstanceIdentifier="other", **SMALL)

    with refused(code):
        strict("rds").modify_db_instance(DBInstanceIdentifier="db", ApplyImmediately=True, **change)

    moto("rds").modify_db_instance(DBInstanceIdentifier="db", ApplyImmediately=True, **change)


def test_plain_moto_replaces_an_instance_with_the_same_name(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "db")
    available(strict, "other")

    with refused("DBInstanceAlreadyExists"):
        strict("rds").modify_db_instance(
            DBInstanceIdentifier="db", NewDBInstanceIdentifier="other", ApplyImmediately=True
        )
    assert len(strict("rds").describe_db_instances()["DBInstances"]) == 2

    moto("rds").modify_db_instance(DBInstanceIdentifier="db", NewDBInstanceIdentifier="other")
    assert len(moto("rds").describe_db_instances()["DBInstances"]) == 1


def test_storage_grows_by_at_least_a_tenth_and_is_then_optimized(
    moto: Client, strict: Client, refused: Refused
) -> None:
    rds = strict("rds")
    available(strict, "db", AllocatedStorage=100)

    rds.modify_db_instance(DBInstanceIdentifier="db", AllocatedStorage=101, ApplyImmediately=True)
    assert proceed(strict, "db")["DBInstanceStatus"] == "modifying"
    found = proceed(strict, "db")
    assert (found["DBInstanceStatus"], found["AllocatedStorage"]) == ("storage-optimization", 110)
    with refused("InvalidParameterCombination"):
        rds.modify_db_instance(DBInstanceIdentifier="db", AllocatedStorage=200, ApplyImmediately=True)
    settled(strict, "db")

    moto("rds").modify_db_instance(DBInstanceIdentifier="db", AllocatedStorage=101)
    assert describe(moto, "db")["AllocatedStorage"] == 101


def test_a_renamed_instance_loses_its_old_name_and_reboots(moto: Client, strict: Client, refused: Refused) -> None:
    before = available(strict, "old")

    strict("rds").modify_db_instance(DBInstanceIdentifier="old", NewDBInstanceIdentifier="New", ApplyImmediately=True)

    with refused("DBInstanceNotFound"):
        describe(strict, "old")
    assert describe(strict, "new")["DBInstanceStatus"] == "renaming"
    assert proceed(strict, "new")["DBInstanceStatus"] == "rebooting"
    after = settled(strict, "new")
    assert after["DbiResourceId"] == before["DbiResourceId"]
    assert after["Endpoint"]["Address"].startswith("new.")
    moto("rds").modify_db_instance(DBInstanceIdentifier="new", NewDBInstanceIdentifier="old")
    assert describe(moto, "old")["DBInstanceStatus"] == "available"


def test_a_rename_waits_for_its_window(strict: Client) -> None:
    available(strict, "old")

    strict("rds").modify_db_instance(DBInstanceIdentifier="old", NewDBInstanceIdentifier="new")

    assert describe(strict, "old")["PendingModifiedValues"] == {"DBInstanceIdentifier": "new"}


def test_another_parameter_group_waits_for_a_reboot(moto: Client, strict: Client) -> None:
    rds = strict("rds")
    available(strict, "db")
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="-")

    def status(client: Client) -> str:
        return str(describe(client, "db")["DBParameterGroups"][0]["ParameterApplyStatus"])

    rds.modify_db_instance(DBInstanceIdentifier="db", DBParameterGroupName="own")
    assert (status(moto), status(strict)) == ("in-sync", "applying")
    settled(strict, "db")
    assert status(strict) == "pending-reboot"
    rds.reboot_db_instance(DBInstanceIdentifier="db")
    settled(strict, "db")

    assert status(strict) == "in-sync"
    assert describe(strict, "db")["DBParameterGroups"][0]["DBParameterGroupName"] == "own"


def test_a_major_version_needs_a_parameter_group_of_its_family(strict: Client, refused: Refused) -> None:
    rds = strict("rds")
    for version in ("16", "17"):
        rds.create_db_parameter_group(
            DBParameterGroupName=f"own{version}", DBParameterGroupFamily=f"postgres{version}", Description="-"
        )
    available(strict, "db", DBParameterGroupName="own16")
    upgrade = {"EngineVersion": "17.2", "AllowMajorVersionUpgrade": True, "ApplyImmediately": True}

    with refused("InvalidParameterCombination"):
        rds.modify_db_instance(DBInstanceIdentifier="db", **upgrade)
    rds.modify_db_instance(DBInstanceIdentifier="db", **upgrade, DBParameterGroupName="own17")

    assert settled(strict, "db")["EngineVersion"] == "17.2"


def test_a_password_that_is_managed_already_keeps_its_secret(moto: Client, strict: Client) -> None:
    def repeated(client: Client, name: str) -> bool:
        before = describe(client, name)["MasterUserSecret"]
        client("rds").modify_db_instance(DBInstanceIdentifier=name, ManageMasterUserPassword=True)
        return bool(describe(client, name)["MasterUserSecret"] == before)

    managed = {key: value for key, value in SMALL.items() if key != "MasterUserPassword"}
    for client, name in ((strict, "db"), (moto, "plain")):
        client("rds").create_db_instance(DBInstanceIdentifier=name, **managed, ManageMasterUserPassword=True)
    settled(strict, "db")

    assert repeated(strict, "db")
    assert not repeated(moto, "plain")
