"""Starting the task of a job: its placement, and the errors of ECS."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import timedelta

import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.local.emulator.protocol import json_answer
from orderops.operations import migrate_ledger, migrate_schema
from orderops.operations.options import ChangeOptions, LockOptions
from orderops.operations.remote import argv
from orderops.remote.task import TaskPlacement, placement_of, running, start
from support.faulty_proxy import Proxy

PLACEMENT = TaskPlacement(
    "dev", "orders", "cluster", "orders:7", {}, "app", "orders@sha256:1", "/orderops/dev/orders", "task"
)


@pytest.fixture
def aws(proxy: Proxy) -> Iterator[Aws]:
    yield Aws("ap-southeast-2")
    proxy.forget()


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("Capacity is unavailable at this time. Please try again later", "Fargate has no capacity at the moment"),
        ("RESOURCE:ENI", "check the free addresses"),
        ("MISSING", "orderops status --env dev"),
    ],
    ids=["no capacity", "no network interface", "something else"],
)
def test_a_task_that_ecs_does_not_start_is_an_error_with_its_reason(
    aws: Aws, proxy: Proxy, reason: str, hint: str
) -> None:
    failures = {"tasks": [], "failures": [{"reason": reason}]}
    proxy.rule = lambda request: json_answer(failures) if request.action == "RunTask" else None

    with pytest.raises(OrderopsError) as refused:
        start(aws, PLACEMENT, token="1", url="https://example.com")

    assert reason in refused.value.message
    assert hint in refused.value.hint


def test_a_url_too_long_for_ecs_is_an_error_before_a_task_is_started(aws: Aws, proxy: Proxy) -> None:
    with pytest.raises(OrderopsError, match="more than ECS passes to a task"):
        start(aws, PLACEMENT, token="1", url="x" * 9000)

    assert proxy.changing == []


def test_a_service_that_was_never_released_is_an_error(aws: Aws) -> None:
    with pytest.raises(OrderopsError, match="orders was never released") as refused:
        placement_of(aws, environment="dev", cluster="cluster", service="orders", role="jobs")

    assert "orderops up --env dev" in refused.value.hint


def test_a_cluster_without_jobs_has_no_running_jobs(aws: Aws, proxy: Proxy) -> None:
    empty: dict[str, list[str]] = {"taskArns": []}
    proxy.rule = lambda request: json_answer(empty) if request.action == "ListTasks" else None

    assert list(running(aws, PLACEMENT)) == []


def test_a_command_line_holds_the_options_that_were_given() -> None:
    command = argv(
        "migrate",
        "undo",
        to=3,
        accept_data_loss=['a "b"; $c', "orders"],
        **LockOptions(timedelta(minutes=2), terminate_blockers=True).for_task(),
        **ChangeOptions(yes=True, wait=timedelta(minutes=10)).for_task(),
        from_=None,
    )

    accepted = ["--accept-data-loss", 'a "b"; $c', "--accept-data-loss", "orders"]
    assert command == ["migrate", "undo", "--to", "3", *accepted, "--budget", "120s", "--terminate-blockers"]


@pytest.mark.parametrize("verb", ["info", "apply", "undo", "baseline", "repair", "history"])
def test_every_migrate_command_runs_by_a_task_before_it_opens_a_database(verb: str) -> None:
    operation = getattr(migrate_schema, verb, None) or getattr(migrate_ledger, verb)
    source = inspect.getsource(operation)

    assert source.index("if migrate_by_task(where,") < source.index("with target(where")
