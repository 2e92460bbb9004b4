"""The service as a process: orders from a request to the database, through an emulated queue."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

import pytest

from support.order_database import placed
from support.service_process import Running, Start, World, until


def written(world: World) -> list[str]:
    with world.session() as session:
        return [row[0] for row in session.execute("SELECT key FROM idempotency_keys ORDER BY key")]


def counts(world: World, url: str | None = None) -> tuple[int, int]:
    """Return how many messages of a queue are visible, and how many hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = world.sqs.get_queue_attributes(QueueUrl=url or world.queue_url, AttributeNames=names)
    visible, hidden = (int(answer["Attributes"][name]) for name in names)
    return visible, hidden


def statuses(service: Running, paths: Sequence[str]) -> set[str]:
    return {service.get(path).json().get("status") for path in paths}


def test_orders_are_written_followed_and_logged_under_the_id_of_their_request(world: World, start: Start) -> None:
    service = start(ORDEROPS_ROLE="both")
    answers = [service.place(key=f"key-{number}") for number in range(3)]
    bad = service.place(customer=404)
    paths = [answer.json()["href"] for answer in answers]

    until(lambda: statuses(service, paths) == {"processed"}, "the orders to be written")
    until(lambda: statuses(service, [bad.json()["href"]]) == {"failed"}, "the other to fail")

    assert written(world) == ["key-0", "key-1", "key-2"]
    until(lambda: counts(world) == (0, 0), "the messages to be deleted")
    assert counts(world, world.dead_letter_url) == (1, 0)
    logged = [order for line in service.lines() for order in line.get("orders", ())]
    assert {order["request_id"] for order in logged} == {answer.headers["x-request-id"] for answer in answers}
    (failed,) = [line for line in service.lines() if line["level"] == "ERROR"]
    assert failed["request_id"] == bad.headers["x-request-id"]


@pytest.mark.parametrize(("role", "accepts", "writes"), [("web", True, False), ("worker", False, True)])
def test_web_and_worker_may_be_processes_of_their_own(
    world: World, start: Start, role: str, accepts: bool, writes: bool
) -> None:
    service = start(ORDEROPS_ROLE=role)
    world.sqs.send_message(QueueUrl=world.queue_url, MessageBody=placed("key-1").message())

    assert (service.place(key="key-2").status_code == 202) is accepts
    if writes:
        until(lambda: written(world) == ["key-1"], "the order to be written")
    else:
        assert counts(world) == (2, 0)
    assert service.end() == 0


def test_at_sigterm_every_order_in_flight_is_finished_or_given_back(world: World, start: Start) -> None:
    keys = [f"key-{number:02}" for number in range(50)]
    for number in range(0, 50, 10):
        world.sqs.send_message_batch(
            QueueUrl=world.queue_url,
            Entries=[{"Id": key, "MessageBody": placed(key).message()} for key in keys[number : number + 10]],
        )
    with world.session() as session, session.transaction():
        session.execute("LOCK TABLE orders IN SHARE MODE")
        service = start(ORDEROPS_ROLE="both")
        until(lambda: world.waiting_for_a_lock() == 2, "two batches to be in work")

        service.process.send_signal(signal.SIGTERM)

        until(service.refuses, "the signal to arrive")
        assert service.process.exit_code is None
    assert service.process.wait() == 0
    visible, hidden = counts(world)
    assert hidden == 0, "messages wait for their visibility timeout"
    assert len(written(world)) + visible == 50
    assert 10 <= len(written(world)) <= 30
    assert {line["level"] for line in service.lines()} == {"INFO"}


def test_orders_accepted_while_the_database_is_away_are_written_afterwards(world: World, start: Start) -> None:
    service = start(ORDEROPS_ROLE="both")
    until(lambda: service.get("/ready").status_code == 200, "the service to be ready")
    world.server.stop()
    until(lambda: service.get("/ready").status_code == 503, "the service to notice")

    answers = [service.place(key=f"key-{number}") for number in range(5)]

    assert {answer.status_code for answer in answers} == {202}
    assert service.get("/health").status_code == 200
    # At first it may be the connection that was lost.
    away = {"ok": False, "detail": "no server listens at its address"}
    until(lambda: service.get("/ready").json()["checks"]["database"] == away, "the service to say why")
    world.server.start()
    until(lambda: len(written(world)) == 5, "the orders to be written")
    assert not any(line["level"] == "ERROR" for line in service.lines())


def test_errors_for_clients_name_no_host_port_role_or_secret(world: World, start: Start) -> None:
    service = start(ORDEROPS_ROLE="both")
    world.set_password_in_database("another")
    world.end_sessions()
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    until(lambda: "rejects the login" in service.get("/ready").text, "the login to be rejected")

    shown = [service.get(path).text + service.page(path).text for path in ("/", "/ready", "/users", "/orders")]
    shown.append(service.place().text)
    shown.append(service.get("/orders/00000000-0000-0000-0000-000000000001").text)

    inside = ("127.0.0.1", str(world.server.port), world.name, world.credentials)
    assert [word for word in inside for text in shown if word in text] == []
    assert any(word in json.dumps(service.lines()) for word in inside)
