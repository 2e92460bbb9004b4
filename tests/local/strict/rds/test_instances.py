from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from support.emulated_databases import SMALL, available, describe, gone, proceed, settled, subnet_group, taken
from support.strict_clients import Client, Refused


def test_an_instance_is_created_and_backed_up_before_it_is_available(moto: Client, strict: Client) -> None:
    plain = moto("rds").create_db_instance(DBInstanceIdentifier="at-once", **SMALL)["DBInstance"]
    assert plain["DBInstanceStatus"] == "available"

    first = strict("rds").create_db_instance(DBInstanceIdentifier="later", **SMALL)["DBInstance"]
    assert first["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in first
    assert "LatestRestorableTime" not in first
    assert proceed(strict, "later")["DBInstanceStatus"] == "backing-up"

    assert settled(strict, "later")["Endpoint"]["Port"] == 5432


def test_every_instance_has_its_own_resource_id(moto: Client, strict: Client) -> None:
    for name in ("first", "second"):
        moto("rds").create_db_instance(DBInstanceIdentifier=f"plain-{name}", **SMALL)
        strict("rds").create_db_instance(DBInstanceIdentifier=f"strict-{name}", **SMALL)

    assert describe(moto, "plain-first")["DbiResourceId"] == describe(moto, "plain-second")["DbiResourceId"]
    assert describe(strict, "strict-first")["DbiResourceId"] != describe(strict, "strict-second")["DbiResourceId"]
    snapshots = strict("rds").describe_db_snapshots(DBInstanceIdentifier="strict-first")["DBSnapshots"]
    assert [item["DbiResourceId"] for item in snapshots] == [describe(strict, "strict-first")["DbiResourceId"]]


def test_a_version_without_a_minor_number_is_the_newest(moto: Client, strict: Client) -> None:
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **{**SMALL, "EngineVersion": "16"})
    assert describe(moto, "plain")["EngineVersion"] == "16"

    assert available(strict, "whole", EngineVersion="16")["EngineVersion"].startswith("16.")


def test_settings_that_moto_drops_read_back(moto: Client, strict: Client) -> None:
    settings: dict[str, Any] = {
        "EnablePerformanceInsights": True,
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
    }
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL, **settings)
    assert "PerformanceInsightsEnabled" not in describe(moto, "plain")

    found = available(strict, "whole", **settings)

    assert found["PerformanceInsightsEnabled"]
    assert found["EngineLifecycleSupport"] == settings["EngineLifecycleSupport"]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "an unknown version": ("InvalidParameterCombination", {"EngineVersion": "16.99"}),
    "an unknown major version": ("InvalidParameterCombination", {"EngineVersion": "61"}),
    "an unknown class": ("InvalidParameterValue", {"DBInstanceClass": "db.t3.mikro"}),
    "too little storage": ("InvalidParameterValue", {"AllocatedStorage": 10}),
    "a growth limit below one step": ("InvalidParameterCombination", {"MaxAllocatedStorage": 21}),
    "iops of a volume that is not striped": ("InvalidParameterCombination", {"Iops": 12000}),
    "a password that is too short": ("InvalidParameterValue", {"MasterUserPassword": "short"}),
    "a password with a space": ("InvalidParameterValue", {"MasterUserPassword": "white space"}),
    "a managed and a given password": ("InvalidParameterCombination", {"ManageMasterUserPassword": True}),
    "an unknown security group": ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
    "a retention of more than 35 days": ("InvalidParameterValue", {"BackupRetentionPeriod": 36}),
    "the parameter group of another version": (
        "InvalidParameterCombination",
        {"DBParameterGroupName": "default.postgres15"},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_creation_is_refused_for(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, settings = REFUSED[case]
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **{**SMALL, **settings})

    with refused(code):
        strict("rds").create_db_instance(DBInstanceIdentifier="strict", **{**SMALL, **settings})


def test_a_missing_password_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    given = {key: value for key, value in SMALL.items() if key != "MasterUserPassword"}
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **given)

    with refused("InvalidParameterValue"):
        strict("rds").create_db_instance(DBInstanceIdentifier="strict", **given)


def test_missing_groups_are_refused(strict: Client, refused: Refused) -> None:
    with refused("DBSubnetGroupNotFoundFault"):
        strict("rds").create_db_instance(DBInstanceIdentifier="a", **SMALL, DBSubnetGroupName="absent")
    with refused("DBParameterGroupNotFound"):
        strict("rds").create_db_instance(DBInstanceIdentifier="a", **SMALL, DBParameterGroupName="absent")


def test_a_security_group_of_another_vpc_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    subnet_group(moto, "elsewhere")
    default = moto("ec2").describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    missing_groups = {"DBSubnetGroupName": "elsewhere", "VpcSecurityGroupIds": [default]}
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL, **missing_groups)

    with refused("InvalidParameterCombination"):
        strict("rds").create_db_instance(DBInstanceIdentifier="strict", **SMALL, **missing_groups)


def test_a_deletion_has_to_decide_on_a_final_snapshot(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "kept")
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL)
    moto("rds").delete_db_instance(DBInstanceIdentifier="plain")

    with refused("InvalidParameterCombination"):
        strict("rds").delete_db_instance(DBInstanceIdentifier="kept")
    with refused("InvalidParameterCombination"):
        strict("rds").delete_db_instance(
            DBInstanceIdentifier="kept", SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="last"
        )


def test_the_name_of_a_deleted_instance_is_taken_until_it_is_removed(
    moto: Client, strict: Client, refused: Refused
) -> None:
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL)
    moto("rds").delete_db_instance(DBInstanceIdentifier="plain", SkipFinalSnapshot=True)
    with refused("DBInstanceNotFound"):
        describe(moto, "plain")

    available(strict, "going")
    response = strict("rds").delete_db_instance(DBInstanceIdentifier="going", FinalDBSnapshotIdentifier="last")
    assert response["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert describe(strict, "going")["DBInstanceStatus"] == "deleting"
    with refused("DBInstanceAlreadyExists"):
        strict("rds").create_db_instance(DBInstanceIdentifier="going", **SMALL)
    with refused("InvalidDBInstanceState"):
        strict("rds").delete_db_instance(DBInstanceIdentifier="going", SkipFinalSnapshot=True)

    gone(strict, "going")
    strict("rds").create_db_instance(DBInstanceIdentifier="going", **SMALL)


def test_an_instance_being_created_leaves_no_final_snapshot(moto: Client, strict: Client, refused: Refused) -> None:
    moto("rds").create_db_instance(DBInstanceIdentifier="plain", **SMALL)
    moto("rds").delete_db_instance(DBInstanceIdentifier="plain", FinalDBSnapshotIdentifier="plain-last")
    strict("rds").create_db_instance(DBInstanceIdentifier="young", **SMALL)

    with refused("InvalidDBInstanceState"):
        strict("rds").delete_db_instance(DBInstanceIdentifier="young", FinalDBSnapshotIdentifier="last")
    strict("rds").delete_db_instance(DBInstanceIdentifier="young", SkipFinalSnapshot=True)


def test_a_reboot_and_a_stop_take_time_and_refuse_other_requests(
    moto: Client, strict: Client, refused: Refused
) -> None:
    rds = strict("rds")
    available(strict, "busy")
    assert moto("rds").reboot_db_instance(DBInstanceIdentifier="busy")["DBInstance"]["DBInstanceStatus"] == "available"

    rds.reboot_db_instance(DBInstanceIdentifier="busy")
    assert describe(strict, "busy")["DBInstanceStatus"] == "rebooting"
    for call in (rds.reboot_db_instance, rds.stop_db_instance):
        with refused("InvalidDBInstanceState"):
            call(DBInstanceIdentifier="busy")
    with refused("InvalidDBInstanceState"):
        rds.create_db_snapshot(DBInstanceIdentifier="busy", DBSnapshotIdentifier="now")
    settled(strict, "busy")

    assert rds.stop_db_instance(DBInstanceIdentifier="busy")["DBInstance"]["DBInstanceStatus"] == "stopping"
    settled(strict, "busy", "stopped")
    assert rds.start_db_instance(DBInstanceIdentifier="busy")["DBInstance"]["DBInstanceStatus"] == "starting"
    settled(strict, "busy")


def test_a_snapshot_is_creating_before_it_is_available(moto: Client, strict: Client, refused: Refused) -> None:
    rds = strict("rds")
    available(strict, "source")
    plain = moto("rds").create_db_snapshot(DBInstanceIdentifier="source", DBSnapshotIdentifier="plain")
    assert plain["DBSnapshot"]["Status"] == "available"

    first = rds.create_db_snapshot(DBInstanceIdentifier="source", DBSnapshotIdentifier="taken")["DBSnapshot"]
    assert first["Status"] == "creating"
    with refused("InvalidDBSnapshotState"):
        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="copy", DBSnapshotIdentifier="taken")

    taken(strict, "taken")


def test_many_instances_are_listed_in_pages(strict: Client) -> None:
    for n in range(23):
        strict("rds").create_db_instance(DBInstanceIdentifier=f"one-{n:02}", **SMALL)

    pages = strict("rds").get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": 20})
    found = [[item["DBInstanceIdentifier"] for item in page["DBInstances"]] for page in pages]

    assert [len(page) for page in found] == [20, 3]
    assert sorted(chain.from_iterable(found)) == [f"one-{n:02}" for n in range(23)]
