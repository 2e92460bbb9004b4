"""A restored copy is upgraded with RDS's default parameters of the new version, and never made again."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.rds_upgraded_copy import RdsUpgradedCopy
from support.contract import Up
from support.declared_database import DB
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS with the upgrades and the parameter groups of the RDS user guide."""
    return strict_aws(account, monkeypatch)


def test_a_copy_has_the_later_version_and_its_default_parameters(aws: Aws, up: Up) -> None:
    up(*DB.needs(), DB)

    step = up(RdsUpgradedCopy(DB.name, "17"))[DB.address]

    found = aws.rds.describe_db_instances(DBInstanceIdentifier=DB.name)["DBInstances"][0]
    assert step.changes == {"EngineVersion": (step.changes["EngineVersion"][0], "17")}
    assert found["EngineVersion"].startswith("17.")
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres17"
    assert up(RdsUpgradedCopy(DB.name, "17"))[DB.address].action is Action.NO_OP


def test_a_copy_that_is_gone_is_not_made_again(up: Up) -> None:
    with pytest.raises(Unfinished, match="orderops-dev-db was deleted meanwhile"):
        up(RdsUpgradedCopy(DB.name, "17"))
