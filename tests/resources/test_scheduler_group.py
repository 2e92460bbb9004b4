"""Groups of schedules."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.scheduler_group import SchedulerGroup
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

GROUP = SchedulerGroup("orderops-dev")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(GROUP, aws, up)


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("scheduler", after=call), pytest.raises(PowerCut):
        up(GROUP)

    up(GROUP)

    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_a_lost_answer_is_no_conflict(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("scheduler", "CreateScheduleGroup"):
        assert up(GROUP)[GROUP.address].action is Action.CREATE

    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_the_group_of_an_environment_whose_name_begins_alike_is_another_one(aws: Aws, up: Up) -> None:
    aws.scheduler.create_schedule_group(Name="orderops-dev-two")

    assert list(SchedulerGroup.listing(aws, Ownership("dev"))) == []
    assert up(GROUP)[GROUP.address].action is Action.CREATE
    assert [group.name for group in SchedulerGroup.listing(aws, Ownership("dev"))] == ["orderops-dev"]


def test_a_group_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    aws.scheduler.create_schedule_group(Name=GROUP.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(GROUP)

    assert up(GROUP, adopt=[GROUP.address])[GROUP.address].action is Action.ADOPT
    assert up(GROUP)[GROUP.address].action is Action.NO_OP
