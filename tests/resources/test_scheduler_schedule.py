"""Schedules that start a Fargate task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.iam_role import IamRole
from orderops.resources.scheduler_group import SchedulerGroup
from orderops.resources.scheduler_schedule import SchedulerSchedule
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises
from support.declared_service import DEFINITION, SERVICE
from support.faults import Fault, Faults, PowerCut

GROUP = SchedulerGroup("orderops-dev")
ROLE = IamRole("orderops-dev-board-schedule", "scheduler.amazonaws.com")
FAILED = SqsQueue("orderops-dev-failed-schedules")
SCHEDULE = SchedulerSchedule("board", GROUP, 5, SERVICE, DEFINITION, ROLE, FAILED, ("python", "-m", "renew"))


@pytest.fixture(autouse=True)
def _tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "5")  # without it no deployment of the emulator ever ends


def in_aws(aws: Aws) -> dict[str, Any]:
    found: dict[str, Any] = aws.scheduler.get_schedule(GroupName="orderops-dev", Name="board")
    return found


def sent(found: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The schedule as a person would send it again, with something changed."""
    keys = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")
    return {**{key: found[key] for key in keys}, **changed}


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(SCHEDULE, aws, up, minutes=1, command=("python", "-m", "another"))


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("scheduler", after=call), pytest.raises(PowerCut):
        up(SCHEDULE)

    up(SCHEDULE)

    assert {step.action for step in up(SCHEDULE).values()} == {Action.NO_OP}


def test_a_lost_answer_is_no_conflict(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("scheduler", "CreateSchedule"):
        assert up(SCHEDULE)[SCHEDULE.address].action is Action.CREATE

    assert up(SCHEDULE)[SCHEDULE.address].action is Action.NO_OP


def test_it_starts_one_task_without_a_public_address(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    found = in_aws(aws)
    target, task = found["Target"], found["Target"]["EcsParameters"]
    network = task["NetworkConfiguration"]["awsvpcConfiguration"]

    assert found["ScheduleExpression"] == "rate(5 minutes)"
    assert found["State"] == "ENABLED"
    assert target["Arn"].endswith(":cluster/orderops-dev-cluster")
    assert target["RoleArn"].endswith(":role/orderops-dev-board-schedule")
    # With its revision: AWS would start the newest one, released or not.
    assert task["TaskDefinitionArn"].endswith(":task-definition/orderops-dev-shop:1")
    assert (task["LaunchType"], task["TaskCount"], network["AssignPublicIp"]) == ("FARGATE", 1, "DISABLED")
    assert len(network["Subnets"]) == 2
    assert len(network["SecurityGroups"]) == 1
    assert json.loads(target["Input"]) == {
        "containerOverrides": [{"name": "shop", "command": ["python", "-m", "renew"]}]
    }
    assert target["DeadLetterConfig"]["Arn"].endswith(":orderops-dev-failed-schedules")


@pytest.mark.parametrize(("minutes", "age"), [(1, 60), (5, 300), (60, 3600), (1440, 3600)])
def test_a_start_is_tried_again_for_an_hour_at_most_and_never_after_the_next(
    aws: Aws, up: Up, minutes: int, age: int
) -> None:
    up(replace(SCHEDULE, minutes=minutes))

    assert in_aws(aws)["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": age}


def test_a_schedule_of_an_earlier_version_is_given_its_queue_by_an_update(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    before = in_aws(aws)
    earlier = {key: value for key, value in before["Target"].items() if key != "DeadLetterConfig"}
    earlier["RetryPolicy"] = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    aws.scheduler.update_schedule(**sent(before, Target=earlier))

    step = up(SCHEDULE)[SCHEDULE.address]

    assert step.action is Action.UPDATE
    assert set(step.changes) == {"RetryPolicy", "DeadLetterConfig"}
    assert in_aws(aws)["Target"] == before["Target"]


def test_a_rate_of_one_minute_is_in_the_singular_as_aws_wants_it(aws: Aws, up: Up) -> None:
    up(replace(SCHEDULE, minutes=1))

    assert in_aws(aws)["ScheduleExpression"] == "rate(1 minute)"


def test_a_new_revision_is_scheduled_by_the_same_run(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    newer = replace(DEFINITION, image="shop:2")
    up(replace(SCHEDULE, task_definition=newer, service=replace(SERVICE, task_definition=newer)))

    assert in_aws(aws)["Target"]["EcsParameters"]["TaskDefinitionArn"].endswith(":2")


def test_what_somebody_changed_is_set_back_and_nothing_else_is_lost(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    before = in_aws(aws)
    target = {**before["Target"], "Input": "hello"}
    aws.scheduler.update_schedule(**sent(before, State="DISABLED", Target=target))

    changes = up(SCHEDULE)[SCHEDULE.address].changes

    assert changes["State"] == ("DISABLED", "ENABLED")
    assert changes["Input"][0] == "hello"
    after = in_aws(aws)
    assert (after["State"], after["Target"]) == ("ENABLED", before["Target"])


def test_a_schedule_for_another_kind_of_target_is_set_back(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    before = in_aws(aws)
    queue = {"Arn": "arn:aws:sqs:ap-southeast-2:123456789012:q", "RoleArn": before["Target"]["RoleArn"]}
    aws.scheduler.update_schedule(**sent(before, Target=queue))

    up(SCHEDULE)

    assert in_aws(aws)["Target"] == before["Target"]


def test_a_schedule_of_the_same_name_in_another_group_is_not_ours(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    aws.scheduler.create_schedule(**{**sent(in_aws(aws)), "GroupName": "default"})
    removed = list(Inventory(aws, "dev", [SchedulerSchedule]).owned())

    assert [owned.address for owned in removed] == [SCHEDULE.address]
    list(destroy(removed, Inventory(aws, "dev", [SchedulerSchedule])))
    assert [raw["GroupName"] for raw in aws.scheduler.list_schedules()["Schedules"]] == ["default"]


def test_schedules_in_a_group_that_belongs_to_nobody_are_left_alone(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    arn = aws.scheduler.get_schedule_group(Name="orderops-dev")["Arn"]
    aws.scheduler.untag_resource(ResourceArn=arn, TagKeys=["orderops:environment"])

    assert list(Inventory(aws, "dev", [SchedulerSchedule]).owned()) == []


def test_the_schedules_of_a_group_that_is_being_deleted_are_as_good_as_gone(
    aws: Aws, up: Up, the_faults: Faults
) -> None:
    up(SCHEDULE)
    aws.scheduler.delete_schedule_group(Name="orderops-dev")
    the_faults.calls.clear()

    assert list(Inventory(aws, "dev", [SchedulerSchedule]).owned()) == []
    # AWS may still list them.
    assert "scheduler.ListSchedules" not in the_faults.calls
    assert up(SCHEDULE)[SCHEDULE.address].action is Action.CREATE


def test_the_schedule_is_deleted_before_what_it_starts_and_its_group(aws: Aws, up: Up) -> None:
    up(SCHEDULE)
    others = (SqsQueue, IamRole, type(SERVICE), type(DEFINITION))
    kinds: list[type[Resource]] = [SchedulerGroup, SchedulerSchedule, *others]
    inventory = Inventory(aws, "dev", kinds)

    steps = [step.address for step in destroy(list(inventory.owned()), inventory)]

    assert steps[0] == SCHEDULE.address
    assert {GROUP.address, ROLE.address, FAILED.address, DEFINITION.address, SERVICE.address} <= set(steps)
