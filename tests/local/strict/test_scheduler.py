from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support.laptop import until
from support.strict_clients import Client, Refused

CLUSTER = "arn:aws:ecs:ap-southeast-2:123456789012:cluster/dev"
FAMILY = "arn:aws:ecs:ap-southeast-2:123456789012:task-definition/board"
TARGET: dict[str, Any] = {"Arn": CLUSTER, "EcsParameters": {"TaskDefinitionArn": FAMILY}}
TAGS = [{"Key": "orderops:environment", "Value": "dev"}]


def role(client: Client, principal: str = "scheduler.amazonaws.com") -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return str(client("iam").create_role(RoleName="starter", AssumeRolePolicyDocument=trust)["Role"]["Arn"])


@pytest.fixture
def schedule(moto: Client) -> dict[str, Any]:
    """A schedule in a group of its own, with a role that has been known for long: plain moto makes no new ones."""
    group = moto("scheduler").create_schedule_group(Name="dev", Tags=TAGS)
    assert group["ScheduleGroupArn"]
    return {
        "Name": "board",
        "GroupName": "dev",
        "ScheduleExpression": "rate(5 minutes)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {**TARGET, "RoleArn": role(moto)},
    }


WRONG: dict[str, dict[str, Any]] = {
    "words": {"ScheduleExpression": "every day"},
    "a rate of nothing": {"ScheduleExpression": "rate(0 minutes)"},
    "a rate in seconds": {"ScheduleExpression": "rate(30 seconds)"},
    "cron with five fields": {"ScheduleExpression": "cron(0 3 * * ?)"},
    "a day that does not exist": {"ScheduleExpression": "at(2030-02-30T03:00:00)"},
    "a time with a zone": {"ScheduleExpression": "at(2030-02-20T03:00:00Z)"},
    "a zone of another planet": {"ScheduleExpressionTimezone": "Mars/X"},
    "a window without its length": {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
    "a window of more than a day": {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}},
    "a length without a window": {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}},
}
WRONG_TARGETS: dict[str, dict[str, Any]] = {
    "too many attempts": {"RetryPolicy": {"MaximumRetryAttempts": 186}},
    "an age above a day": {"RetryPolicy": {"MaximumEventAgeInSeconds": 86_401}},
    "a task on a queue": {"Arn": "arn:aws:sqs:ap-southeast-2:123456789012:orders"},
    "a queue in order": {"DeadLetterConfig": {"Arn": "arn:aws:sqs:ap-southeast-2:123456789012:failed.fifo"}},
    "a role that does not exist": {"RoleArn": "arn:aws:iam::123456789012:role/nobody"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_schedule_is_checked(strict: Client, refused: Refused, schedule: dict[str, Any], change: Any) -> None:
    with refused("ValidationException"):
        strict("scheduler").create_schedule(**{**schedule, **change})


@pytest.mark.parametrize("change", WRONG_TARGETS.values(), ids=WRONG_TARGETS)
def test_a_target_is_checked(strict: Client, refused: Refused, schedule: dict[str, Any], change: Any) -> None:
    with refused("ValidationException"):
        strict("scheduler").create_schedule(**{**schedule, "Target": {**schedule["Target"], **change}})


@pytest.mark.parametrize("text", ["rate(1 minute)", "rate(2 days)", "cron(0 3 * * ? *)", "at(2030-02-20T03:00:00)"])
def test_each_kind_of_expression_is_accepted(strict: Client, schedule: dict[str, Any], text: str) -> None:
    strict("scheduler").create_schedule(**{**schedule, "ScheduleExpression": text})

    assert strict("scheduler").get_schedule(Name="board", GroupName="dev")["ScheduleExpression"] == text


def test_a_role_that_others_assume_cannot_start_anything(
    strict: Client, moto: Client, refused: Refused, schedule: dict[str, Any]
) -> None:
    moto("iam").delete_role(RoleName="starter")
    role(moto, "ecs-tasks.amazonaws.com")

    with refused("ValidationException"):
        strict("scheduler").create_schedule(**schedule)


def test_a_new_role_is_known_after_a_while(
    strict: Client, moto: Client, refused: Refused, schedule: dict[str, Any]
) -> None:
    moto("iam").delete_role(RoleName="starter")
    role(strict)

    with refused("ValidationException"):
        strict("scheduler").create_schedule(**schedule)
    time.sleep(1.6)
    strict("scheduler").create_schedule(**schedule)


def test_a_schedule_is_found_in_its_group_only(strict: Client, refused: Refused, schedule: dict[str, Any]) -> None:
    scheduler = strict("scheduler")
    scheduler.create_schedule(**schedule)

    with refused("ResourceNotFoundException"):
        scheduler.get_schedule(Name="board")
    with refused("ResourceNotFoundException"):
        scheduler.delete_schedule(Name="board")
    with refused("ResourceNotFoundException"):
        scheduler.update_schedule(**{key: value for key, value in schedule.items() if key != "GroupName"})
    with refused("ResourceNotFoundException"):
        scheduler.create_schedule(**{**schedule, "GroupName": "prod"})
    with refused("ConflictException"):
        scheduler.create_schedule(**schedule)


def test_an_update_replaces_what_it_leaves_out(strict: Client, schedule: dict[str, Any]) -> None:
    scheduler = strict("scheduler")
    more = {"State": "DISABLED", "ScheduleExpressionTimezone": "Australia/Sydney", "ActionAfterCompletion": "DELETE"}
    scheduler.create_schedule(**schedule, **more)

    scheduler.update_schedule(**schedule)

    found = scheduler.get_schedule(Name="board", GroupName="dev")
    assert {key: found[key] for key in more} == {
        "State": "ENABLED",
        "ScheduleExpressionTimezone": "UTC",
        "ActionAfterCompletion": "NONE",
    }


def test_a_paused_schedule_stays_paused_where_the_update_says_so(strict: Client, schedule: dict[str, Any]) -> None:
    paused = {**schedule, "State": "DISABLED", "ActionAfterCompletion": "DELETE"}
    strict("scheduler").create_schedule(**schedule)

    strict("scheduler").update_schedule(**paused)

    found = strict("scheduler").get_schedule(Name="board", GroupName="dev")
    assert (found["State"], found["ActionAfterCompletion"]) == ("DISABLED", "DELETE")


def test_groups_have_names_of_their_own_and_schedules_no_tags(
    strict: Client, refused: Refused, schedule: dict[str, Any]
) -> None:
    scheduler = strict("scheduler")
    arn = scheduler.create_schedule(**schedule)["ScheduleArn"]
    group = scheduler.get_schedule_group(Name="dev")["Arn"]

    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == TAGS
    with refused("ConflictException"):
        scheduler.create_schedule_group(Name="dev")
    with refused("ValidationException"):
        scheduler.create_schedule_group(Name="a group")
    with refused("ValidationException"):
        scheduler.tag_resource(ResourceArn=arn, Tags=TAGS)
    with refused("ResourceNotFoundException"):
        scheduler.list_tags_for_resource(ResourceArn=f"{group}-other")


def test_only_a_group_that_exists_and_is_ours_is_deleted(
    strict: Client, refused: Refused, schedule: dict[str, Any]
) -> None:
    scheduler = strict("scheduler")
    scheduler.create_schedule(**schedule)
    scheduler.delete_schedule_group(Name="dev")

    with refused("ResourceNotFoundException"):
        scheduler.get_schedule(Name="board", GroupName="dev")
    with refused("ResourceNotFoundException"):
        scheduler.delete_schedule_group(Name="another")
    with refused("ValidationException"):
        scheduler.delete_schedule_group(Name="default")


def test_a_deleted_group_takes_no_schedule_is_gone_after_a_while_and_can_then_be_made_again(
    strict: Client, refused: Refused, schedule: dict[str, Any]
) -> None:
    scheduler = strict("scheduler")
    assert scheduler.get_schedule_group(Name="dev")["State"] == "ACTIVE"
    scheduler.delete_schedule_group(Name="dev")

    assert scheduler.get_schedule_group(Name="dev")["State"] == "DELETING"
    with refused("ConflictException"):
        scheduler.create_schedule_group(Name="dev")
    with refused("ConflictException"):
        scheduler.create_schedule(**schedule)
    with refused("ConflictException"):
        scheduler.delete_schedule_group(Name="dev")

    until(lambda: "dev" not in [group["Name"] for group in groups(scheduler)], what="the group is gone")
    with refused("ResourceNotFoundException"):
        scheduler.get_schedule_group(Name="dev")
    scheduler.create_schedule_group(Name="dev")
    scheduler.create_schedule(**schedule)
    assert scheduler.get_schedule_group(Name="dev")["State"] == "ACTIVE"


def groups(scheduler: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scheduler.list_schedule_groups()["ScheduleGroups"]
    return found
