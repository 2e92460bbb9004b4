"""The verdict about an environment, with one root cause by dependency."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.documents import Bucket
from orderops.engine.resource import Effect, PendingChange
from orderops.frozen import replace
from orderops.health import examination
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.verdict import Health, HealthVerdict, judge
from orderops.infra.page import PageAnswer
from orderops.infra.readiness import AskReady, ReadyAnswer, ReadyState
from orderops.infra.workspace import Workspace
from orderops.restore.drill_record import Drill, save_drill
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.laptop import until
from support.recorded_history import DATABASE as DATABASE_NAME
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

    assert set(document) == {
        "environment",
        "verdict",
        "priority",
        "cause",
        "cause_component",
        "since",
        "last_change",
        "next",
        "notes",
        "page",
        "denied",
        "urls",
        "components",
        "releases",
        "secrets",
        "login",
        "readiness",
        "runs",
        "pending",
        "restorable_until",
        "proven_restore",
        "unreadable",
    }
    assert document["components"][0] == {
        "name": "database",
        "state": "ok",
        "detail": "postgres 16.4",
        "priority": None,
        "waits_on": None,
    }


@pytest.mark.slow
def test_the_database_component_shows_the_name_of_a_promoted_instance(promoted: Dev) -> None:
    components = {component.name: component for component in examine(promoted.workspace).components}

    assert components["database"].state is ComponentState.OK
    assert components["database"].detail.endswith(f", {RESTORED_INSTANCE}")


@pytest.mark.slow
def test_the_database_component_shows_no_name_without_a_promotion(restored: Dev) -> None:
    components = {component.name: component for component in examine(restored.workspace).components}

    assert components["database"].detail.endswith(", db.t3.micro")


@pytest.mark.slow
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


def answered(state: ReadyState, detail: str = "", **reasons: str) -> AskReady:
    return lambda url: ReadyAnswer(state, detail, f"{url}/ready", reasons)


def examine(workspace: Workspace, *, ask: AskReady | None = None) -> Health:
    """Examined with this answer of /ready, and a page that is shown at once."""
    ask = ask or answered(ReadyState.READY)
    return examination.examine(workspace, ask=ask, page=lambda url, path: PageAnswer(url + path, 3, 200))


def seen(health: Health) -> dict[str, ComponentStatus]:
    return {component.name: component for component in health.components}


def test_a_database_that_does_not_answer_the_service_is_the_cause(dev: Dev) -> None:
    ask = answered(ReadyState.NOT_READY, "database: no answer within 2 s", database="no answer within 2 s")

    health = examine(dev.workspace, ask=ask)

    assert health.verdict is HealthVerdict.DOWN
    assert health.cause.startswith("database is down: does not answer the service: no answer within 2 s; postgres 16")
    assert health.next == "orderops infra plan --env dev"
    assert health.to_dict()["readiness"]["reasons"] == {"database": "no answer within 2 s"}


def test_a_queue_that_does_not_answer_the_service_is_the_cause(dev: Dev) -> None:
    ask = answered(ReadyState.NOT_READY, "queue: gone", queue="gone")

    assert examine(dev.workspace, ask=ask).cause.startswith(
        "queue order-processor is down: does not answer the service: gone"
    )


def test_what_aws_says_of_a_database_explains_more_than_the_service(dev: Dev) -> None:
    with dev.proxy.held():
        dev.record(DATABASE_NAME).status = "rebooting"
    ask = answered(ReadyState.NOT_READY, "database: gone", database="gone")

    assert seen(examine(dev.workspace, ask=ask))["database"].detail.startswith("rebooting; postgres")


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (ReadyState.READY, HealthVerdict.HEALTHY),
        (ReadyState.UNREACHABLE, HealthVerdict.HEALTHY),
        (ReadyState.UNKNOWN, HealthVerdict.HEALTHY),
        (ReadyState.FAILING, HealthVerdict.DOWN),
        (ReadyState.NOT_READY, HealthVerdict.DOWN),
    ],
)
def test_only_an_answer_that_says_so_makes_an_environment_unhealthy(
    dev: Dev, state: ReadyState, verdict: HealthVerdict
) -> None:
    assert examine(dev.workspace, ask=answered(state, "why")).verdict is verdict


def test_a_balancer_out_of_reach_is_told_apart_with_what_it_admits(dev: Dev) -> None:
    environment = dev.workspace.environment
    closed = environment.balancer.model_copy(update={"allowed_cidrs": ["10.0.0.0/8"]})
    workspace = replace(dev.workspace, environment=environment.model_copy(update={"balancer": closed}))

    health = examine(workspace, ask=answered(ReadyState.UNREACHABLE, "no connection within 5 s"))

    assert seen(health)["readiness"] == ComponentStatus(
        "readiness",
        ComponentState.UNKNOWN,
        "not reachable from this machine: no connection within 5 s; it admits only 10.0.0.0/8",
    )


def test_a_balancer_of_this_machine_out_of_reach_is_down(dev: Dev) -> None:
    def refused(_url: str) -> ReadyAnswer:
        return ReadyAnswer(ReadyState.UNREACHABLE, "connection refused", "http://localhost:8080/ready")

    health = examine(dev.workspace, ask=refused)

    assert (health.verdict, health.next) == (HealthVerdict.DOWN, "orderops local status")


def test_no_answer_is_asked_for_without_a_load_balancer(proxy: Proxy) -> None:
    def never(_url: str) -> ReadyAnswer:
        raise AssertionError("there is nothing to ask")

    health = examine(Dev(proxy).workspace, ask=never)

    assert (health.verdict, health.ready) == (HealthVerdict.ABSENT, None)


@pytest.mark.parametrize(
    ("command", "created", "missing"),
    [
        ("up --env dev", {"database", "queue order-processor", "service order-processor", "balancer"}, set()),
        ("infra apply --env dev", {"database", "queue order-processor", "balancer"}, {"service order-processor"}),
        ("service deploy order-processor --env dev", {"service order-processor"}, {"database", "balancer"}),
        ("migrate apply --env dev", set(), {"database", "queue order-processor", "service order-processor"}),
        ("down --env dev", set(), {"database", "queue order-processor", "service order-processor", "balancer"}),
    ],
)
def test_what_a_run_is_creating_is_not_missing(
    proxy: Proxy, command: str, created: set[str], missing: set[str]
) -> None:
    workspace = Dev(proxy).workspace
    with workspace.runs.begun(command, None, wait=timedelta(), waiting=lambda *_: None):
        health = examine(workspace, ask=answered(ReadyState.READY))

    components = seen(health)
    assert {components[name].state for name in created} <= {ComponentState.STARTING}
    assert all(f"being created by {health.runs[0].who}, `{command}`" in components[name].detail for name in created)
    assert {components[name].state for name in missing} <= {ComponentState.ABSENT}
    assert health.next == "orderops status --watch --env dev"


def test_status_names_the_run_that_is_under_way_until_it_ends(dev: Dev, orderops: Orderops) -> None:
    workspace = dev.workspace
    with workspace.runs.begun("migrate apply --env dev", None, wait=timedelta(), waiting=lambda *_: None):
        lines = orderops("status").out.splitlines()
        runs = orderops("status", "--json").json["runs"]

    [line] = [line for line in lines if line.startswith("run:")]
    assert line.startswith(f"run:   `migrate apply --env dev` by {runs[0]['who']} on {runs[0]['host']} since ")
    assert set(runs[0]) == {"run", "who", "host", "command", "since"}
    assert orderops("status", "--json").json["runs"] == []


@pytest.mark.parametrize(
    ("count", "state", "words"),
    [
        (0, ComponentState.DOWN, "; set to fewer than min_tasks, which is 1"),
        (1, ComponentState.OK, ""),
        (5, ComponentState.OK, ""),
        (6, ComponentState.OK, "; set to more than max_tasks, which is 5"),
    ],
)
def test_a_number_of_tasks_outside_of_its_range_is_shown(
    dev: Dev, count: int, state: ComponentState, words: str
) -> None:
    ecs = dev.workspace.aws.ecs
    name = "orderops-dev-order-processor"
    ecs.update_service(cluster="orderops-dev-cluster", service=name, desiredCount=count)

    def settled() -> bool:
        raw = ecs.describe_services(cluster="orderops-dev-cluster", services=[name])["services"][0]
        return bool(raw["runningCount"] == count)

    until(settled)
    component = seen(examine(dev.workspace, ask=answered(ReadyState.READY)))["service order-processor"]

    assert (component.state, component.next_command) == (state, "")
    assert component.detail.endswith(f"revision 1{words}")


def test_what_aws_holds_back_is_reported_and_is_no_fault() -> None:
    change = PendingChange("DBInstanceClass", "DBInstanceClass a -> b", Effect.INTERRUPTS, "the window", "aws rds …")
    held = tuple(replace(part, pending=(change,)) if part.name == "database" else part for part in WELL)

    health = judge("dev", held, URLS)

    assert (health.verdict, health.cause) == (HealthVerdict.HEALTHY, "")
    (reported,) = health.to_dict()["pending"]
    assert reported == {
        "name": "database",
        "what": "DBInstanceClass a -> b",
        "class": "interrupts",
        "until": "the window",
        "command": "aws rds …",
    }


def test_dead_letters_lead_to_a_command_that_shows_them(dev: Dev, orderops: Orderops) -> None:
    sqs = dev.workspace.aws.sqs
    url = sqs.get_queue_url(QueueName="orderops-dev-order-processor-dlq")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")

    said = orderops("status", "--json").json

    assert said["cause"] == "queue order-processor is degraded: 0 waiting, 1 dead letters"
    assert said["next"] == "orderops queue dlq list --env dev"


def test_many_waiting_messages_lead_to_no_command_about_dead_letters(dev: Dev) -> None:
    limit = 1000
    with dev.proxy.held():
        account = get_backend("sqs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]
        message = account.send_message("orderops-dev-order-processor-queue", "{}")
        # moto counts all messages whenever one is sent.
        for _ in range(limit):
            account.queues["orderops-dev-order-processor-queue"].add_message(copy(message))

    health = examine(dev.workspace)

    assert health.cause == "queue order-processor is degraded: 1001 waiting, 0 dead letters"
    assert (health.priority, health.next) == ("P1", "orderops queue status --env dev")
