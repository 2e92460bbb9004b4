"""The database away for longer than a message stays hidden: what clients see, and what it costs the messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops import local
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from support.order_database import placed
from support.service_process import KEYS, Running, Start, World, run_service, stop, until

BEFORE, DURING = 10, 20
RECOVERY_SECONDS = 5.0


@pytest.fixture
def laptop_world(server: PostgresServer) -> Iterator[World]:
    """A world whose AWS is the emulator of the laptop, with its own SQS."""
    with scratch("orderops-outage-") as directory:
        endpoint = local.start("ap-southeast-2", directory)
        key = {"AWS_ACCESS_KEY_ID": endpoint.key.id, "AWS_SECRET_ACCESS_KEY": endpoint.key.secret}
        world = World(server, endpoint.url, keys={**KEYS, **key})
        yield world
        world.remove()
        local.reset(directory)


def receives_once(world: World, visibility: int) -> None:
    """Let SQS put away each message that is received a second time."""
    target = world.sqs.get_queue_attributes(QueueUrl=world.dead_letter_url, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": target["Attributes"]["QueueArn"], "maxReceiveCount": 1}
    attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": str(visibility)}
    world.sqs.set_queue_attributes(QueueUrl=world.queue_url, Attributes=attributes)


def written(world: World) -> int:
    with world.session() as session:
        row = session.execute("SELECT count(*) FROM orders").fetchone()
    return int(row[0]) if row else 0


def messages(world: World, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = world.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def test_orders_outlast_a_database_that_is_away_for_longer_than_they_stay_hidden(world: World, start: Start) -> None:
    recovery_within(world, start, away=4.5, visibility=3)


@pytest.mark.slow
def test_orders_outlast_a_database_that_is_away_for_60_seconds(laptop_world: World, tmp_path: Path) -> None:
    started: list[Running] = []

    def start(**changed: str) -> Running:
        started.append(run_service({**laptop_world.environment(), **changed}, tmp_path / "log"))
        return started[-1]

    try:
        took = recovery_within(laptop_world, start, away=60, visibility=30)
    finally:
        for running in started:
            stop(running)
    assert took < RECOVERY_SECONDS


def recovery_within(world: World, start: Start, *, away: float, visibility: int) -> float:
    """Take the database away while orders are written, and check what clients and SQS see until all are written.

    Returns the seconds from the return of the database.
    """
    receives_once(world, visibility)
    service = start(ORDEROPS_ROLE="both")
    with world.session() as session, session.transaction():
        # Whatever has been received is in a transaction when the server goes.
        session.execute("LOCK TABLE orders IN SHARE MODE")
        entries = [{"Id": str(n), "MessageBody": placed(f"before-{n}").message()} for n in range(BEFORE)]
        world.sqs.send_message_batch(QueueUrl=world.queue_url, Entries=entries)
        until(lambda: world.waiting_for_a_lock() > 0, "orders to be in work")
        world.server.kill()
        away_since = time.monotonic()
        session.close()

    answers = [service.place(key=f"during-{number}") for number in range(DURING)]

    assert {answer.status_code for answer in answers} == {202}
    reasons = []
    while time.monotonic() < away_since + away:
        ready = service.get("/ready")
        assert service.get("/health").status_code == 200
        assert ready.status_code == 503
        assert ready.json()["checks"]["queue"]["ok"]
        reasons.append(ready.json()["checks"]["database"]["detail"])
        time.sleep(0.5)
    assert set(reasons) <= {"the connection was lost", "no server listens at its address"}
    assert reasons[-1] == "no server listens at its address"
    assert messages(world, world.queue_url) == BEFORE + DURING

    world.server.start()
    back_since = time.monotonic()
    until(lambda: written(world) == BEFORE + DURING, "all orders to be written")
    until(lambda: service.get("/ready").status_code == 200, "the service to be ready")
    took = time.monotonic() - back_since

    # A message that had been received twice would be a dead letter.
    assert messages(world, world.dead_letter_url) == 0
    until(lambda: messages(world, world.queue_url) == 0, "the messages to be deleted")
    assert not any(line["level"] == "ERROR" for line in service.lines())
    return took
