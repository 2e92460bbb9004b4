"""RDS instances: from the first apply to the final snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.backends import get_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.rds_instance import RdsInstance, final_snapshot
from support.contract import Up, keeps_its_promises, remove
from support.declared_database import DB
from support.faults import Fault, Faults, PowerCut
from support.tag_keys import ADDRESS, ENVIRONMENT

Sent = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def sent(session: boto3.Session) -> Sent:
    """What was given to each call of an operation."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, dict(params)))

    session.events.register("provide-client-params.rds", note)
    return lambda operation: [params for name, params in calls if name == operation]


@pytest.fixture(autouse=True)
def _no_automated_snapshots(session: boto3.Session) -> None:
    """The emulator names them by the minute, and would refuse an instance made again within one."""

    def forget(**_: Any) -> None:
        kept = get_backend("rds")["123456789012"]["ap-southeast-2"].database_snapshots
        for name in [name for name in kept if name.startswith("rds:")]:
            del kept[name]

    session.events.register("after-call.rds.CreateDBInstance", forget)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(DB, aws, up, backup_days=14, multi_az=True)


def test_an_instance_is_encrypted_private_and_has_a_generated_password(up: Up, sent: Sent) -> None:
    up(DB)

    (given,) = sent("CreateDBInstance")
    assert given["StorageEncrypted"]
    assert not given["PubliclyAccessible"]
    assert given["ManageMasterUserPassword"]
    assert "MasterUserPassword" not in given
    assert given["EngineLifecycleSupport"] == "open-source-rds-extended-support-disabled"


def test_all_instances_cost_one_call(up: Up, the_faults: Faults) -> None:
    other = replace(DB, name="orderops-dev-other")
    up(DB, other)
    the_faults.calls.clear()

    up(DB, other)

    assert [call for call in the_faults.calls if "DBInstance" in call] == ["rds.DescribeDBInstances"]


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(DB)
    aws.rds.modify_db_instance(
        DBInstanceIdentifier=DB.name,
        PubliclyAccessible=True,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["upgrade"], "DisableLogTypes": ["postgresql"]},
        ApplyImmediately=True,
    )

    assert list(up(DB)[DB.address].changes) == ["PubliclyAccessible", "EnableCloudwatchLogsExports"]
    assert up(DB)[DB.address].action is Action.NO_OP


def test_a_stopped_instance_is_started_before_it_is_changed(aws: Aws, up: Up, sent: Sent) -> None:
    up(DB)
    aws.rds.stop_db_instance(DBInstanceIdentifier=DB.name)

    step = up(replace(DB, backup_days=14))[DB.address]

    assert step.changes == {"Running": (False, True), "BackupRetentionPeriod": (7, 14)}
    assert len(sent("StartDBInstance")) == 1
    assert [call["BackupRetentionPeriod"] for call in sent("ModifyDBInstance")] == [14]


def test_an_instance_is_deleted_with_a_final_snapshot_and_keeps_its_backups(aws: Aws, up: Up, sent: Sent) -> None:
    up(DB)
    (observed,) = RdsInstance.listing(aws, Ownership("dev"))

    remove(DB, aws)

    assert _snapshots(aws) == [final_snapshot(observed)]
    assert sent("DeleteDBInstance")[0]["DeleteAutomatedBackups"] is False


@pytest.mark.parametrize("stopped", [False, True])
def test_deletion_disables_the_protection_first(aws: Aws, up: Up, stopped: bool) -> None:
    up(replace(DB, deletion_protection=True))
    if stopped:
        aws.rds.stop_db_instance(DBInstanceIdentifier=DB.name)

    remove(DB, aws)

    assert not aws.rds.describe_db_instances()["DBInstances"]
    assert len(_snapshots(aws)) == 1


def test_a_promoted_instance_with_another_name_is_the_primary(aws: Aws, up: Up, sent: Sent) -> None:
    up(DB, replace(DB, name="orderops-dev-db-restored"))
    _address(aws, DB.name, "rds-instance/orderops-dev-db-before")
    _address(aws, "orderops-dev-db-restored", DB.address)

    up(replace(DB, backup_days=14))

    assert [call["DBInstanceIdentifier"] for call in sent("ModifyDBInstance")] == ["orderops-dev-db-restored"]


def test_an_instance_of_another_environment_is_not_changed(aws: Aws, up: Up) -> None:
    _make(aws, Tags=[{"Key": ENVIRONMENT, "Value": "prod"}])

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(DB)


@pytest.mark.parametrize("call", [0, 5, 8, 9])
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("rds", after=call), pytest.raises(PowerCut):
        up(DB)

    up(DB)

    assert up(DB)[DB.address].action is Action.NO_OP
    assert len(aws.rds.describe_db_instances()["DBInstances"]) == 1


def test_a_lost_answer_makes_no_second_instance(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("rds", "CreateDBInstance"):
        assert up(DB)[DB.address].action is Action.CREATE

    assert len(aws.rds.describe_db_instances()["DBInstances"]) == 1


def _make(aws: Aws, **more: Any) -> None:
    name = {"DBInstanceIdentifier": DB.name}
    aws.rds.create_db_instance(**name, DBInstanceClass="db.t3.micro", Engine="postgres", EngineVersion="16.4", **more)


def _snapshots(aws: Aws) -> list[str]:
    return [snapshot["DBSnapshotIdentifier"] for snapshot in aws.rds.describe_db_snapshots()["DBSnapshots"]]


def _address(aws: Aws, name: str, address: str) -> None:
    arn = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceArn"]
    aws.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": ADDRESS, "Value": address}])
