"""Log groups that AWS makes by itself: declared with a retention, taken over, deleted, or named."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.logs_service_group import LogsServiceGroup, database_log_groups, insights_log_group
from support.contract import Up, keeps_its_promises
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

(LOGS,) = database_log_groups("orderops-dev-database", ("postgresql",), 30)
INSIGHTS = insights_log_group("orderops-dev-cluster", 7)
CLUSTER = EcsCluster("orderops-dev-cluster", log_groups=(INSIGHTS,))


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account() as client:
        yield client


@pytest.fixture
def aws(account: Client, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Aws:
    """AWS in which services make their log groups."""
    return strict_aws(account, monkeypatch)


@pytest.mark.parametrize("group", [LOGS, INSIGHTS])
def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up, group: LogsServiceGroup) -> None:
    keeps_its_promises(group, aws, up, retention_days=90)


def test_the_names_are_those_that_aws_documents() -> None:
    assert LOGS.name == "/aws/rds/instance/orderops-dev-database/postgresql"
    assert INSIGHTS.name == "/aws/ecs/containerinsights/orderops-dev-cluster/performance"


@pytest.mark.parametrize("group", [LOGS, INSIGHTS])
def test_a_group_that_aws_made_first_is_taken_over_and_gets_its_retention(
    aws: Aws, up: Up, group: LogsServiceGroup
) -> None:
    aws.logs.create_log_group(logGroupName=group.name)

    step = up(group)[group.address]

    assert (step.action, step.changes["retentionInDays"]) == (Action.ADOPT, (None, group.retention_days))
    assert up(group)[group.address].action is Action.NO_OP


def test_a_group_of_another_environment_is_not_taken_over(aws: Aws, up: Up) -> None:
    aws.logs.create_log_group(logGroupName=LOGS.name, tags={"orderops:environment": "prod"})

    error = up(LOGS, dry_run=True)[LOGS.address].error

    assert error
    assert "belongs to prod" in error.message


def test_only_groups_of_the_environment_are_found(aws: Aws) -> None:
    ours = ["/aws/rds/instance/orderops-dev-database-restored-20261110-080000/upgrade", LOGS.name, INSIGHTS.name]
    others = ["/aws/rds/instance/orderops-dev-eu-database/postgresql", "/aws/rds/instance/shop/postgresql"]
    for name in [*ours, *others, "/aws/ecs/containerinsights/orderops-dev-eu-cluster/performance"]:
        aws.logs.create_log_group(logGroupName=name)

    assert {found.name for found in LogsServiceGroup.listing(aws, Ownership("dev"))} == set(ours)


def test_groups_that_aws_made_and_orderops_never_owned_are_named_as_left(aws: Aws, up: Up) -> None:
    up(LOGS)
    aws.logs.create_log_group(logGroupName="/aws/rds/instance/orderops-dev-database-drill-1/postgresql")

    (leftover,) = LogsServiceGroup.leftovers(aws, Ownership("dev"))

    assert leftover.names == ("/aws/rds/instance/orderops-dev-database-drill-1/postgresql",)
    assert leftover.command == "aws logs delete-log-group --log-group-name NAME"


def test_a_cluster_writes_to_the_group_that_was_made_before_it(aws: Aws, up: Up) -> None:
    up(CLUSTER)

    (found,) = aws.logs.describe_log_groups(logGroupNamePrefix="/aws/ecs/")["logGroups"]
    assert (found["logGroupName"], found["retentionInDays"]) == (INSIGHTS.name, 7)
    assert up(CLUSTER)[INSIGHTS.address].action is Action.NO_OP
