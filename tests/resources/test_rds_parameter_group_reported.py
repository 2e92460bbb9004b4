"""Parameter groups as RDS returns them: what equals the family's default is not a parameter of the user."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.rds_parameter_group import RdsParameterGroup
from support.contract import Up, keeps_its_promises
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

# rds.force_ssl and shared_preload_libraries have these values in the family postgres16 of RDS.
GROUP = RdsParameterGroup(
    "orderops-dev-postgres16",
    "postgres16",
    {"rds.force_ssl": "1", "shared_preload_libraries": "pg_stat_statements", "log_min_duration_statement": "500"},
)


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS in which a group is read as RDS returns it."""
    return strict_aws(account, monkeypatch)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(GROUP, aws, up, parameters={**GROUP.parameters, "log_min_duration_statement": "1000"})


def test_a_parameter_equal_to_the_familys_default_is_no_difference(up: Up) -> None:
    up(GROUP)

    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_a_default_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(GROUP)
    off = {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
    aws.rds.modify_db_parameter_group(DBParameterGroupName=GROUP.name, Parameters=[off])

    changes = up(GROUP)[GROUP.address].changes["Parameters"]

    assert (changes[0]["rds.force_ssl"], changes[1]["rds.force_ssl"]) == ("0", "1")
    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_a_parameter_set_by_hand_and_not_declared_is_reset(aws: Aws, up: Up) -> None:
    up(GROUP)
    extra = {"ParameterName": "work_mem", "ParameterValue": "65536", "ApplyMethod": "immediate"}
    aws.rds.modify_db_parameter_group(DBParameterGroupName=GROUP.name, Parameters=[extra])

    assert up(GROUP)[GROUP.address].changes["Parameters"][0]["work_mem"] == "65536"
    assert up(GROUP)[GROUP.address].action is Action.NO_OP


@pytest.mark.parametrize(
    "value",
    ["pg_stat_statements,auto_explain", "pg_stat_statements, auto_explain", " pg_stat_statements ,auto_explain"],
)
def test_a_list_may_be_written_with_spaces(up: Up, value: str) -> None:
    group = replace(GROUP, parameters={"shared_preload_libraries": value})
    up(group)

    assert up(group)[group.address].action is Action.NO_OP


@pytest.mark.parametrize(
    ("name", "value"),
    [("log_disconnections", "on"), ("log_checkpoints", "true"), ("random_page_cost", "1.10"), ("work_mem", "065536")],
)
def test_a_value_that_rds_writes_otherwise_is_no_difference(up: Up, name: str, value: str) -> None:
    group = replace(GROUP, parameters={name: value})
    up(group)

    assert up(group)[group.address].action is Action.NO_OP
