"""Why a deployment fails: tasks, their last lines, and events, in AWS's shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.resources.ecs_failure import trouble, why_deployment_failed

Why = Callable[..., list[str]]
OK = SimpleNamespace(status_code=200)
BEGAN = datetime(2026, 11, 10, 8, tzinfo=UTC)
BEFORE, DURING = BEGAN - timedelta(hours=1), BEGAN + timedelta(seconds=30)
PLACED = (
    "(service shop) was unable to place a task because no container instance met all of its requirements. "
    "Reason: No Container Instances were found in your cluster."
)
CONSISTENTLY = (
    "(service shop) is unable to consistently start tasks successfully. For more information, see the "
    "Troubleshooting section of the Amazon ECS Developer Guide."
)


def answer(
    session: boto3.Session, tasks: list[dict[str, Any]], events: list[dict[str, Any]], logs: Mapping[str, list[str]]
) -> None:
    """Let AWS answer with these tasks, events of the service and lines of log streams."""
    options = {"awslogs-group": "/orderops/dev/shop", "awslogs-stream-prefix": "task"}
    container = {"name": "shop", "logConfiguration": {"logDriver": "awslogs", "options": options}}
    answers: dict[str, Any] = {
        "ecs.ListTasks": {"taskArns": [task["taskArn"] for task in tasks]},
        "ecs.DescribeTasks": {"tasks": tasks},
        "ecs.ListServiceDeployments": {"serviceDeployments": [{"createdAt": BEGAN}, {"createdAt": BEFORE}]},
        "ecs.DescribeServices": {"services": [{"serviceName": "shop", "events": events}]},
        "ecs.DescribeTaskDefinition": {"taskDefinition": {"containerDefinitions": [container]}},
    }
    for operation, document in answers.items():
        session.events.register(f"before-call.{operation}", lambda document=document, **_: (OK, document))

    def read_log(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked = json.loads(params["body"])
        if asked["logStreamName"] not in logs:
            return SimpleNamespace(status_code=400), {"Error": {"Code": "ResourceNotFoundException", "Message": "x"}}
        return OK, {"events": [{"message": line} for line in logs[asked["logStreamName"]][-asked["limit"] :]]}

    session.events.register("before-call.logs.GetLogEvents", read_log)


def task(
    name: str, *, at: datetime = DURING, reason: str = "Essential container in task exited", code: int | None = 1
) -> Any:
    container = {"name": "shop"} | ({} if code is None else {"exitCode": code})
    return {
        "taskArn": f"arn:aws:ecs:ap-southeast-2:123456789012:task/c/{name}",
        "taskDefinitionArn": "shop:7",
        "createdAt": at,
        "stoppedAt": at,
        "stoppedReason": reason,
        "containers": [container],
    }


def event(message: str, at: datetime = DURING) -> dict[str, Any]:
    return {"id": "1", "createdAt": at, "message": message}


@pytest.fixture
def why(session: boto3.Session, aws: Aws) -> Why:
    """`why(tasks, events, logs)`: the lines that say why a deployment failed."""

    def said(
        tasks: list[dict[str, Any]],
        events: list[dict[str, Any]] | None = None,
        logs: Mapping[str, list[str]] | None = None,
    ) -> list[str]:
        answer(session, tasks, events or [], logs or {})
        return why_deployment_failed(aws, "c", "shop").splitlines()

    return said


def test_the_last_lines_of_the_task_follow_the_reason(why: Why) -> None:
    written = [f"line {number}" for number in range(40)]

    said = why([task("a")], logs={"task/shop/a": written})

    assert said[:2] == [
        "Essential container in task exited; shop exited with 1",
        "the last lines of shop in /orderops/dev/shop, stream task/shop/a:",
    ]
    assert said[2:] == [f"  line {number}" for number in range(30, 40)]


def test_lines_that_have_not_arrived_are_taken_from_the_task_before(why: Why) -> None:
    newest, before = task("b", at=DURING + timedelta(seconds=9)), task("a")

    said = why([before, newest], logs={"task/shop/b": [], "task/shop/a": ["KeyError: 'QUEUE_URL'"]})

    assert said[1:] == ["the last lines of shop in /orderops/dev/shop, stream task/shop/a:", "  KeyError: 'QUEUE_URL'"]


def test_a_task_without_lines_is_said_to_have_none(why: Why) -> None:
    assert why([task("a")])[1:] == ["its log group /orderops/dev/shop has no lines of it"]


def test_lines_are_bounded_harmless_on_a_terminal_and_without_passwords(why: Why) -> None:
    hostile = ["\x1b[2Jgone", "postgresql://shop:hunter2@db/orders refused", "x" * 9000]

    said = why([task("a")], logs={"task/shop/a": hostile})

    assert said[2:4] == ["  ?[2Jgone", "  postgresql://shop:***@db/orders refused"]
    assert len(said[4]) < 450


def test_a_task_that_never_ran_has_no_lines(why: Why) -> None:
    pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found"

    assert why([task("a", reason=pull, code=None)]) == [pull]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(task("a", at=BEFORE), id="a task of the deployment before"),
        pytest.param(
            task("a", reason="Scaling activity initiated by (deployment ecs-svc/1)", code=143),
            id="a task that the deployment replaced",
        ),
    ],
)
def test_the_events_are_read_where_no_task_says_why(why: Why, other: dict[str, Any]) -> None:
    assert why([other], [event(PLACED)]) == [PLACED.removeprefix("(service shop) ")]


def test_only_events_of_this_deployment_that_tell_of_a_problem_are_said(why: Why) -> None:
    events = [
        event("(service shop) (deployment ecs-svc/1) deployment failed: tasks failed to start."),
        event(CONSISTENTLY),
        event("(service shop) has started 1 tasks: (task 1)."),
        event(PLACED),
        event(PLACED),
        event("(service shop) failed to register targets in (target-group x) with (error y)", BEFORE),
        event("(service shop) has reached a steady state.", BEFORE),
    ]

    assert trouble({"serviceName": "shop", "events": events}, BEGAN) == [
        CONSISTENTLY.removeprefix("(service shop) "),
        PLACED.removeprefix("(service shop) "),
    ]
    assert why([], events) == ["; ".join(text.removeprefix("(service shop) ") for text in (PLACED, CONSISTENTLY))]


def test_a_deployment_without_any_trace_has_no_reason(why: Why) -> None:
    assert why([], [event("(service shop) has started 1 tasks: (task 1).")]) == []
