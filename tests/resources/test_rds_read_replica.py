"""Read replicas: created from the primary, followed until they replicate, and gone from the pointer before they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.backends import get_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Effect, State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_pointer import DatabasePointer
from support.contract import Up, keeps_its_promises, remove
from support.laptop import until
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
ZONES = tuple(f"ap-southeast-2{letter}" for letter in "abc")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", zone) for number, zone in enumerate(ZONES)
)
DB = RdsInstance(
    "orderops-dev-db",
    RdsSubnetGroup("orderops-dev-db", SUBNETS),
    RdsParameterGroup("orderops-dev-postgres16", "postgres16"),
    (Ec2SecurityGroup("orderops-dev-db", VPC, "database"),),
    max_storage_gb=100,
    master=SecretsmanagerLogin("orderops/dev/database-master", "orderops", "the master user's password"),
)
ONE, TWO = (RdsReadReplica(f"orderops-dev-db-replica-{number}", DB, number, ZONES) for number in (1, 2))
LOGIN = SecretsmanagerLogin("orderops/dev/database-login", "orderops_service")
POINTER = DatabasePointer("orderops/dev/database", DB, LOGIN)


@pytest.fixture(scope="module")
def strict() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(session: boto3.Session, strict: Client, monkeypatch: pytest.MonkeyPatch) -> Aws:
    return strict_aws(strict, monkeypatch)


def record(name: str) -> Any:
    """Return the emulator's own record of an instance."""
    return get_backend("rds")["123456789012"]["ap-southeast-2"].databases[name]


def observed(aws: Aws, name: str) -> Any:
    (found,) = [one for one in RdsReadReplica.listing(aws, Ownership("dev")) if one.name == name]
    return found


def named_in(aws: Aws) -> list[str]:
    """Return the instances that the pointer names, as their addresses begin."""
    value = json.loads(aws.secretsmanager.get_secret_value(SecretId=POINTER.name)["SecretString"])
    return [address["host"].partition(".")[0] for address in value.get("replicas", ())]


def raw(aws: Aws, name: str) -> dict[str, Any]:
    (found,) = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return dict(found)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    other = replace(
        DB, instance_class="db.t3.small", deletion_protection=True, maintenance_window="sat:17:00-sat:17:30"
    )
    keeps_its_promises(ONE, aws, up, source=other)


def test_a_replica_has_the_settings_of_the_primary_and_no_backups(aws: Aws, up: Up) -> None:
    up(ONE)

    primary, replica = raw(aws, DB.name), raw(aws, ONE.name)
    same = (
        "AllocatedStorage",
        "AutoMinorVersionUpgrade",
        "CopyTagsToSnapshot",
        "DBInstanceClass",
        "EnabledCloudwatchLogsExports",
        "EngineVersion",
        "IAMDatabaseAuthenticationEnabled",
        "MaxAllocatedStorage",
        "PerformanceInsightsEnabled",
        "PreferredMaintenanceWindow",
        "PubliclyAccessible",
        "StorageEncrypted",
        "StorageType",
        "VpcSecurityGroups",
    )
    assert {key: replica[key] for key in same} == {key: primary[key] for key in same}
    assert [group["DBParameterGroupName"] for group in replica["DBParameterGroups"]] == [DB.parameter_group.name]
    assert replica["BackupRetentionPeriod"] == 0
    assert not replica["MultiAZ"]
    assert replica["ReadReplicaSourceDBInstanceIdentifier"] == DB.name


def test_replicas_are_spread_over_the_zones_away_from_the_primary(aws: Aws, up: Up) -> None:
    up(DB)
    record(DB.name).availability_zone = ZONES[1]
    third = replace(ONE, name="orderops-dev-db-replica-3", number=3)

    up(ONE, TWO, third)

    assert [raw(aws, name)["AvailabilityZone"] for name in (ONE.name, TWO.name, third.name)] == [
        ZONES[0],
        ZONES[2],
        ZONES[1],
    ]


def test_a_replica_is_ready_once_it_replicates(aws: Aws, up: Up) -> None:
    up(ONE)
    assert observed(aws, ONE.name).properties["Replicating"]

    for status, state, replicates in (
        ("", State.PENDING, False),
        ("stopped", State.READY, False),
        ("error", State.READY, False),
        ("terminated", State.FAILED, False),
        ("replicating", State.READY, True),
    ):
        record(ONE.name).replication_status = status
        found = observed(aws, ONE.name)
        assert (found.state, found.properties["Replicating"]) == (state, replicates), status


def test_a_terminated_replication_is_named_with_what_makes_it_again(aws: Aws, up: Up) -> None:
    up(ONE)
    record(ONE.name).replication_status = "terminated"

    with pytest.raises(Unfinished) as failed:
        up(ONE)

    assert "no longer replicated: RDS has terminated it" in failed.value.message
    assert f"orderops down --only {ONE.address} --env dev" in failed.value.hint


def test_a_replica_is_never_taken_for_the_primary(aws: Aws, up: Up) -> None:
    up(ONE)
    # An operator has copied the tags of the primary to a replica of their own.
    tags = [pair for pair in raw(aws, DB.name)["TagList"] if pair["Key"].startswith("orderops:")]
    aws.rds.create_db_instance_read_replica(
        DBInstanceIdentifier="orderops-dev-db-by-hand", SourceDBInstanceIdentifier=DB.name, Tags=tags
    )

    assert [found.name for found in RdsInstance.listing(aws, Ownership("dev"))] == [DB.name]
    assert up(DB, ONE)[DB.address].action is Action.NO_OP


def test_the_pointer_names_replicas_in_order_while_they_replicate(aws: Aws, up: Up) -> None:
    up(replace(POINTER, replicas=(TWO, ONE)))
    assert named_in(aws) == [ONE.name, TWO.name]

    record(ONE.name).replication_status = "stopped"
    up(replace(POINTER, replicas=(TWO, ONE)))
    assert named_in(aws) == [TWO.name]

    record(ONE.name).replication_status = "replicating"
    up(replace(POINTER, replicas=(TWO, ONE)))
    assert named_in(aws) == [ONE.name, TWO.name]
    assert up(replace(POINTER, replicas=(ONE, TWO)))[POINTER.address].action is Action.NO_OP

    up(POINTER)
    value = json.loads(aws.secretsmanager.get_secret_value(SecretId=POINTER.name)["SecretString"])
    assert "replicas" not in value


def test_the_plan_of_a_pointer_to_new_replicas_knows_no_address_yet(aws: Aws, up: Up) -> None:
    up(POINTER)

    step = up(replace(POINTER, replicas=(ONE,)), dry_run=True)[POINTER.address]

    assert step.changes["SecretString"][1]["replicas"] == [
        {"host": "(known after apply)", "port": "(known after apply)"}
    ]


def test_a_replica_leaves_the_pointer_before_it_is_deleted(aws: Aws, up: Up) -> None:
    up(replace(POINTER, replicas=(ONE, TWO)))
    record(ONE.name).deletion_protection = True

    RdsReadReplica.delete(aws, observed(aws, ONE.name))

    assert raw(aws, ONE.name)["DBInstanceStatus"] == "available"
    assert named_in(aws) == [TWO.name]


def test_a_protected_replica_is_deleted_without_a_snapshot(aws: Aws, up: Up) -> None:
    protected = replace(ONE, source=replace(DB, deletion_protection=True))
    up(protected)

    remove(protected, aws)

    assert [found["DBInstanceIdentifier"] for found in aws.rds.describe_db_instances()["DBInstances"]] == [DB.name]
    assert not aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]


def test_the_primary_is_not_deleted_while_it_has_replicas(aws: Aws, up: Up) -> None:
    up(ONE)

    with pytest.raises(Unfinished, match="which RDS would promote") as failed:
        remove(DB, aws)

    assert f"--db-instance-identifier {ONE.name}" in failed.value.hint
    assert raw(aws, DB.name)["DBInstanceStatus"] == "available"


def test_a_replica_promoted_by_hand_is_kept_and_named(aws: Aws, up: Up) -> None:
    up(ONE)
    aws.rds.promote_read_replica(DBInstanceIdentifier=ONE.name)

    def promoted() -> bool:
        found = raw(aws, ONE.name)
        return found["DBInstanceStatus"] == "available" and not found.get("ReadReplicaSourceDBInstanceIdentifier")

    until(promoted, what="the replica is promoted")
    with pytest.raises(Unfinished, match="is no read replica any more") as failed:
        up(ONE)

    assert f"orderops down --only {ONE.address} --confirm {ONE.name} --env dev" in failed.value.hint
    assert "a PostgreSQL 16 database of 20 GB" in RdsReadReplica.holds(aws, observed(aws, ONE.name))
    assert [found.name for found in RdsInstance.listing(aws, Ownership("dev"))] == [DB.name]
    remove(ONE, aws)
    assert len(aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]) == 1


@pytest.mark.slow
def test_a_replica_of_another_primary_is_made_again(aws: Aws, up: Up) -> None:
    up(replace(POINTER, replicas=(ONE,)))
    before = raw(aws, ONE.name)["DbiResourceId"]
    other = replace(DB, name="orderops-dev-db-restored", master=None)
    up(other)
    aws.rds.modify_db_instance(
        DBInstanceIdentifier=other.name, ManageMasterUserPassword=False, MasterUserPassword="chosen-by-hand"
    )
    moved = replace(ONE, source=replace(other, master=DB.master))

    step = up(moved, dry_run=True)[ONE.address]
    assert step.changes == {"SourceDBInstanceIdentifier": (DB.name, other.name)}
    assert step.effect is Effect.REPLACES
    up(moved)

    assert raw(aws, ONE.name)["ReadReplicaSourceDBInstanceIdentifier"] == other.name
    assert raw(aws, ONE.name)["DbiResourceId"] != before
    assert named_in(aws) == []


@pytest.mark.slow
def test_the_name_of_a_replica_that_was_promoted_is_not_taken_again(aws: Aws, up: Up) -> None:
    up(POINTER)
    aws.rds.create_db_instance(
        DBInstanceIdentifier=ONE.name,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="orderops",
        MasterUserPassword="chosen-by-hand",
    )

    up(replace(POINTER, replicas=(ONE,)))

    assert named_in(aws) == [f"{ONE.name}-2"]
    assert up(replace(POINTER, replicas=(ONE,)))[ONE.address].action is Action.NO_OP


def test_a_replica_that_has_grown_is_no_drift(aws: Aws, up: Up) -> None:
    up(ONE)
    record(ONE.name).allocated_storage = 40

    assert up(ONE)[ONE.address].action is Action.NO_OP

    larger = replace(ONE, source=replace(DB, storage_gb=60))
    assert up(larger)[ONE.address].changes["AllocatedStorage"] == (40, 60)
