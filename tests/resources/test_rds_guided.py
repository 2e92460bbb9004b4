"""A class at once carries out what waits; a class for the window leaves everything there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.rds_guided import guided
from support.contract import Up
from support.declared_database import DB
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

LARGER = replace(DB, instance_class="db.t3.small")


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS in which changes wait for the maintenance window."""
    return strict_aws(account, monkeypatch)


def found(aws: Aws) -> tuple[str, dict[str, Any]]:
    raw = aws.rds.describe_db_instances(DBInstanceIdentifier=DB.name)["DBInstances"][0]
    return raw["DBInstanceClass"], raw["PendingModifiedValues"]


def test_a_class_for_the_window_is_accepted_and_waited_for_no_longer(aws: Aws, up: Up) -> None:
    up(*DB.needs(), DB)

    step = up(guided(LARGER, at_once=False))[DB.address]

    assert (step.action, step.changes) == (Action.UPDATE, {"DBInstanceClass": ("db.t3.micro", "db.t3.small")})
    assert found(aws) == ("db.t3.micro", {"DBInstanceClass": "db.t3.small"})
    assert up(guided(LARGER, at_once=False))[DB.address].action is Action.NO_OP


def test_a_class_that_waits_is_a_difference_only_at_once_and_is_in_force_then(aws: Aws, up: Up) -> None:
    up(*DB.needs(), DB)
    up(guided(LARGER, at_once=False))

    step = up(guided(LARGER, at_once=True))[DB.address]

    assert step.changes == {"DBInstanceClass": ("db.t3.micro", "db.t3.small")}
    assert found(aws) == ("db.t3.small", {})
    assert up(guided(LARGER, at_once=True))[DB.address].action is Action.NO_OP
