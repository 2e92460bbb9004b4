"""RDS instances as AWS describes them, and the steps that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, to_pairs
from orderops.engine.decision import decide
from orderops.engine.resource import Effect, Observed, Outputs, State
from orderops.engine.step import Action, Step
from orderops.frozen import replace
from orderops.resources.rds_instance import RdsInstance, final_snapshot
from support.declared_database import DB, GROUP

CLAIM = Ownership("dev", DB.address, DB.name)
# What AWS tells of an instance that is as `DB` asks; some of it no emulator tells.
TOLD: dict[str, Any] = {
    "DBInstanceIdentifier": "orderops-dev-db",
    "DBInstanceArn": "arn:aws:rds:ap-southeast-2:123456789012:db:orderops-dev-db",
    "DbiResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "DBInstanceStatus": "available",
    "DBInstanceClass": "db.t3.micro",
    "DbInstancePort": 0,
    "Engine": "postgres",
    "EngineVersion": "16.8",
    "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
    "AutoMinorVersionUpgrade": True,
    "MultiAZ": False,
    "StorageType": "gp3",
    "Iops": 3000,
    "StorageThroughput": 125,
    "StorageEncrypted": True,
    "KmsKeyId": "arn:aws:kms:ap-southeast-2:123456789012:key/1",
    "AllocatedStorage": 20,
    "DBName": "orders",
    "MasterUsername": "orderops",
    "MasterUserSecret": {"SecretArn": "arn:secret", "SecretStatus": "active"},
    "IAMDatabaseAuthenticationEnabled": True,
    "DBSubnetGroup": {"DBSubnetGroupName": "orderops-dev-db"},
    "DBParameterGroups": [{"DBParameterGroupName": "orderops-dev-postgres16", "ParameterApplyStatus": "in-sync"}],
    "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
    "PubliclyAccessible": False,
    "Endpoint": {"Address": "orderops-dev-db.c1.ap-southeast-2.rds.amazonaws.com", "Port": 5432},
    "BackupRetentionPeriod": 7,
    "PreferredBackupWindow": "16:00-16:30",
    "PreferredMaintenanceWindow": "sun:17:00-sun:17:30",
    "CopyTagsToSnapshot": True,
    "DeletionProtection": False,
    "PerformanceInsightsEnabled": True,
    "PerformanceInsightsRetentionPeriod": 7,
    "EnabledCloudwatchLogsExports": ["postgresql"],
    "PendingModifiedValues": {},
    "TagList": to_pairs(CLAIM.tags),
}
OK = SimpleNamespace(status_code=200)
# From the RDS user guide, major version upgrades; shortened.
UPGRADES = {"DBEngineVersions": [{"ValidUpgradeTarget": [{"EngineVersion": "16.6"}, {"EngineVersion": "17.2"}]}]}
Look = Callable[..., Observed]
Plan = Callable[..., Step]
Sent = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def look(aws: Aws, session: boto3.Session) -> Look:
    """The instance as a listing finds it when AWS tells of it what `TOLD` says, and this."""
    raw: dict[str, Any] = {}
    session.events.register("before-call.rds.DescribeDBInstances", lambda **_: (OK, {"DBInstances": [TOLD | raw]}))

    def run(**told: Any) -> Observed:
        raw.update(told)
        (observed,) = RdsInstance.listing(aws, Ownership("dev"))
        return observed

    return run


@pytest.fixture
def plan(aws: Aws, look: Look, session: boto3.Session) -> Plan:
    """What is decided for an instance of which AWS tells this."""

    def run(asked: RdsInstance = DB, **told: Any) -> Step:
        session.events.register("before-call.rds.DescribeDBEngineVersions", lambda **_: (OK, UPGRADES))
        outputs = Outputs()
        outputs[DB.subnet_group] = Observed("", name=DB.subnet_group.name)
        outputs[DB.parameter_group] = Observed("", name=DB.parameter_group.name)
        outputs[GROUP] = Observed("sg-1")
        return decide(asked, asked.detail(aws, look(**told)), asked.desired(outputs), CLAIM)

    return run


@pytest.fixture
def sent(session: boto3.Session) -> Sent:
    """What was given to each call of an operation."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, dict(params)))

    session.events.register("provide-client-params.rds", note)
    return lambda operation: [params for name, params in calls if name == operation]


def test_properties_read_back_equal_those_requested(plan: Plan) -> None:
    assert plan().action is Action.NO_OP


def test_outputs_include_the_endpoint_and_the_password_secret(look: Look) -> None:
    told = look().properties

    assert told["EndpointAddress"] == "orderops-dev-db.c1.ap-southeast-2.rds.amazonaws.com"
    assert told["EndpointPort"] == 5432
    assert told["MasterUserSecretArn"] == "arn:secret"
    assert told["DbiResourceId"] == "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        ({"BackupRetentionPeriod": 1}, {"BackupRetentionPeriod": (1, 7)}),
        ({"PubliclyAccessible": True}, {"PubliclyAccessible": (True, False)}),
        ({"IAMDatabaseAuthenticationEnabled": False}, {"EnableIAMDatabaseAuthentication": (False, True)}),
        ({"PerformanceInsightsEnabled": False}, {"EnablePerformanceInsights": (False, True)}),
        ({"EnabledCloudwatchLogsExports": []}, {"EnableCloudwatchLogsExports": ([], ["postgresql"])}),
        ({"MasterUserSecret": {}}, {"ManageMasterUserPassword": (False, True)}),
        ({"MaxAllocatedStorage": 100}, {"MaxAllocatedStorage": (100, None)}),
        ({"MaxAllocatedStorage": 20}, {}),
        ({"Endpoint": {"Address": "x", "Port": 5433}}, {"Port": (5433, 5432)}),
        (
            {"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-2", "Status": "active"}]},
            {"VpcSecurityGroupIds": (["sg-2"], ["sg-1"])},
        ),
    ],
)
def test_manual_changes_are_detected(plan: Plan, told: dict[str, Any], changes: dict[str, Any]) -> None:
    assert plan(**told).changes == changes


def test_pending_changes_are_not_sent_again(plan: Plan) -> None:
    pending = {
        "DBInstanceClass": "db.t3.small",
        "MultiAZ": True,
        "AllocatedStorage": 50,
        "Port": 5433,
        "PendingCloudwatchLogsExports": {"LogTypesToEnable": ["upgrade"]},
    }
    asked = replace(
        DB,
        instance_class="db.t3.small",
        multi_az=True,
        storage_gb=50,
        port=5433,
        log_exports=("upgrade", "postgresql"),
    )

    assert plan(asked, PendingModifiedValues=pending).action is Action.NO_OP


@pytest.mark.parametrize(
    ("asked", "key", "effect"),
    [
        ({"instance_class": "db.t3.small"}, "DBInstanceClass", Effect.INTERRUPTS),
        ({"port": 5433}, "Port", Effect.INTERRUPTS),
        ({"multi_az": True}, "MultiAZ", Effect.INTERRUPTS),
        ({"engine_version": "17"}, "EngineVersion", Effect.INTERRUPTS),
        ({"storage_gb": 40}, "AllocatedStorage", Effect.SAFE),
        ({"backup_days": 14}, "BackupRetentionPeriod", Effect.SAFE),
        ({"deletion_protection": True}, "DeletionProtection", Effect.SAFE),
    ],
)
def test_the_plan_shows_the_effect_of_a_change_on_clients(
    plan: Plan, asked: Mapping[str, Any], key: str, effect: Effect
) -> None:
    step = plan(replace(DB, **asked))

    assert (list(step.changes), step.effect, step.error) == ([key], effect, None)


def test_turning_backups_on_interrupts_and_turning_them_off_loses_them(plan: Plan) -> None:
    assert plan(BackupRetentionPeriod=0).effect is Effect.INTERRUPTS

    off = plan(replace(DB, backup_days=0), BackupRetentionPeriod=7)

    assert off.effect is Effect.LOSES
    assert off.error


def test_a_change_that_waits_for_the_window_uses_the_parameters_of_modify_and_applies_immediately(
    aws: Aws, look: Look, sent: Sent
) -> None:
    changed = {
        "Port": 5433,
        "MaxAllocatedStorage": None,
        "EngineVersion": "17",
        "EnableCloudwatchLogsExports": ["upgrade"],
    }
    _make(aws, EnableCloudwatchLogsExports=["postgresql"], AllocatedStorage=20)

    DB.update(aws, look(), changed)

    assert sent("ModifyDBInstance") == [
        {
            "DBInstanceIdentifier": DB.name,
            "DBPortNumber": 5433,
            "MaxAllocatedStorage": 20,
            "EngineVersion": "17",
            "AllowMajorVersionUpgrade": True,
            "CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["upgrade"], "DisableLogTypes": ["postgresql"]},
            "ApplyImmediately": True,
        }
    ]


@pytest.mark.parametrize(
    ("there", "asked", "changes"),
    [
        ("16.4", "16", {}),
        ("16.4", "16.4", {}),
        ("16.9", "16.4", {}),
        ("16.10", "16.9", {}),
        ("16.3-R2", "16.3", {}),
        ("16.4", "16.6", {"EngineVersion": ("16.4", "16.6")}),
        ("16.4", "17", {"EngineVersion": ("16.4", "17")}),
        ("17.1", "16", {"EngineVersion": ("17.1", "16")}),
    ],
)
def test_a_version_is_a_difference_only_when_it_is_behind(
    plan: Plan, there: str, asked: str, changes: dict[str, Any]
) -> None:
    assert plan(replace(DB, engine_version=asked), EngineVersion=there).changes == changes


@pytest.mark.parametrize(
    ("asked", "told", "why"),
    [
        ({}, {"AllocatedStorage": 100}, "AllocatedStorage would lose data (observed 100, desired 20)"),
        ({}, {"StorageEncrypted": False}, "StorageEncrypted cannot be changed on an existing resource"),
        ({}, {"Engine": "mysql"}, "Engine cannot be changed on an existing resource"),
        (
            {},
            {"DBSubnetGroup": {"DBSubnetGroupName": "x"}},
            "DBSubnetGroupName cannot be changed on an existing resource",
        ),
        ({"database": "other"}, {}, "DBName cannot be changed on an existing resource"),
        ({"username": "other"}, {}, "MasterUsername cannot be changed on an existing resource"),
    ],
)
def test_an_immutable_change_is_an_error_with_a_replacement_hint(
    plan: Plan, asked: Mapping[str, Any], told: dict[str, Any], why: str
) -> None:
    refusal = plan(replace(DB, **asked), **told).error

    assert refusal
    assert why in refusal.message
    assert "dump the database" in refusal.hint


def test_storage_that_aws_has_grown_is_no_drift(plan: Plan) -> None:
    assert plan(replace(DB, max_storage_gb=100), AllocatedStorage=34, MaxAllocatedStorage=100).action is Action.NO_OP


def test_storage_that_aws_has_rounded_up_is_no_drift(plan: Plan) -> None:
    assert plan(replace(DB, storage_gb=21), AllocatedStorage=22).action is Action.NO_OP


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("available", State.READY),
        ("stopped", State.READY),
        ("storage-optimization", State.READY),
        ("storage-full", State.READY),
        ("creating", State.PENDING),
        ("modifying", State.PENDING),
        ("configuring-log-exports", State.PENDING),
        ("a-word-of-tomorrow", State.PENDING),
        ("deleting", State.GOING),
        ("failed", State.FAILED),
        ("incompatible-parameters", State.FAILED),
        ("inaccessible-encryption-credentials-recoverable", State.FAILED),
    ],
)
def test_the_status_of_aws_decides_whether_an_instance_is_ready(look: Look, status: str, state: State) -> None:
    observed = look(DBInstanceStatus=status)

    assert (observed.state, observed.status) == (state, status)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"MasterUserSecret": {"SecretArn": "x", "SecretStatus": "creating"}}, "creating the master secret"),
        ({"VpcSecurityGroups": [{"VpcSecurityGroupId": "x", "Status": "adding"}]}, "changing the security groups"),
        (
            {"DBParameterGroups": [{"DBParameterGroupName": "x", "ParameterApplyStatus": "applying"}]},
            "applying the parameter group",
        ),
        ({"PendingModifiedValues": {"Port": 5433}}, "changing the port"),
    ],
)
def test_an_available_instance_with_work_in_progress_is_waited_for(
    look: Look, told: dict[str, Any], status: str
) -> None:
    observed = look(**told)

    assert (observed.state, observed.status) == (State.PENDING, status)


def test_an_instance_being_created_has_no_endpoint_and_no_difference(plan: Plan) -> None:
    assert plan(DBInstanceStatus="creating", Endpoint={}).action is Action.NO_OP


def test_an_instance_made_again_leaves_another_final_snapshot(look: Look) -> None:
    first = final_snapshot(look())
    second = final_snapshot(look(DbiResourceId="db-ZYXWVUTSRQPONMLKJIHGFEDCBA"))

    assert first == "orderops-dev-db-final-abcdefghij"
    assert first != second


@pytest.mark.parametrize("copies_tags", [True, False])
def test_a_failed_instance_is_deleted_without_a_snapshot_and_keeps_backups(
    look: Look, sent: Sent, aws: Aws, copies_tags: bool
) -> None:
    _make(aws)

    # RDS accepts no modification of a failed instance, and there is no snapshot for its tags.
    RdsInstance.delete(aws, look(DBInstanceStatus="failed", CopyTagsToSnapshot=copies_tags))

    assert sent("DeleteDBInstance") == [
        {"DBInstanceIdentifier": DB.name, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": False}
    ]


def test_the_data_that_would_be_lost_is_reported(aws: Aws, look: Look) -> None:
    assert (
        RdsInstance.holds(aws, look())
        == "a PostgreSQL 16 database of 20 GB (a final snapshot and its backups would stay)"
    )


def test_the_reason_of_a_reverted_change_is_read_from_the_events(aws: Aws, look: Look, session: boto3.Session) -> None:
    messages = ["Applying modification", "Unable to modify the DB instance class: insufficient capacity", "Restarted"]
    events = {"Events": [{"Message": message} for message in messages]}
    session.events.register("before-call.rds.DescribeEvents", lambda **_: (OK, events))

    assert RdsInstance.rollback_reason(aws, look()) == messages[1]


def _make(aws: Aws, **more: Any) -> None:
    name = {"DBInstanceIdentifier": DB.name}
    aws.rds.create_db_instance(**name, DBInstanceClass="db.t3.micro", Engine="postgres", **more)
