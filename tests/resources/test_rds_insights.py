"""Database Insights: the mode is sent with what RDS wants with it, compared, and carried by a restore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_restored_instance import RdsRestoredInstance
from support.contract import Up
from support.declared_database import DB as STANDARD
from support.laptop import until
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

ADVANCED = replace(STANDARD, database_insights="advanced")


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS that refuses the advanced mode without 465 days of Performance Insights."""
    return strict_aws(account, monkeypatch)


def insights(aws: Aws, name: str = STANDARD.name) -> tuple[Any, ...]:
    found = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return (
        found["DatabaseInsightsMode"],
        found["PerformanceInsightsEnabled"],
        found["PerformanceInsightsRetentionPeriod"],
    )


def test_an_instance_is_made_in_the_advanced_mode_with_its_retention(aws: Aws, up: Up) -> None:
    up(ADVANCED)

    assert insights(aws) == ("advanced", True, 465)
    assert up(ADVANCED)[ADVANCED.address].action is Action.NO_OP


def test_the_mode_changes_both_ways_in_one_run(aws: Aws, up: Up) -> None:
    up(STANDARD)
    assert insights(aws) == ("standard", True, 7)

    step = up(ADVANCED)[ADVANCED.address]
    assert step.changes == {
        "DatabaseInsightsMode": ("standard", "advanced"),
        "PerformanceInsightsRetentionPeriod": (7, 465),
    }
    assert insights(aws) == ("advanced", True, 465)
    assert up(ADVANCED)[ADVANCED.address].action is Action.NO_OP

    assert list(up(STANDARD)[STANDARD.address].changes) == ["DatabaseInsightsMode"]
    assert insights(aws) == ("standard", True, 7)
    assert up(STANDARD)[STANDARD.address].action is Action.NO_OP


def test_a_mode_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(ADVANCED)
    aws.rds.modify_db_instance(DBInstanceIdentifier=STANDARD.name, DatabaseInsightsMode="standard")

    assert up(ADVANCED)[ADVANCED.address].changes == {"DatabaseInsightsMode": ("standard", "advanced")}
    assert insights(aws) == ("advanced", True, 465)


def test_a_longer_retention_of_the_advanced_mode_is_kept(aws: Aws, up: Up) -> None:
    up(ADVANCED)
    aws.rds.modify_db_instance(DBInstanceIdentifier=STANDARD.name, PerformanceInsightsRetentionPeriod=731)

    assert up(ADVANCED)[ADVANCED.address].action is Action.NO_OP


@pytest.mark.parametrize(("disposable", "expected"), [(False, ("advanced", True, 465)), (True, ("standard", False))])
def test_a_restored_instance_has_the_mode_of_its_source_and_a_copy_has_none(
    aws: Aws, up: Up, disposable: bool, expected: tuple[Any, ...]
) -> None:
    up(ADVANCED)
    until(
        lambda: aws.rds.describe_db_instances()["DBInstances"][0].get("LatestRestorableTime"), what="a restorable time"
    )
    (source,) = RdsInstance.listing(aws, Ownership("dev"))
    copy = RdsRestoredInstance("orderops-dev-db-restored", source, disposable=disposable)

    up(copy)

    found = aws.rds.describe_db_instances(DBInstanceIdentifier=copy.name)["DBInstances"][0]
    keys = ("DatabaseInsightsMode", "PerformanceInsightsEnabled", "PerformanceInsightsRetentionPeriod")
    assert tuple(found[key] for key in keys if key in found) == expected
    assert up(copy)[copy.address].action is Action.NO_OP
