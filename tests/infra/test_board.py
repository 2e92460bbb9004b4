"""What makes AWS publish the board: what is declared, what its task carries, and what it may do."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.config.render import file_text
from orderops.engine.resource import Effect, Outputs, Resource
from orderops.iam.actions import actions_for
from orderops.infra.limits import names_in, taken_names
from orderops.infra.stack import Stack, stack
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import IamRole
from orderops.resources.scheduler_schedule import SchedulerSchedule
from support.repository import ENVIRONMENTS

ACCOUNT = "123456789012"
BUCKET = "orderops-dev-board-acme"
SERVICES = {"shop-worker": {"role": "worker", "works_for": "shop", "max_tasks": 1}, "shop": {"max_tasks": 2}}
RENEWED = {"bucket": BUCKET, "publish_every": "5m"}


def environment(board: dict[str, Any] | None = None, **more: Any) -> Environment:
    tables = {"database": {}, "services": SERVICES, "board": RENEWED if board is None else board}
    return Environment.model_validate({"name": "dev", **tables, **more})


def declared(board: dict[str, Any] | None = None, **more: Any) -> Stack:
    return stack(environment(board, **more), ACCOUNT)


def addresses(found: Stack) -> set[str]:
    return {resource.address for resource in [*found.infra, *found.release({})]}


def resource(found: Stack, address: str) -> Resource:
    (match,) = [other for other in [*found.infra, *found.release({"shop": "shop:7"})] if other.address == address]
    return match


def statements(found: Stack, role: str) -> list[dict[str, Any]]:
    declared_role = resource(found, f"iam-role/{role}")
    assert isinstance(declared_role, IamRole)
    document = declared_role.desired(Outputs("ap-southeast-2", ACCOUNT))["InlinePolicies"]["orderops"]
    return list(document["Statement"])


def test_a_schedule_needs_a_task_a_group_a_queue_with_an_alarm_a_log_and_three_roles() -> None:
    assert addresses(declared()) - addresses(declared({"bucket": BUCKET})) == {
        "cloudwatch-alarm/orderops-dev-schedules-failed",
        "ecs-task-definition/orderops-dev-board",
        "iam-role/orderops-dev-board-execution",
        "iam-role/orderops-dev-board-schedule",
        "iam-role/orderops-dev-board-task",
        "logs-group//orderops/dev/board",
        "scheduler-group/orderops-dev",
        "scheduler-schedule/board",
        "sqs-queue/orderops-dev-failed-schedules",
    }


def test_the_schedule_is_a_part_of_the_release_of_the_first_service_that_gets_requests() -> None:
    def released(*services: str) -> set[str]:
        return {resource.address for resource in declared().release({}, only=services)}

    assert {"scheduler-schedule/board", "ecs-task-definition/orderops-dev-board"} <= released("shop")
    assert not [address for address in released("shop-worker") if address.endswith("board")]


def test_its_task_runs_the_released_image_and_restarts_nothing() -> None:
    definition = resource(declared(), "ecs-task-definition/orderops-dev-board")
    assert isinstance(definition, EcsTaskDefinition)

    desired = definition.desired(Outputs("ap-southeast-2", ACCOUNT))

    assert (desired["Image"], desired["Port"], desired["Secrets"]) == ("shop:7", None, {})
    assert desired["Environment"]["HOME"] == "/tmp"
    assert {definition.effect(key, None, value) for key, value in desired.items()} == {Effect.SAFE}


@pytest.mark.parametrize(
    ("every", "rate"), [("1m", "rate(1 minute)"), ("5m", "rate(5 minutes)"), ("2h", "rate(120 minutes)")]
)
def test_the_file_says_how_often(every: str, rate: str) -> None:
    schedule = resource(declared({"bucket": BUCKET, "publish_every": every}), "scheduler-schedule/board")

    assert schedule.desired(Outputs("ap-southeast-2", ACCOUNT))["ScheduleExpression"] == rate


def test_the_schedule_follows_the_service_so_that_a_failed_release_is_not_published_with() -> None:
    schedule = resource(declared(), "scheduler-schedule/board")
    assert isinstance(schedule, SchedulerSchedule)

    assert {"ecs-service/orderops-dev-shop", "ecs-task-definition/orderops-dev-board"} <= {
        need.address for need in schedule.needs()
    }


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_a_task_carries_the_environment_as_the_file_declares_it(name: str) -> None:
    shipped = load_environment(name, ENVIRONMENTS)

    carried = Environment.model_validate({"name": name, **tomllib.loads(file_text(shipped))})

    assert carried == shipped
    # What is left out is a default, of the orderops in the task too.
    assert carried.model_fields_set == shipped.model_fields_set


def test_a_task_carries_lists_dates_and_quoted_texts() -> None:
    text = """
tags = { "cost center" = "a b" }
[database]
[services.shop]
max_tasks = 2
[services.shop.variables]
GREETING = 'say "hello" \\ and ümlaut'
[drift.ignore."sqs-queue/orderops-dev-shop-queue"]
properties = ["VisibilityTimeout"]
reason = "until the move"
until = 2030-01-02
"""
    given = Environment.model_validate({"name": "dev", **tomllib.loads(text)})

    assert Environment.model_validate({"name": "dev", **tomllib.loads(file_text(given))}) == given


def test_the_task_may_do_what_the_command_does_and_looks_at_what_only_trouble_makes_it_read() -> None:
    allowed = {action for one in statements(declared(), "orderops-dev-board-task") for action in one["Action"]}

    # The last change before it, tasks that are older than their secret or image, and the stages of a release.
    in_trouble = {
        "cloudtrail:LookupEvents",
        "ecs:DescribeServiceDeployments",
        "ecs:DescribeTasks",
        "ecs:ListServiceDeployments",
        "ecs:ListTasks",
        "secretsmanager:DescribeSecret",
    }
    assert allowed == actions_for(["board publish"]) | in_trouble


def test_the_task_writes_only_its_samples_and_the_page() -> None:
    writes = [
        one
        for one in statements(declared(), "orderops-dev-board-task")
        if not all(
            action.partition(":")[2].startswith(("Describe", "Get", "List", "Lookup")) for action in one["Action"]
        )
    ]

    assert writes == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": [
                "arn:aws:s3:::orderops-123456789012-ap-southeast-2/dev/board/samples/*",
                f"arn:aws:s3:::{BUCKET}/index.html",
            ],
        }
    ]


def test_the_schedule_may_start_this_task_with_its_roles_say_that_it_failed_and_nothing_else() -> None:
    role = resource(declared(), "iam-role/orderops-dev-board-schedule")
    assert isinstance(role, IamRole)
    ecs, iam = "arn:aws:ecs:ap-southeast-2:123456789012", "arn:aws:iam::123456789012:role"

    assert role.principal == "scheduler.amazonaws.com"
    assert statements(declared(), "orderops-dev-board-schedule") == [
        {
            "Effect": "Allow",
            "Action": ["ecs:RunTask"],
            "Resource": [f"{ecs}:task-definition/orderops-dev-board:*"],
            "Condition": {"ArnEquals": {"ecs:cluster": [f"{ecs}:cluster/orderops-dev-cluster"]}},
        },
        {
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": [f"{iam}/orderops-dev-board-execution", f"{iam}/orderops-dev-board-task"],
            "Condition": {"StringEquals": {"iam:PassedToService": ["ecs-tasks.amazonaws.com"]}},
        },
        {
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": ["arn:aws:sqs:ap-southeast-2:123456789012:orderops-dev-failed-schedules"],
        },
    ]


def test_roles_keep_the_path_and_the_boundary_of_the_file() -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    found = declared(iam={"path": "/apps/", "permissions_boundary": boundary})
    roles = [role for role in found.infra if isinstance(role, IamRole) and "-board-" in role.name]

    assert {(role.path, role.permissions_boundary) for role in roles} == {("/apps/", boundary)}
    assert len(roles) == 3


def test_every_name_is_declared_once_and_a_service_named_board_is_a_mistake() -> None:
    assert list(taken_names(declared())) == []
    assert "orderops-dev-board" in {name.name for name in names_in(declared())}

    (mistake,) = {
        mistake.key: mistake for mistake in taken_names(declared(services={"board": {"max_tasks": 1}}))
    }.values()

    assert mistake.key == ("services", "board")
    assert "give the service another name" in mistake.allowed


def test_a_task_carries_no_address_of_a_receiver() -> None:
    text = """
[database]
[alerts]
emails = ["team@example.com"]
https = ["https://events.example.com/KEY-1/enqueue"]
sms = ["+61400000000"]
time_zone = "Australia/Sydney"
[alerts.p0]
https = ["https://events.example.com/KEY-2/enqueue"]
[services.shop]
"""
    carried = file_text(Environment.model_validate({"name": "dev", **tomllib.loads(text)}))

    assert tomllib.loads(carried)["alerts"] == {"time_zone": "Australia/Sydney"}
    assert not re.search(r"KEY|example\.com|\+61", carried)
