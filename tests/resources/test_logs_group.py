"""Log groups."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.logs_group import LogsGroup
from support.contract import Up, keeps_its_promises
from support.faults import Fault, Faults, PowerCut

GROUP = LogsGroup("/orderops/dev/order-processor", retention_days=7)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(GROUP, aws, up, retention_days=30)


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(GROUP)
    aws.logs.delete_retention_policy(logGroupName=GROUP.name)

    assert up(GROUP)[GROUP.address].changes == {"retentionInDays": (None, 7)}
    assert aws.logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("logs", after=call), pytest.raises(PowerCut):
        up(GROUP)

    up(GROUP)

    assert up(GROUP)[GROUP.address].action is Action.NO_OP
    assert len(aws.logs.describe_log_groups()["logGroups"]) == 1


def test_a_lost_answer_makes_no_second_group(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("logs", "CreateLogGroup"):
        assert up(GROUP)[GROUP.address].action is Action.CREATE

    assert aws.logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7


def test_a_log_group_with_a_longer_name_is_another_group(aws: Aws, up: Up) -> None:
    other = LogsGroup(f"{GROUP.name}-audit", retention_days=90)
    up(other)

    assert up(GROUP)[GROUP.address].action is Action.CREATE
    assert up(GROUP, other)[other.address].action is Action.NO_OP


def test_a_group_made_again_by_its_writers_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    aws.logs.create_log_group(logGroupName=GROUP.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(GROUP)
    step = up(GROUP, adopt=[GROUP.address])[GROUP.address]

    assert step.action is Action.ADOPT
    assert step.changes["retentionInDays"] == (None, 7)
    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_the_arn_has_the_form_for_tags_and_flow_logs(aws: Aws, up: Up) -> None:
    up(GROUP)

    arns = [observed.arn for observed in LogsGroup.listing(aws, Ownership("dev"))]

    assert arns == [f"arn:aws:logs:ap-southeast-2:{aws.account}:log-group:{GROUP.name}"]


def test_any_number_of_unchanged_groups_cost_one_call(aws: Aws, up: Up, the_faults: Faults) -> None:
    groups = [GROUP, LogsGroup("/orderops/dev/vpc", retention_days=7), LogsGroup("/orderops/dev/db", retention_days=7)]
    up(*groups)
    the_faults.calls.clear()

    assert {step.action for step in up(*groups).values()} == {Action.NO_OP}
    assert sorted(the_faults.calls) == ["logs.DescribeLogGroups", "resourcegroupstaggingapi.GetResources"]
