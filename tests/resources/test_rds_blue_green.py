"""A deployment: made once, waited for, deleted with its green instance, and never mistaken for another one."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.rds_blue_green import (
    RdsBlueGreenDeployment,
    deployment_name,
    replicates_logically,
    source_refusal,
)
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from support.contract import Up, keeps_its_promises
from support.declared_database import DB
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

OWN = replace(
    DB,
    engine_version="16.14",
    master=SecretsmanagerLogin("orderops/dev/database-master", "orderops", "the master user's password"),
)


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    return strict_aws(account, monkeypatch)


def observed(aws: Aws) -> Observed:
    (found,) = RdsInstance.listing(aws, Ownership("dev", DB.address, DB.name))
    return found


def test_a_deployment_is_made_and_deleted_like_any_resource(aws: Aws, up: Up) -> None:
    up(*OWN.needs(), OWN)
    source = observed(aws)
    name = deployment_name("orderops-dev", source.properties["DbiResourceId"])

    keeps_its_promises(RdsBlueGreenDeployment(name, source.arn, "16.15", OWN.parameter_group.name), aws, up)

    (raw,) = aws.rds.describe_blue_green_deployments()["BlueGreenDeployments"]
    assert (raw["BlueGreenDeploymentName"], raw["Status"]) == (name, "AVAILABLE")
    assert observed(aws).properties["Green"].startswith(f"{DB.name}-green-")


def test_the_version_of_a_deployment_is_never_changed(aws: Aws, up: Up) -> None:
    up(*OWN.needs(), OWN)
    source = observed(aws)
    made = RdsBlueGreenDeployment("orderops-dev-fixed", source.arn, "16.15", OWN.parameter_group.name)
    up(made)

    step = up(replace(made, version="17.11"), dry_run=True)[made.address]

    assert step.error is not None
    assert "EngineVersion" in step.error.message


@pytest.mark.parametrize("prefix", ["orderops-dev", "orderops-" + "a" * 70, "orderops-" + "a" * 39 + "-" + "b" * 20])
def test_a_name_is_one_that_rds_takes(prefix: str) -> None:
    name = deployment_name(prefix, "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ")

    rule = RdsBlueGreenDeployment.name_rule
    assert rule is not None
    assert (rule.excess(name), rule.allows(name)) == (0, True)
    assert name.endswith("-abcdefghij")


def test_logical_replication_counts_once_it_is_in_force(aws: Aws, up: Up) -> None:
    logical = replace(
        OWN,
        name="orderops-dev-logical",
        parameter_group=RdsParameterGroup("orderops-dev-logical", "postgres16", {"rds.logical_replication": "1"}),
    )
    up(*OWN.needs(), OWN)
    up(*logical.needs(), logical)
    (found,) = RdsInstance.listing(aws, Ownership("dev", logical.address, logical.name))
    waiting = replace(found, properties={**found.properties, "ParameterApplyStatus": "pending-reboot"})

    assert replicates_logically(aws, found)
    assert not replicates_logically(aws, waiting)
    assert not replicates_logically(aws, observed(aws))


def test_a_managed_password_and_replicas_stand_in_the_way(aws: Aws, up: Up) -> None:
    up(*OWN.needs(), OWN)
    source = observed(aws)
    managed = replace(source, properties={**source.properties, "ManageMasterUserPassword": True})

    assert "whose master password it manages" in source_refusal(aws, managed)
    assert source_refusal(aws, source) == ""
    aws.rds.create_db_instance_read_replica(DBInstanceIdentifier="by-hand", SourceDBInstanceIdentifier=source.id)
    assert "has read replicas" in source_refusal(aws, source)


def test_a_step_of_a_deployment_that_exists_is_none(aws: Aws, up: Up) -> None:
    up(*OWN.needs(), OWN)
    source = observed(aws)
    made = RdsBlueGreenDeployment("orderops-dev-once", source.arn, "16.15", OWN.parameter_group.name)

    assert [up(made)[made.address].action for _ in range(2)] == [Action.CREATE, Action.NO_OP]
