"""`orderops up` on a laptop, end to end: a real PostgreSQL, real processes, a real balancer."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest

from orderops import local
from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.images.resolve import images
from orderops.infra.workspace import Workspace
from orderops.local.ports import free_port
from orderops.local.rds.postgres import PostgresServer
from orderops.operations.apply import apply_everything
from orderops.operations.options import ChangeOptions
from support.command_line import Orderops
from support.repository import ROOT

# End to end.
pytestmark = pytest.mark.slow

READS = re.compile(r"(Describe|List|Get|Head|BatchGet|Lookup)")
SERVICE = "orderops-local-order-processor"


@pytest.fixture(scope="module")
def laptop() -> Iterator[Path]:
    """A folder of environments whose `local` has free ports, and a separate data directory."""
    place = Path(tempfile.mkdtemp(prefix="orderops-up-"))
    place.chmod(0o755)  # when tests run as root, PostgreSQL runs as nobody
    text = (ROOT / "environments" / "local.toml").read_text()
    text = text.replace("port = 8080", f"port = {free_port()}").replace("port = 15432", f"port = {free_port()}")
    environments = place / "environments"
    environments.mkdir()
    (environments / "local.toml").write_text(text)
    before = os.environ.get("ORDEROPS_LOCAL_DIRECTORY")
    os.environ["ORDEROPS_LOCAL_DIRECTORY"] = str(place / "data")
    yield environments
    local.reset()
    shutil.rmtree(place, ignore_errors=True)
    if before is None:
        del os.environ["ORDEROPS_LOCAL_DIRECTORY"]
    else:
        os.environ["ORDEROPS_LOCAL_DIRECTORY"] = before


@pytest.fixture
def orderops(capfd: pytest.CaptureFixture[str], laptop: Path) -> Orderops:
    return Orderops(capfd, "--environments", str(laptop))


@pytest.fixture
def running(orderops: Orderops) -> dict[str, Any]:
    """The running system's outputs. A system that the last test left healthy needs no `up`."""
    told = orderops("infra", "outputs", "--json")
    if told.code or orderops("status").code:
        made = orderops("up")
        assert made.code == 0, made.err
        told = orderops("infra", "outputs", "--json")
    outputs: dict[str, Any] = told.json
    return outputs


def fetch(url: str) -> tuple[int, Any]:
    """Return the status and the JSON of a response."""
    asked = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def until(found: Callable[[], Any], what: str, timeout: float = 40) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        # A command of its own each time, which on a machine with two processors delays what is waited for.
        time.sleep(0.3)
    return answer


def laptop_session() -> boto3.Session:
    """Return a session with the key of the laptop environment."""
    key = local.running_endpoint().key
    return boto3.Session(key.id, key.secret, region_name="ap-southeast-2")


def test_the_service_answers_with_rows_of_a_real_database(orderops: Orderops, running: dict[str, Any]) -> None:
    url = running["load_balancer_url"]

    assert fetch(f"{url}/health")[0] == 200
    shown = fetch(f"{url}/users")[1]
    stored = orderops("local", "psql", "-At", "-c", "select name from users order by id")
    assert sorted(user["name"] for user in shown["users"]) == sorted(stored.out.split("\n")[:-1])


def test_an_order_goes_through_the_queue_into_the_database(orderops: Orderops, running: dict[str, Any]) -> None:
    url = running["load_balancer_url"]
    order = {"customer": 1, "currency": "AUD", "items": [{"sku": "tea", "quantity": 2, "unit_price": 1250}]}

    answer = httpx.post(f"{url}/orders", json=order)

    path = answer.json()["href"]
    until(lambda: fetch(f"{url}{path}")[1].get("status") == "processed", "the order to be written")
    assert orderops("local", "psql", "-At", "-c", "select sku, quantity from order_items").out == "tea|2\n"


def test_a_message_that_is_no_order_goes_to_the_dead_letters(running: dict[str, Any]) -> None:
    sqs = laptop_session().client("sqs", endpoint_url=local.status()["aws_endpoint"])
    sqs.send_message(QueueUrl=running["queue_url"], MessageBody="hello")
    dead = running["queue_url"].replace("-queue", "-dlq")

    received = until(
        lambda: sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"], VisibilityTimeout=0).get("Messages"),
        "the dead letter",
    )

    assert received[0]["Body"] == "hello"
    assert received[0]["MessageAttributes"]["reason"]["StringValue"] == "invalid message"
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=received[0]["ReceiptHandle"])


def test_the_service_logs_in_as_a_role_of_its_own(orderops: Orderops, running: dict[str, Any]) -> None:
    fetch(f"{running['load_balancer_url']}/users")

    named = "application_name not like 'orderops migrate%' and application_name not like 'psql%'"
    query = f"select distinct usename from pg_stat_activity where datname = 'orders' and {named}"
    assert orderops("local", "psql", "-At", "-c", query).out.split() == ["orderops_service"]


def test_a_second_up_makes_no_changing_call(laptop: Path, running: dict[str, Any]) -> None:
    session = laptop_session()
    calls: list[str] = []
    session.events.register("after-call", lambda model, **_: calls.append(model.name))
    environment = load_environment("local", laptop)
    aws = Aws(environment.region, endpoint_url=local.start(environment.region).url, session=session)
    choices = images(aws, environment, {})

    manner = ChangeOptions("up", dry_run=False, yes=False, confirm=(), wait=timedelta())
    apply_everything(Workspace(environment, aws), manner, choices=choices, adopt=(), prune=False)

    assert calls
    assert [call for call in calls if not READS.match(call)] == []


def test_a_killed_task_is_replaced_and_status_is_degraded_meanwhile(
    orderops: Orderops, running: dict[str, Any]
) -> None:
    assert orderops("status").code == 0
    victim = local.status()["services"][SERVICE][0]["pid"]

    def loss_is_seen() -> bool:
        """It may be replaced before a busy machine has looked: then the next one goes."""
        for service in local.status()["services"][SERVICE][:1]:
            with suppress(ProcessLookupError):
                os.kill(service["pid"], signal.SIGKILL)
        return bool(orderops("status", "--json").json["verdict"] != "healthy")

    until(loss_is_seen, "the loss seen")
    until(lambda: orderops("status").code == 0, "the task replaced")
    assert victim not in [service["pid"] for service in local.status()["services"][SERVICE]]


def test_a_stopped_database_is_shown_by_status_and_started_by_up(
    orderops: Orderops, running: dict[str, Any], laptop: Path
) -> None:
    # As an operator would shut it down.
    postgres(laptop).send_signal(signal.SIGINT)

    # First only the service notices, then the emulated account too.
    told = until(lambda: broken(orderops, "database is down: stopped"), "the database seen down")

    assert told["verdict"] == "down"
    assert told["next"] == "orderops up --env local"
    assert orderops("up").code == 0
    until(lambda: fetch(f"{running['load_balancer_url']}/ready")[0] == 200, "the service ready again")


def broken(orderops: Orderops, cause: str) -> dict[str, Any] | None:
    told: dict[str, Any] = orderops("status", "--json").json
    return told if told["cause"].startswith(cause) else None


def test_a_database_that_answers_nobody_is_the_cause_although_aws_calls_it_available(
    orderops: Orderops, running: dict[str, Any], laptop: Path
) -> None:
    postmaster = postgres(laptop)
    stopped = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in stopped:
            process.suspend()
        told = until(lambda: broken(orderops, "database is down"), "the database seen down")
    finally:
        for process in stopped:
            process.resume()

    assert "does not answer the service: no answer" in told["cause"]
    assert (told["verdict"], told["next"]) == ("down", "orderops local logs")
    assert told["readiness"]["state"] == "not-ready"
    until(lambda: orderops("status").code == 0, "the service ready again")


def test_a_release_that_cannot_start_shows_the_last_lines_of_its_task(
    orderops: Orderops, running: dict[str, Any]
) -> None:
    failed = orderops("service", "deploy", "--image", "process://no_such_module")

    assert failed.code == 5
    assert "x the module no_such_module is missing" in failed.err
    assert "the last lines of task " in failed.err
    assert "No module named no_such_module" in failed.err
    assert fetch(f"{running['load_balancer_url']}/ready")[0] == 200


def test_a_service_scaled_to_zero_by_hand_is_shown_by_status_and_repaired_by_up(
    orderops: Orderops, running: dict[str, Any]
) -> None:
    ecs = laptop_session().client("ecs", endpoint_url=local.status()["aws_endpoint"])
    ecs.update_service(cluster="orderops-local-cluster", service=SERVICE, desiredCount=0)

    told = until(lambda: broken(orderops, "service order-processor is down"), "the service seen down")

    assert "set to fewer than min_tasks, which is 2" in told["cause"]
    assert told["next"] == "orderops up --env local"
    assert "desiredCount: 0 -> 2" in orderops("up", "--dry-run").out
    assert orderops("up").code == 0
    until(lambda: orderops("status").code == 0, "the tasks healthy again")


def postgres(laptop: Path) -> psutil.Process:
    """The database server, which is not what listens on the port of the instance: that is the laptop's gateway."""
    [server] = (laptop.parent / "data" / "databases").glob("*/server")
    process = PostgresServer(server).process()
    assert process, f"no server runs in {server}"
    return process


def test_a_dry_run_of_up_shows_the_pending_migrations(orderops: Orderops, running: dict[str, Any], sql: Path) -> None:
    (sql / "V005__name_orders.sql").write_text("alter table orders add column name text;\n")
    (sql / "U005__name_orders.sql").write_text("alter table orders drop column name;\n")
    words = ("up", "--sql", str(sql))

    assert orderops(*words, "--dry-run").out == "+ apply migration V005__name_orders.sql\n"
    assert "1 migration applied in " in orderops(*words).err
    assert orderops(*words, "--dry-run").out == ""
    assert orderops("migrate", "undo", "--sql", str(sql)).code == 0


def test_a_failed_migration_leaves_no_change_and_a_re_run_applies_the_fixed_file(
    orderops: Orderops, running: dict[str, Any], sql: Path
) -> None:
    broken = sql / "V005__add_carts.sql"
    broken.with_name("U005__add_carts.sql").write_text("drop table carts;\n")
    broken.write_text("create table carts (id bigint);\ninsert into nowhere values (1);\n")
    words = ("up", "--sql", str(sql))

    refused = orderops(*words)

    assert refused.code == 1
    told = 'V005__add_carts.sql:2:13: relation "nowhere" does not exist; nothing of this file was applied'
    assert told in refused.err
    assert f"hint: fix {broken}, then re-run this command" in refused.err
    assert orderops("local", "psql", "-At", "-c", "select to_regclass('orderops.carts')").out == "\n"

    broken.write_text("create table carts (id bigint);\n")

    assert orderops(*words).code == 0
    assert orderops("migrate", "undo", "--sql", str(sql)).code == 0


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of the migrations that tests add files to."""
    return Path(shutil.copytree(ROOT / "sql", tmp_path / "sql"))


def test_invalid_migrations_are_refused_before_any_change(orderops: Orderops, tmp_path: Path) -> None:
    refused = orderops("up", "--sql", str(tmp_path))

    assert refused.code == 2
    told = f"error: no V*.sql in {tmp_path}\n hint: pass the folder of the migrations: --sql DIR\n"
    assert refused.err.removeprefix("starting the local environment on this machine\n") == told


def test_status_fits_a_narrow_terminal(orderops: Orderops, running: dict[str, Any]) -> None:
    said = orderops("status")

    # A command stays whole, so that it can be pasted; it repeats the folder of the command line.
    # The release is folded on a terminal, whose width this output does not have.
    whole = ("--environments ", "release: ")
    assert [line for line in said.out.splitlines() if len(line) > 80 and not any(text in line for text in whole)] == []


def test_down_keeps_data_until_its_name_is_confirmed(orderops: Orderops, running: dict[str, Any]) -> None:
    down = orderops("down", "--yes")

    assert down.code == 0, down.err
    assert "kept: rds-instance/orderops-local-database (holds a PostgreSQL 18 database of 20 GB" in down.err
    assert re.search(r"^kept: \d+ more, needed by those that hold data$", down.err, re.MULTILINE)
    assert re.search(r"orderops down --env local .*--confirm orderops-local-database", down.err)
    assert orderops("local", "psql", "-At", "-c", "select count(*) from users").out == "3\n"
    assert orderops("status", "--json").json["verdict"] == "down"

    back = orderops("up")

    assert back.code == 0, back.err
    assert len(fetch(f"{running['load_balancer_url']}/users")[1]["users"]) == 3
