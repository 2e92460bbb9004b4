"""The verdict about an environment, with one root cause by dependency."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orderops.aws.documents import Bucket
from orderops.health import ComponentState, ComponentStatus, HealthVerdict, examine, judge
from orderops.restore.drill_record import Drill, save_drill
from support.command_line import Orderops
from support.recorded_history import RESTORED_INSTANCE, Dev

pytest_plugins = ["support.recorded_history_fixtures"]

DATABASE = ComponentStatus("database", ComponentState.OK, "postgres 16.4")
QUEUE = ComponentStatus("queue order-processor", ComponentState.OK, "0 waiting, 0 dead letters")
SERVICE = ComponentStatus("service order-processor", ComponentState.OK, "2 of 2 tasks")
BALANCER = ComponentStatus("balancer", ComponentState.OK, "2 of 2 targets healthy")
ALARMS = ComponentStatus("alarms", ComponentState.OK, "4 quiet")
WELL = (DATABASE, QUEUE, SERVICE, BALANCER, ALARMS)
URLS = {"url": "http://example"}


def with_(*changed: ComponentStatus) -> tuple[ComponentStatus, ...]:
    named = {component.name: component for component in changed}
    return tuple(named.get(component.name, component) for component in WELL)


def test_an_environment_without_problems_is_healthy_and_has_no_cause() -> None:
    health = judge("dev", WELL, URLS)

    assert (health.verdict, health.cause, health.next) == (HealthVerdict.HEALTHY, "", "")


def test_an_empty_environment_is_absent_with_the_command_that_creates_it() -> None:
    gone = tuple(ComponentStatus(component.name, ComponentState.ABSENT, "none") for component in WELL)

    health = judge("dev", gone, {})

    assert (health.verdict, health.next) == (HealthVerdict.ABSENT, "orderops up --env dev")


@pytest.mark.parametrize(
    ("components", "verdict", "cause"),
    [
        pytest.param(
            with_(
                ComponentStatus("database", ComponentState.DOWN, "stopped", "orderops up"),
                ComponentStatus("service order-processor", ComponentState.DOWN, "0 of 2 tasks"),
                ComponentStatus("balancer", ComponentState.DOWN, "0 of 2 targets healthy"),
            ),
            HealthVerdict.DOWN,
            "database is down: stopped",
            id="what others need is the cause",
        ),
        pytest.param(
            with_(
                ComponentStatus("queue order-processor", ComponentState.DEGRADED, "1200 waiting"),
                ComponentStatus("service order-processor", ComponentState.DOWN, "0 of 2 tasks"),
            ),
            HealthVerdict.DOWN,
            "service order-processor is down: 0 of 2 tasks",
            id="what is down comes before what is only degraded",
        ),
        pytest.param(
            with_(ComponentStatus("alarms", ComponentState.DEGRADED, "1 raised: order-processor-cpu")),
            HealthVerdict.DEGRADED,
            "alarms is degraded: 1 raised: order-processor-cpu",
            id="an alarm alone degrades",
        ),
    ],
)
def test_the_verdict_names_the_first_cause_by_dependency(
    components: tuple[ComponentStatus, ...], verdict: HealthVerdict, cause: str
) -> None:
    health = judge("dev", components, URLS)

    assert (health.verdict, health.cause) == (verdict, cause)
    assert health.next.endswith(" --env dev")


def test_the_next_command_always_names_its_environment() -> None:
    gone = with_(ComponentStatus("queue order-processor", ComponentState.ABSENT, "no queue"))
    taken = with_(ComponentStatus("database", ComponentState.DOWN, "incompatible-network", "orderops local status"))

    assert judge("local", gone, URLS).next == "orderops up --env local"
    assert judge("local", taken, URLS).next == "orderops local status"


def test_the_json_document_has_the_documented_keys() -> None:
    document = judge("dev", WELL, URLS).to_dict()

    assert set(document) == {"environment", "verdict", "cause", "next", "urls", "components", "proven_restore"}
    assert document["components"][0] == {"name": "database", "state": "ok", "detail": "postgres 16.4"}


def test_the_database_component_shows_the_name_of_a_promoted_instance(promoted: Dev) -> None:
    components = {component.name: component for component in examine(promoted.workspace).components}

    assert components["database"].state is ComponentState.OK
    assert components["database"].detail.endswith(f", {RESTORED_INSTANCE}")


def test_the_database_component_shows_no_name_without_a_promotion(restored: Dev) -> None:
    components = {component.name: component for component in examine(restored.workspace).components}

    assert components["database"].detail.endswith(", db.t3.micro")


def test_the_verdict_depends_on_the_promoted_instance(promoted: Dev) -> None:
    with promoted.proxy.held():
        promoted.record(RESTORED_INSTANCE).status = "storage-full"

    components = {component.name: component for component in examine(promoted.workspace).components}

    assert (components["database"].state, components["database"].next_command) == (ComponentState.DOWN, "orderops up")


def test_status_shows_the_age_of_the_last_restore_drill(dev: Dev, orderops: Orderops) -> None:
    assert "no restore drill yet; run: orderops restore drill --env dev" in orderops("status").out
    began = datetime.now(UTC) - timedelta(days=3)
    proven = Drill(began, began, timedelta(seconds=454), timedelta(minutes=5), "db", "ada", tables=3, rows=7)
    save_drill(Bucket(dev.workspace.aws), "dev", proven)

    assert "last proven restore 3 days ago, in 7 min 34 s" in orderops("status").out
    assert orderops("status", "--json").json["proven_restore"] == proven.to_dict()
