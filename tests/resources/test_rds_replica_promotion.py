"""A read replica becomes an instance of its own once, with backups, however often that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto.backends import get_backend

from orderops.aws.client import Aws
from orderops.engine.resource import Effect
from orderops.engine.step import Action
from orderops.resources.rds_replica_promotion import RdsReplicaPromotion
from support.contract import Up
from support.laptop import until
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client
from support.tag_keys import ADDRESS, ENVIRONMENT

DATABASE, REPLICA = "orderops-dev-database", "orderops-dev-database-replica-1"
PROMOTION = RdsReplicaPromotion(REPLICA, 7, "16:00-16:30")


@pytest.fixture(scope="module")
def strict() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(session: boto3.Session, strict: Client, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An account with a database and its replica."""
    aws = strict_aws(strict, monkeypatch)
    aws.rds.create_db_instance(
        DBInstanceIdentifier=DATABASE,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="boss",
        MasterUserPassword="chosen-by-hand",
    )
    until(lambda: described(aws, DATABASE)["DBInstanceStatus"] == "available", what="the database")
    tags = {"Name": REPLICA, ENVIRONMENT: "dev", ADDRESS: PROMOTION.address}
    aws.rds.create_db_instance_read_replica(
        DBInstanceIdentifier=REPLICA,
        SourceDBInstanceIdentifier=DATABASE,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    until(lambda: described(aws, REPLICA).get("StatusInfos"), what="the replica")
    return aws


def described(aws: Aws, name: str) -> dict[str, object]:
    (found,) = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return dict(found)


def test_a_promoted_replica_has_no_source_and_keeps_backups(aws: Aws, up: Up) -> None:
    planned = up(PROMOTION, dry_run=True)[PROMOTION.address]
    assert described(aws, REPLICA)["ReadReplicaSourceDBInstanceIdentifier"] == DATABASE

    done = up(PROMOTION)[PROMOTION.address]

    assert done.changes == planned.changes
    assert planned.changes["SourceDBInstanceIdentifier"] == (DATABASE, None)
    assert planned.changes["BackupRetentionPeriod"] == (0, 7)
    assert planned.effect is Effect.INTERRUPTS
    found = described(aws, REPLICA)
    assert "ReadReplicaSourceDBInstanceIdentifier" not in found
    assert (found["BackupRetentionPeriod"], found["PreferredBackupWindow"]) == (7, "16:00-16:30")
    assert up(PROMOTION)[PROMOTION.address].action is Action.NO_OP


def test_a_replica_that_was_promoted_by_hand_only_gets_the_backups(aws: Aws, up: Up) -> None:
    aws.rds.promote_read_replica(DBInstanceIdentifier=REPLICA, BackupRetentionPeriod=1)
    until(
        lambda: (
            not described(aws, REPLICA).get("ReadReplicaSourceDBInstanceIdentifier")
            and described(aws, REPLICA)["DBInstanceStatus"] == "available"
        ),
        what="the promotion",
    )

    done = up(PROMOTION)[PROMOTION.address]

    assert done.changes["BackupRetentionPeriod"] == (1, 7)
    assert "SourceDBInstanceIdentifier" not in done.changes
    assert described(aws, REPLICA)["BackupRetentionPeriod"] == 7


def test_a_replica_that_rds_works_on_is_waited_for(aws: Aws, up: Up) -> None:
    record = get_backend("rds")["123456789012"]["ap-southeast-2"].databases[REPLICA]
    aws.rds.reboot_db_instance(DBInstanceIdentifier=REPLICA)
    assert record.status == "rebooting"

    assert up(PROMOTION)[PROMOTION.address].action is Action.UPDATE

    assert "ReadReplicaSourceDBInstanceIdentifier" not in described(aws, REPLICA)
