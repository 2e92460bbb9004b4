"""The laptop starts the tasks of schedules: when they are made, after each interval, and not what it has missed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from orderops.local.ecs.schedules import is_due
from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

BUCKET = "orderops-local-board-acme"
MADE = 1000.0


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", [1000, 1060, 1120, 1180]),
        ("rate(2 minutes)", [1000, 1120]),
        ("rate(1 hour)", [1000]),
        ("rate(1 day)", [1000]),
        ("cron(* * * * ? *)", []),
    ],
)
def test_a_schedule_is_due_when_it_is_made_and_after_each_interval(expression: str, due: list[int]) -> None:
    seconds = range(990, 1200)

    assert [now for since, now in pairwise(seconds) if is_due(expression, MADE, since, now)] == due


def test_a_late_look_starts_one_run() -> None:
    assert is_due("rate(1 minute)", MADE, 1010, 1500)
    assert not is_due("rate(1 minute)", MADE, 1500, 1501)


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    scheduled = f'[board]\nbucket = "{BUCKET}"\npublish_every = "1m"\n\n[database]\nrotate_days = 1'
    with laptop_environment(**{"[database]": scheduled}) as environment:
        yield environment


def messages(laptop: LaptopEnvironment, task: str) -> list[str]:
    found = laptop.client("logs").filter_log_events(logGroupName=f"/orderops/local/{task}")
    return [event["message"] for event in found["events"]]


@pytest.mark.slow
def test_the_tasks_of_both_schedules_run_in_the_environment_with_their_own_roles(laptop: LaptopEnvironment) -> None:
    until(lambda: messages(laptop, "board"), what="the board has been tried")
    until(lambda: messages(laptop, "rotation"), what="the rotation has looked")

    assert any(f"there is no bucket {BUCKET}" in line for line in messages(laptop, "board"))
    assert any(line.startswith("the services: not due") for line in messages(laptop, "rotation"))
    assert laptop("infra", "plan").code == 0
