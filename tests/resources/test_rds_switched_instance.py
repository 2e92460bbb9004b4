"""The database during a switchover: waited for while it has no name, and never taken for one that is gone."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed, Outputs, State
from orderops.engine.step import Action
from orderops.errors import OrderopsError, Unfinished
from orderops.frozen import replace
from orderops.resources.rds_blue_green import RdsBlueGreenDeployment
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_switched_instance import switched
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from support.contract import Up
from support.declared_database import DB
from support.emulated_databases import backend
from support.laptop import until
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

NOW = replace(
    DB,
    engine_version="16.14",
    master=SecretsmanagerLogin("orderops/dev/database-master", "orderops", "the master user's password"),
)
LATER = replace(NOW, engine_version="16.15")
NAME = "orderops-dev-switched"


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    return strict_aws(account, monkeypatch)


@pytest.fixture
def source(aws: Aws, up: Up) -> Observed:
    """The database before the switchover, with a green instance that is ready."""
    up(*NOW.needs(), NOW)
    (found,) = RdsInstance.listing(aws, Ownership("dev", DB.address, DB.name))
    up(RdsBlueGreenDeployment(NAME, found.arn, "16.15", DB.parameter_group.name))
    (green,) = (name for name in backend().databases if "-green-" in name)
    # RDS does not say whether green has this from the database.
    aws.rds.modify_db_instance(DBInstanceIdentifier=green, EnableIAMDatabaseAuthentication=True, ApplyImmediately=True)
    until(
        lambda: (
            not aws.rds.describe_db_instances(DBInstanceIdentifier=green)["DBInstances"][0]["PendingModifiedValues"]
        ),
        what="green takes tokens",
    )
    return found


def halfway(aws: Aws) -> None:
    """Begin the switchover by hand, and stop where no instance has the name."""
    (raw,) = aws.rds.describe_blue_green_deployments()["BlueGreenDeployments"]
    identifier = raw["BlueGreenDeploymentIdentifier"]
    aws.rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    found = backend().blue_green_deployments[identifier]
    (_, nameless), (_, completed) = found.stages
    found.stages = [(0.0, nameless), (float("inf"), completed)]
    names = {raw["DBInstanceIdentifier"] for raw in aws.rds.describe_db_instances()["DBInstances"]}
    assert (DB.name in names, f"{DB.name}-old1" in names) == (False, True)


def test_the_switchover_is_sent_and_waited_for_through_the_time_without_a_name(
    aws: Aws, up: Up, source: Observed
) -> None:
    step = up(switched(LATER, NAME))[DB.address]

    (now,) = RdsInstance.listing(aws, Ownership("dev", DB.address, DB.name))
    assert (step.action, step.changes) == (Action.UPDATE, {"EngineVersion": ("16.14", "16.15")})
    assert now.properties["EngineVersionNow"] == "16.15"
    assert now.properties["DbiResourceId"] != source.properties["DbiResourceId"]
    assert up(switched(LATER, NAME))[DB.address].action is Action.NO_OP


def test_a_name_that_nothing_has_for_a_moment_is_waited_for(aws: Aws, source: Observed) -> None:
    halfway(aws)
    resource = switched(LATER, NAME)

    found = resource.occupant(aws, resource.desired(Outputs()))

    assert found is not None
    assert found.state is State.PENDING
    assert resource.detail(aws, found) is found


def test_everything_else_sees_that_the_switchover_is_not_over(aws: Aws, source: Observed) -> None:
    halfway(aws)

    with pytest.raises(OrderopsError, match="is the green instance of its blue/green deployment") as refused:
        NOW.occupant(aws, {})
    assert refused.value.hint.startswith("wait until the switchover is over")


def test_a_name_that_green_has_just_got_is_found(aws: Aws, up: Up, source: Observed) -> None:
    up(switched(LATER, NAME))

    found = NOW.occupant(aws, {})

    assert found is not None
    assert (found.id, found.properties["EngineVersionNow"]) == (DB.name, "16.15")


def test_a_deployment_that_was_deleted_meanwhile_is_named(up: Up, source: Observed) -> None:
    with pytest.raises(Unfinished, match="orderops-dev-other was deleted meanwhile"):
        up(switched(LATER, "orderops-dev-other"))
