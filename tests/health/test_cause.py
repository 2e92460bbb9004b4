"""The root cause among components: what explains the most urgent of the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orderops.health.alarms import AlarmsSeen, RaisedAlarm, alarms_status
from orderops.health.changes import LastChange, changing_run
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.verdict import Health, HealthVerdict, judge
from orderops.infra.alert_rule import Priority

OK, STARTING, DEGRADED, DOWN = (
    ComponentState.OK,
    ComponentState.STARTING,
    ComponentState.DEGRADED,
    ComponentState.DOWN,
)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def part(name: str, state: ComponentState = OK, *follows: str, priority: Priority | None = None) -> ComponentStatus:
    return ComponentStatus(name, state, "why", f"orderops {name}", priority=priority, follows=follows)


def judged(*components: ComponentStatus) -> Health:
    return judge("dev", components, {})


def test_what_a_failed_database_brings_down_waits_on_it() -> None:
    health = judged(
        part("database", DOWN),
        part("queue orders", DEGRADED, "service orders", priority=Priority.P1),
        part("service orders", DEGRADED, "database"),
        part("balancer", DEGRADED, "service orders"),
        part("readiness", DOWN, "database", "balancer"),
    )

    assert (health.component, health.priority, health.next) == ("database", "P0", "orderops database --env dev")
    waits = {component["name"]: component["waits_on"] for component in health.to_dict()["components"]}
    assert waits == {
        "database": None,
        "queue orders": "database",
        "service orders": "database",
        "balancer": "database",
        "readiness": "database",
    }


def test_what_is_only_degraded_does_not_explain_what_is_down() -> None:
    health = judged(part("database", DEGRADED), part("service orders", DOWN, "database"))

    assert (health.component, list(health.waiting)) == ("service orders", [])


def test_a_cause_is_as_urgent_as_the_most_urgent_that_waits_on_it() -> None:
    health = judged(part("service orders", DEGRADED), part("queue", DEGRADED, "service orders", priority=Priority.P1))

    assert (health.component, health.priority) == ("service orders", "P1")


def test_the_more_urgent_of_two_causes_comes_first() -> None:
    health = judged(part("queue", DEGRADED), part("database", DEGRADED, priority=Priority.P1))

    assert (health.component, health.priority, health.exit_code) == ("database", "P1", 11)


@pytest.mark.parametrize("state", [DEGRADED, DOWN])
def test_an_unusual_database_is_the_cause_only_of_what_fails_beside_it(state: ComponentState) -> None:
    busy = ComponentStatus("database", OK, "postgres 16", suspicion="slow: 3 sessions for each CPU")

    assert judged(busy, part("page")).verdict is HealthVerdict.HEALTHY
    health = judged(busy, part("page", state, "database"))
    assert health.cause == "database is degraded: slow: 3 sessions for each CPU; postgres 16"
    assert list(health.waiting) == ["page"]


def test_components_that_follow_each_other_have_one_cause() -> None:
    health = judged(part("a", DOWN, "b"), part("b", DOWN, "a"), part("c", DEGRADED))

    assert (health.component, list(health.waiting)) == ("b", ["a"])


@pytest.mark.parametrize(
    ("component", "code"),
    [
        (part("database"), 0),
        (part("database", DOWN), 10),
        (part("database", DEGRADED, priority=Priority.P1), 11),
        (part("database", DEGRADED), 12),
        (part("database", STARTING), 3),
        (part("database", ComponentState.ABSENT), 3),
    ],
)
def test_the_exit_code_says_how_soon_to_act(component: ComponentStatus, code: int) -> None:
    assert judged(component).exit_code == code


def test_a_raised_alarm_is_the_cause_only_if_nothing_else_is() -> None:
    raised = RaisedAlarm("orders-cpu", NOON, "the tasks use more than 90 %", Priority.P2, "service orders")
    alarms = alarms_status(AlarmsSeen(14, [raised]))

    alone = judged(part("service orders"), alarms)
    assert alone.cause == "alarms is degraded: 1 raised: orders-cpu: the tasks use more than 90 %"
    assert (alone.priority, alone.since) == ("P2", NOON)
    explained = judged(part("service orders", DEGRADED), alarms)
    assert (explained.component, list(explained.waiting)) == ("service orders", ["alarms"])


def test_a_raised_alarm_of_another_component_does_not_hide_the_cause() -> None:
    raised = RaisedAlarm("orders-cpu", NOON, priority=Priority.P2, component="service orders")

    health = judged(part("database", DEGRADED), part("service orders"), alarms_status(AlarmsSeen(14, [raised])))

    assert health.component == "database"


def run(started: str, outcome: str = "done", steps: int = 1, command: str = "up") -> dict[str, object]:
    return {"started": started, "outcome": outcome, "steps": [{}] * steps, "command": command, "who": "ada"}


def test_the_last_change_is_the_newest_run_that_changed_something_and_began_before_the_fault() -> None:
    runs = [
        run("2026-11-28T12:30:00.000Z", command="service restart"),
        run("2026-11-28T11:50:00.000Z", steps=0),
        run("2026-11-28T11:40:00.000Z", outcome="unreadable"),
        run("2026-11-28T11:30:00.000Z", outcome="killed", command="service deploy"),
        run("2026-11-28T11:00:00.000Z"),
    ]

    expected = LastChange("2026-11-28T11:30:00Z", "ada", "service deploy, killed", "orderops")
    assert changing_run(runs, NOON) == expected
    assert changing_run(runs[:3], NOON) is None
