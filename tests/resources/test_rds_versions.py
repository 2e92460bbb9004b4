"""Versions of PostgreSQL: raised outside, raised by the file, and never lowered."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Effect
from orderops.errors import Unfinished
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from support.contract import Up
from support.laptop import until
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("ab")
)


def database(version: str) -> RdsInstance:
    """The instance with its parameter group, as an environment file with this version declares them."""
    major = version.partition(".")[0]
    return RdsInstance(
        "orderops-dev-db",
        RdsSubnetGroup("orderops-dev-db", SUBNETS),
        RdsParameterGroup(f"orderops-dev-postgres{major}", f"postgres{major}"),
        (Ec2SecurityGroup("orderops-dev-db", VPC, "database"),),
        engine_version=version,
    )


DB = database("16.8")


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS in which only the upgrades of the RDS user guide are possible."""
    return strict_aws(account, monkeypatch)


@pytest.mark.parametrize(("raised", "line"), [("17.5", "17"), ("18.1", "18")])
def test_a_major_version_raised_outside_is_reported_with_the_line_for_the_file(
    aws: Aws, up: Up, raised: str, line: str
) -> None:
    up(DB)
    upgrade(aws, raised)

    step = up(DB, dry_run=True)[DB.address]

    assert step.error
    assert f"runs PostgreSQL {raised}, and the environment file has 16.8" in step.error.message
    assert f'engine_version = "{line}"' in step.error.hint
    assert "environments/dev.toml" in step.error.hint
    assert not {"dump", "remove", "down"} & {*step.error.hint.split(), *step.error.message.split()}
    assert step.effect is not Effect.LOSES


def test_the_line_of_the_hint_accepts_the_version_with_its_own_parameter_group(aws: Aws, up: Up) -> None:
    up(DB)
    upgrade(aws, "17.5")
    accepted = database("17")

    assert list(up(accepted)[accepted.address].changes) == ["DBParameterGroupName"]
    assert up(accepted)[accepted.address].changes == {}


def test_an_upgrade_that_waits_for_the_window_is_reported_as_waiting(aws: Aws, up: Up) -> None:
    up(DB)
    upgrade(aws, "17.5", now=False)

    error = up(DB, dry_run=True)[DB.address].error

    assert error
    assert "runs PostgreSQL 16.8 and waits to be upgraded to PostgreSQL 17.5" in error.message


def test_an_upgrade_named_in_the_file_takes_the_new_family_with_it(aws: Aws, up: Up) -> None:
    up(DB)
    upgraded = database("17")

    assert up(upgraded, dry_run=True)[upgraded.address].effect is Effect.INTERRUPTS
    up(upgraded)

    found = aws.rds.describe_db_instances(DBInstanceIdentifier=DB.name)["DBInstances"][0]
    assert found["EngineVersion"].startswith("17.")
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == "orderops-dev-postgres17"


@pytest.mark.parametrize("version", ["17.2", "17.3", "16.99"])
def test_an_upgrade_that_rds_does_not_offer_is_refused_with_those_it_offers(up: Up, version: str) -> None:
    up(DB)
    asked = database(version)

    error = up(asked, dry_run=True)[asked.address].error

    assert error
    assert f"cannot upgrade orderops-dev-db from PostgreSQL 16.8 to {version}" in error.message
    assert "reachable: 16.9, 16.10, " in error.message
    assert "17.4, " in error.message
    with pytest.raises(Unfinished):
        up(asked)


def test_a_minor_upgrade_in_reach_is_planned(up: Up) -> None:
    up(DB)
    asked = database("16.10")

    step = up(asked, dry_run=True)[asked.address]

    assert (step.changes, step.error) == ({"EngineVersion": ("16.8", "16.10")}, None)


def upgrade(aws: Aws, version: str, *, now: bool = True) -> None:
    """Upgrade the instance as an operator does in the console."""
    family = f"postgres{version.partition('.')[0]}"
    aws.rds.create_db_parameter_group(
        DBParameterGroupName="by-hand", DBParameterGroupFamily=family, Description="by hand"
    )
    aws.rds.modify_db_instance(
        DBInstanceIdentifier=DB.name,
        EngineVersion=version,
        DBParameterGroupName="by-hand",
        AllowMajorVersionUpgrade=True,
        ApplyImmediately=now,
    )
    if now:
        wait_for(aws, version)


def wait_for(aws: Aws, version: str) -> None:
    """Wait until RDS has carried out the upgrade."""
    until(
        lambda: (
            aws.rds.describe_db_instances(DBInstanceIdentifier=DB.name)["DBInstances"][0]["EngineVersion"] == version
        ),
        what="the upgrade",
    )
