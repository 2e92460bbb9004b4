"""Read replicas in `orderops status`: what is wrong with one is degraded with P2, and never an outage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.engine.resource import Observed
from orderops.health.cause import root_cause
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.measured import Measured
from orderops.health.replicas import read_replicas, replica_status
from orderops.health.verdict import HealthVerdict, judge
from orderops.infra.alert_rule import Priority
from orderops.infra.stack import stack
from orderops.infra.workspace import Workspace
from orderops.resources.rds_description import observed_replica
from orderops.restore.instances import Instance
from support.laptop import until
from support.strict_account import strict_account, strict_aws

PRIMARY = Instance(Observed("orderops-dev-database"))
NAME = "orderops-dev-database-replica-1"
EVENTS = f"aws rds describe-events --source-type db-instance --source-identifier {NAME} --duration 1440"
WATCH = "orderops status --watch"
OK, STARTING, DEGRADED = ComponentState.OK, ComponentState.STARTING, ComponentState.DEGRADED


def environment(**more: Any) -> Environment:
    table = {"name": "dev", "database": {"master": "own", "replicas": 1}, "services": {"shop": {}}, **more}
    return Environment.model_validate(table)


def workspace(**more: Any) -> Workspace:
    class InAccount:
        account, region = "1" * 12, "ap-southeast-2"

    declared = environment(**more)
    found = Workspace(declared, cast(Aws, InAccount()))
    vars(found)["stack"] = stack(declared, "1" * 12)
    return found


def observed(**raw: Any) -> Observed:
    """The replica as RDS describes it."""
    described_as: Mapping[str, Any] = {
        "DBInstanceIdentifier": NAME,
        "DBInstanceArn": f"arn:aws:rds:ap-southeast-2:111111111111:db:{NAME}",
        "DbiResourceId": "db-1",
        "DBInstanceStatus": "available",
        "DBInstanceClass": "db.t3.micro",
        "AllocatedStorage": 20,
        "EngineVersion": "16.4",
        "ReadReplicaSourceDBInstanceIdentifier": PRIMARY.name,
        "StatusInfos": [{"StatusType": "read replication", "Normal": True, "Status": "replicating"}],
        **raw,
    }

    return observed_replica(described_as, {"orderops:address": f"rds-read-replica/{NAME}"})


def replication(status: str, message: str = "") -> dict[str, Any]:
    info = {"StatusType": "read replication", "Status": status, "Message": message}
    return {"StatusInfos": [info] if status else []}


CASES: dict[str, tuple[dict[str, Any], Measured, ComponentState, str, str]] = {
    "it replicates": ({}, Measured(lags={NAME: 2}), OK, f"{NAME}, db.t3.micro; 2 s behind", ""),
    "nothing is measured yet": ({}, Measured(), OK, f"{NAME}, db.t3.micro", ""),
    "it is late beside a busy database": (
        {},
        Measured(writes=6, lags={NAME: 61}),
        DEGRADED,
        f"late: 1 min 1 s behind; {NAME}, db.t3.micro; 61 s behind",
        WATCH,
    ),
    "the clock of an idle database": (
        {},
        Measured(writes=5, lags={NAME: 360}),
        OK,
        f"{NAME}, db.t3.micro; 360 s behind",
        "",
    ),
    "it stands still beside an idle database": (
        {},
        Measured(lags={NAME: 361}),
        DEGRADED,
        f"late: 6 min 1 s behind; {NAME}, db.t3.micro; 361 s behind",
        WATCH,
    ),
    "CloudWatch says that it does not replicate": (
        {},
        Measured(lags={NAME: -1}),
        DEGRADED,
        f"it does not replicate; {NAME}, db.t3.micro",
        EVENTS,
    ),
    "RDS says that it does not replicate": (
        replication("error", "the slot is gone"),
        Measured(),
        DEGRADED,
        f"it does not replicate (error: the slot is gone); {NAME}, db.t3.micro",
        EVENTS,
    ),
    "RDS has ended the replication": (
        replication("terminated"),
        Measured(),
        DEGRADED,
        f"no longer replicated: RDS has terminated it; {NAME}, db.t3.micro",
        "orderops infra plan",
    ),
    "it is stopped": (
        {"DBInstanceStatus": "stopped"},
        Measured(),
        DEGRADED,
        f"stopped; {NAME}, db.t3.micro",
        "orderops up",
    ),
    "it is created": ({"DBInstanceStatus": "creating"}, Measured(), STARTING, f"creating; {NAME}, db.t3.micro", WATCH),
    "it is copied": (replication(""), Measured(), STARTING, f"copying the primary; {NAME}, db.t3.micro", WATCH),
    "it reboots": ({"DBInstanceStatus": "rebooting"}, Measured(), STARTING, f"rebooting; {NAME}, db.t3.micro", WATCH),
    "it failed": (
        {"DBInstanceStatus": "failed"},
        Measured(),
        DEGRADED,
        f"failed; {NAME}, db.t3.micro",
        "orderops infra plan",
    ),
    "it follows another instance": (
        {"ReadReplicaSourceDBInstanceIdentifier": "orderops-dev-database-before"},
        Measured(),
        DEGRADED,
        f"it follows orderops-dev-database-before, and not the database; {NAME}, db.t3.micro",
        "orderops up",
    ),
    "it was promoted by hand": (
        {"ReadReplicaSourceDBInstanceIdentifier": None},
        Measured(),
        DEGRADED,
        f"it was promoted and is a database of its own; {NAME}, db.t3.micro",
        "orderops infra plan",
    ),
}


@pytest.mark.parametrize(("raw", "measured", "state", "detail", "command"), CASES.values(), ids=CASES)
def test_the_state_of_a_replica_says_what_is_wrong_and_what_to_type(
    raw: dict[str, Any], measured: Measured, state: ComponentState, detail: str, command: str
) -> None:
    opened = workspace()

    found = replica_status(opened, opened.stack.replicas[0], observed(**raw), PRIMARY, measured)

    assert (found.name, found.state, found.detail, found.next_command) == ("replica 1", state, detail, command)
    assert found.urgency == (Priority.P2 if state is DEGRADED else None)


def test_on_the_laptop_every_second_counts_and_the_commands_are_its_own() -> None:
    opened = workspace(emulated=True, network={"zones": 2})
    late, broken = Measured(lags={NAME: 61}), Measured(lags={NAME: -1})

    found = [replica_status(opened, opened.stack.replicas[0], observed(), PRIMARY, seen) for seen in (late, broken)]

    assert [status.state for status in found] == [DEGRADED, DEGRADED]
    assert [status.next_command for status in found] == [
        f"orderops local replay {NAME} --resume",
        "orderops local logs",
    ]


def test_a_missing_replica_is_degraded_beside_a_database_and_absent_without_one() -> None:
    opened = workspace()
    replica = opened.stack.replicas[0]

    missing = replica_status(opened, replica, None, PRIMARY, Measured())

    assert (missing.state, missing.urgency, missing.next_command) == (DEGRADED, Priority.P2, "orderops up")
    assert replica_status(opened, replica, None, None, Measured()).state is ComponentState.ABSENT


def test_a_stopped_replica_is_the_cause_and_makes_nothing_down() -> None:
    opened = workspace()
    stopped = replica_status(
        opened, opened.stack.replicas[0], observed(DBInstanceStatus="stopped"), PRIMARY, Measured()
    )
    database = ComponentStatus("database", ComponentState.OK, "postgres 16.4")

    health = judge("dev", (database, stopped), {})

    assert (health.verdict, health.component, health.priority) == (HealthVerdict.DEGRADED, "replica 1", "P2")
    assert health.next == "orderops up --env dev"


def test_a_database_that_is_away_explains_its_replicas() -> None:
    opened = workspace()
    broken = replica_status(opened, opened.stack.replicas[0], observed(**replication("error")), PRIMARY, Measured())
    away = ComponentStatus("database", ComponentState.DOWN, "failed")

    cause = root_cause([away, broken])

    assert cause
    assert (cause.component.name, cause.waiting) == ("database", ["replica 1"])


def test_declared_replicas_are_read_by_their_tags_and_only_where_the_file_declares_some(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with strict_account() as account:
        aws = strict_aws(account, monkeypatch)
        settings = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20}
        aws.rds.create_db_instance(
            DBInstanceIdentifier=PRIMARY.name,
            MasterUsername="boss",
            MasterUserPassword="chosen-by-hand",
            **settings,
        )
        until(
            lambda: aws.rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == "available",
            what="the source",
        )
        for name in (NAME, f"{PRIMARY.name}-by-hand"):
            tags = [{"Key": "orderops:address", "Value": f"rds-read-replica/{name}"}]
            aws.rds.create_db_instance_read_replica(
                DBInstanceIdentifier=name, SourceDBInstanceIdentifier=PRIMARY.name, Tags=tags
            )
        opened = workspace()
        seen = Workspace(opened.environment, aws)
        vars(seen)["stack"] = opened.stack

        assert [found.name for found in read_replicas(seen).values()] == [NAME]
        without = environment(database={})
        none = Workspace(without, aws)
        vars(none)["stack"] = stack(without, "1" * 12)
        assert read_replicas(none) == {}
