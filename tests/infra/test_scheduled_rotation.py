"""What makes AWS rotate the passwords: what is declared, what its task carries, and what it may do."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Outputs
from orderops.infra.failed_schedules import schedules_of
from orderops.infra.stack import Stack, stack
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import IamRole

ACCOUNT = "123456789012"
OUTPUTS = Outputs("ap-southeast-2", ACCOUNT)
SECRETS = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:orderops/dev"


def declared(database: dict[str, Any], **more: Any) -> Stack:
    services = {"shop": {"max_tasks": 2}}
    return stack(
        Environment.model_validate({"name": "dev", "database": database, "services": services, **more}), ACCOUNT
    )


def resource(found: Stack, address: str) -> Any:
    (match,) = [other for other in [*found.infra, *found.release({"shop": "shop:7"})] if other.address == address]
    return match


def addresses(found: Stack) -> list[str]:
    return [resource.address for resource in [*found.infra, *found.release({})]]


def statements(found: Stack) -> list[dict[str, Any]]:
    role = resource(found, "iam-role/orderops-dev-rotation-task")
    assert isinstance(role, IamRole)
    return list(role.desired(OUTPUTS)["InlinePolicies"]["orderops"]["Statement"])


def test_a_file_with_rotate_days_has_aws_look_every_day_and_rotate_what_is_older() -> None:
    schedule = resource(declared({"rotate_days": 30}), "scheduler-schedule/rotation")

    desired = schedule.desired(OUTPUTS)

    assert desired["ScheduleExpression"] == "rate(1440 minutes)"
    (override,) = desired["Input"]["containerOverrides"]
    assert override["command"][-5:] == ["database", "rotate", "--if-older", "30d", "--yes"]
    assert set(addresses(declared({"rotate_days": 30}))) - set(addresses(declared({}))) == {
        "cloudwatch-alarm/orderops-dev-schedules-failed",
        "ecs-task-definition/orderops-dev-rotation",
        "iam-role/orderops-dev-rotation-execution",
        "iam-role/orderops-dev-rotation-schedule",
        "iam-role/orderops-dev-rotation-task",
        "logs-group//orderops/dev/rotation",
        "scheduler-group/orderops-dev",
        "scheduler-schedule/rotation",
        "sqs-queue/orderops-dev-failed-schedules",
    }


def test_the_board_and_the_rotation_share_the_group_of_schedules_and_the_queue() -> None:
    board = {"bucket": "orderops-dev-board-acme", "publish_every": "5m"}

    both = addresses(declared({"rotate_days": 30}, board=board))

    assert both.count("scheduler-group/orderops-dev") == 1
    assert both.count("sqs-queue/orderops-dev-failed-schedules") == 1
    assert {"scheduler-schedule/board", "scheduler-schedule/rotation"} <= set(both)


@pytest.mark.parametrize("database", [{}, {"rotate_days": 30}])
@pytest.mark.parametrize("board", [{}, {"bucket": "orderops-dev-board-acme", "publish_every": "5m"}])
def test_the_schedules_that_are_watched_are_those_that_are_made(database: dict[str, Any], board: Any) -> None:
    found = declared(database, board=board)
    made = [address.partition("/")[2] for address in addresses(found) if address.startswith("scheduler-schedule/")]

    assert sorted(schedules_of(found.environment)) == sorted(made)


def test_its_task_reaches_the_database_directly_however_operators_do() -> None:
    definition = resource(declared({"rotate_days": 30, "access": "task"}), "ecs-task-definition/orderops-dev-rotation")
    assert isinstance(definition, EcsTaskDefinition)

    carried = tomllib.loads(definition.desired(OUTPUTS)["Environment"]["ORDEROPS_ENVIRONMENT_FILE"])

    assert carried["database"] == {"rotate_days": 30, "access": "direct"}


def test_its_task_assumes_no_role_of_operators() -> None:
    found = declared({"rotate_days": 30}, role=f"arn:aws:iam::{ACCOUNT}:role/operator")
    definition = resource(found, "ecs-task-definition/orderops-dev-rotation")

    carried = tomllib.loads(definition.desired(OUTPUTS)["Environment"]["ORDEROPS_ENVIRONMENT_FILE"])

    assert "role" not in carried


def test_it_may_write_the_secrets_of_logins_and_the_record_and_change_nothing_else() -> None:
    """Which secrets these are is known when they are made."""
    found = declared({"rotate_days": 30, "master": "own"})
    writes = {
        action: one["Resource"]
        for one in statements(found)
        for action in one["Action"]
        if not action.partition(":")[2].startswith(("Describe", "Get", "List"))
    }

    assert writes["s3:PutObject"] == ["arn:aws:s3:::orderops-123456789012-ap-southeast-2/dev/*"]
    assert set(writes) == {
        "s3:PutObject",
        "secretsmanager:PutSecretValue",
        "secretsmanager:TagResource",
        "secretsmanager:UpdateSecretVersionStage",
    }
