"""What RDS holds back of an instance: shown with its effect, and carried out only where the plan says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Effect, Observed
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.rds_instance import RdsInstance, modification
from orderops.resources.rds_pending import pending_changes
from support.contract import Up
from support.declared_database import DB
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

TARGET = "--db-instance-identifier orders --region ap-southeast-2"
# The parts of DescribeDBInstances that matter here.
RAW: dict[str, Any] = {
    "DBInstanceIdentifier": "orders",
    "DBInstanceArn": "arn:aws:rds:ap-southeast-2:123456789012:db:orders",
    "DBInstanceStatus": "available",
    "DBInstanceClass": "db.t3.micro",
    "EngineVersion": "16.4",
    "MultiAZ": False,
    "BackupRetentionPeriod": 7,
    "IAMDatabaseAuthenticationEnabled": False,
    "DBSubnetGroup": {"DBSubnetGroupName": "orders"},
    "PreferredMaintenanceWindow": "sun:17:00-sun:17:30",
}


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS in which changes wait for the maintenance window."""
    return strict_aws(account, monkeypatch)


# The effects are those of "Settings for DB instances" in the RDS user guide.
@pytest.mark.parametrize(
    ("pending", "what", "effect", "options"),
    [
        (
            {"DBInstanceClass": "db.t3.medium"},
            "DBInstanceClass db.t3.micro -> db.t3.medium",
            Effect.INTERRUPTS,
            "--db-instance-class db.t3.medium",
        ),
        ({"EngineVersion": "16.8"}, "EngineVersion 16.4 -> 16.8", Effect.INTERRUPTS, "--engine-version 16.8"),
        (
            {"EngineVersion": "17.2"},
            "EngineVersion 16.4 -> 17.2",
            Effect.INTERRUPTS,
            "--engine-version 17.2 --allow-major-version-upgrade",
        ),
        ({"MultiAZ": True}, "MultiAZ false -> true", Effect.INTERRUPTS, "--multi-az"),
        (
            {"IAMDatabaseAuthenticationEnabled": True},
            "EnableIAMDatabaseAuthentication false -> true",
            Effect.SAFE,
            "--enable-iam-database-authentication",
        ),
        (
            {"BackupRetentionPeriod": 0},
            "BackupRetentionPeriod 7 -> 0",
            Effect.LOSES,
            "--backup-retention-period 0",
        ),
        (
            {"BackupRetentionPeriod": 8},
            "BackupRetentionPeriod 7 -> 8",
            Effect.SAFE,
            "--backup-retention-period 8",
        ),
        (
            {"DBSubnetGroupName": "other"},
            "DBSubnetGroupName orders -> other",
            Effect.INTERRUPTS,
            "--db-subnet-group-name other",
        ),
    ],
)
def test_a_pending_change_has_its_effect_and_the_command_that_carries_it_out(
    pending: dict[str, Any], what: str, effect: Effect, options: str
) -> None:
    (change,) = pending_changes(RAW | {"PendingModifiedValues": pending})

    assert (change.what, change.effect) == (what, effect)
    assert change.until == "the maintenance window sun:17:00-sun:17:30"
    assert change.command == f"aws rds modify-db-instance {TARGET} {options} --apply-immediately"


@pytest.mark.parametrize(
    ("pending", "what"),
    [
        ({"ProcessorFeatures": [{"Name": "coreCount", "Value": "2"}]}, "ProcessorFeatures"),
        ({"MasterUserPassword": "****"}, "MasterUserPassword"),
        (
            {"PendingCloudwatchLogsExports": {"LogTypesToEnable": ["upgrade"], "LogTypesToDisable": ["postgresql"]}},
            "EnableCloudwatchLogsExports +upgrade -postgresql",
        ),
    ],
)
def test_a_pending_change_without_an_option_of_its_own_is_shown_by_name(pending: dict[str, Any], what: str) -> None:
    (change,) = pending_changes(RAW | {"PendingModifiedValues": pending})

    assert change.what == what
    assert change.command.startswith(f"aws rds describe-db-instances {TARGET}")


def test_an_unknown_pending_change_counts_as_an_interruption() -> None:
    (change,) = pending_changes(RAW | {"PendingModifiedValues": {"SomethingNew": "x"}})

    assert change.effect is Effect.INTERRUPTS


def test_parameters_that_wait_for_a_reboot_are_pending() -> None:
    groups = [{"DBParameterGroupName": "by-hand", "ParameterApplyStatus": "pending-reboot"}]

    (change,) = pending_changes(RAW | {"DBParameterGroups": groups})

    assert (change.what, change.until, change.effect) == ("parameter group by-hand", "a reboot", Effect.INTERRUPTS)
    assert change.command == f"aws rds reboot-db-instance {TARGET}"


@pytest.mark.parametrize("status", ["modifying", "upgrading", "rebooting", "creating"])
def test_nothing_is_pending_while_rds_works_on_the_instance(status: str) -> None:
    raw = RAW | {"DBInstanceStatus": status, "PendingModifiedValues": {"DBInstanceClass": "db.t3.medium"}}

    assert pending_changes(raw) == ()


def test_a_change_that_rds_makes_at_once_leaves_what_is_pending(aws: Aws, up: Up) -> None:
    up(DB)
    queue(aws, DBInstanceClass="db.t3.medium")
    asked = replace(DB, instance_class="db.t3.medium", backup_days=8)

    step = up(asked)[DB.address]

    assert (list(step.changes), step.effect, step.carried) == (["BackupRetentionPeriod"], Effect.SAFE, ())
    assert [change.key for change in step.pending] == ["DBInstanceClass"]
    now = described(aws)
    assert (now["DBInstanceClass"], now["PendingModifiedValues"]) == (
        "db.t3.micro",
        {"DBInstanceClass": "db.t3.medium"},
    )


def test_a_change_that_carries_out_what_is_pending_has_the_worse_effect_of_both(aws: Aws, up: Up) -> None:
    up(DB)
    queue(aws, DBInstanceClass="db.t3.medium")
    asked = replace(DB, instance_class="db.t3.medium", storage_gb=40)

    planned = up(asked, dry_run=True)[DB.address]

    assert list(planned.changes) == ["AllocatedStorage"]
    assert (planned.effect, [change.key for change in planned.carried]) == (Effect.INTERRUPTS, ["DBInstanceClass"])
    up(asked)
    assert described(aws)["DBInstanceClass"] == "db.t3.medium"
    assert up(asked)[DB.address].pending == ()


def test_a_pending_change_that_is_declared_is_shown_and_not_sent_again(aws: Aws, up: Up) -> None:
    up(DB)
    queue(aws, MultiAZ=True)

    step = up(replace(DB, multi_az=True))[DB.address]

    assert step.action is Action.NO_OP
    assert [change.what for change in step.pending] == ["MultiAZ false -> true"]


def test_a_pending_change_that_is_not_declared_is_replaced_by_the_declared_value(aws: Aws, up: Up) -> None:
    up(DB)
    queue(aws, DBInstanceClass="db.t3.medium")

    step = up(DB)[DB.address]

    assert step.changes == {"DBInstanceClass": ("db.t3.medium", "db.t3.micro")}
    assert (step.carried, step.pending) == ((), ())
    assert described(aws)["PendingModifiedValues"] == {}


def test_another_parameter_group_waits_for_a_reboot(aws: Aws, up: Up) -> None:
    up(DB)
    aws.rds.create_db_parameter_group(
        DBParameterGroupName="by-hand", DBParameterGroupFamily="postgres16", Description="by hand"
    )
    aws.rds.modify_db_instance(DBInstanceIdentifier=DB.name, DBParameterGroupName="by-hand")
    up(DB)

    step = up(DB)[DB.address]

    assert (step.action, [change.until for change in step.pending]) == (Action.NO_OP, ["a reboot"])
    aws.rds.reboot_db_instance(DBInstanceIdentifier=DB.name)
    assert up(DB)[DB.address].pending == ()


def test_a_deletion_does_not_carry_out_what_is_pending(aws: Aws, up: Up) -> None:
    up(replace(DB, deletion_protection=True))
    queue(aws, DBInstanceClass="db.t3.medium")
    (observed,) = RdsInstance.listing(aws, Ownership("dev"))

    RdsInstance.delete(aws, observed)

    now = described(aws)
    assert (now["DeletionProtection"], now["DBInstanceClass"]) == (False, "db.t3.micro")


def queue(aws: Aws, **changes: Any) -> None:
    """Let these changes wait for the maintenance window."""
    aws.rds.modify_db_instance(DBInstanceIdentifier=DB.name, ApplyImmediately=False, **changes)


def described(aws: Aws) -> Mapping[str, Any]:
    found: Mapping[str, Any] = aws.rds.describe_db_instances(DBInstanceIdentifier=DB.name)["DBInstances"][0]
    return found


# "Settings for DB instances" in the RDS user guide: made at once in either case, or in the maintenance window.
@pytest.mark.parametrize(
    ("changed", "immediately"),
    [
        ({"DeletionProtection": True}, False),
        ({"VpcSecurityGroupIds": ["sg-1"], "Port": 5433}, False),
        ({"PreferredMaintenanceWindow": "mon:17:00-mon:17:30", "PubliclyAccessible": False}, False),
        ({"DBParameterGroupName": "other", "EnablePerformanceInsights": True}, False),
        ({"BackupRetentionPeriod": 8}, False),
        ({"BackupRetentionPeriod": 0}, True),
        ({"DBInstanceClass": "db.t3.medium"}, True),
        ({"MultiAZ": True, "DeletionProtection": True}, True),
        ({"EnableIAMDatabaseAuthentication": True}, True),
        ({"StorageType": "gp3"}, True),
    ],
)
def test_only_changes_that_would_wait_are_sent_to_be_applied_immediately(
    changed: dict[str, Any], immediately: bool
) -> None:
    observed = Observed("orders", {"BackupRetentionPeriod": 7})

    assert modification(observed, changed)["ApplyImmediately"] is immediately
