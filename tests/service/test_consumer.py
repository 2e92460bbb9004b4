from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from orderops.service.circuit import Unavailable, Unusable
from orderops.service.consumer import Consumer
from orderops.service.delivery import Delivery, Parts
from orderops.service.gate import Gate
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox
from orderops.service.metrics import Metrics
from orderops.service.order_writer import OrderWriter
from orderops.service.orders import PlacedOrder
from support.fake_queue import DEAD_LETTERS, URL, FakeQueue
from support.order_database import OrderDatabase, placed
from support.service_process import until


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> FakeQueue:
    return FakeQueue(clock)


@pytest.fixture
def parts(orders: OrderDatabase, queue: FakeQueue) -> Parts:
    inbox = Inbox(queue, URL, DEAD_LETTERS, poll_seconds=0)
    # The longest delay of each step, so that tests can name it.
    return Parts(
        inbox, OrderWriter(orders.store), Heartbeat(inbox), Metrics(), Gate(pause_seconds=0.02), lambda _low, high: high
    )


@pytest.fixture
def deliver(parts: Parts) -> Callable[[], None]:
    """Receive once and bring the messages to an end."""

    def run() -> None:
        Delivery(parts, parts.inbox.receive()).run()

    return run


@pytest.fixture
def consumer(parts: Parts) -> Iterator[Consumer]:
    running = Consumer(parts, threads=2)
    yield running
    running.stop()
    running.join()


def send(queue: FakeQueue, *orders: PlacedOrder) -> None:
    for order in orders:
        queue.send_message(URL, order.message())


def written(orders: OrderDatabase) -> list[str]:
    return [row[0] for row in orders.rows("SELECT key FROM idempotency_keys ORDER BY key")]


def reasons(queue: FakeQueue) -> list[tuple[str, str]]:
    return [
        (message.attributes["reason"]["StringValue"], message.attributes["detail"]["StringValue"])
        for message in queue.dead
    ]


def test_written_orders_are_deleted_from_the_queue(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], parts: Parts
) -> None:
    send(queue, placed("key-1"), placed("key-2"))

    deliver()

    assert written(orders) == ["key-1", "key-2"]
    assert queue.messages == queue.dead == []
    assert parts.metrics.take()["Processed"] == 2


def test_a_message_that_comes_again_changes_nothing_and_is_deleted(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], parts: Parts
) -> None:
    order = placed("key-1")
    send(queue, order)
    deliver()
    send(queue, order, order)

    deliver()

    assert written(orders) == ["key-1"]
    assert queue.messages == []
    counts = parts.metrics.take()
    assert (counts["Processed"], counts["Duplicates"], counts["Failed"]) == (1, 2, 0)


def test_a_bad_message_takes_no_good_one_along(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], parts: Parts
) -> None:
    stranger = placed("key-2", customer=404)
    send(queue, placed("key-1"), stranger, placed("key-3"))
    queue.send_message(URL, "no order")

    deliver()

    assert written(orders) == ["key-1", "key-3"]
    assert queue.messages == []
    assert sorted(reasons(queue)) == [
        ("invalid message", "message: must be JSON"),
        ("refused by the database", "customer 404 does not exist"),
    ]
    assert {message.body for message in queue.dead} == {"no order", stranger.message()}
    assert orders.rows("SELECT id::text, status, reason FROM accepted_orders") == [
        (stranger.id, "failed", "customer 404 does not exist")
    ]
    assert parts.metrics.take()["Failed"] == 2


def test_a_dead_letter_that_is_sent_again_after_the_fix_is_written(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None]
) -> None:
    send(queue, placed("key-1", customer=404))
    deliver()
    with orders.session() as session:
        session.execute(
            "INSERT INTO users (id, name, email) OVERRIDING SYSTEM VALUE VALUES (404, 'New', 'new@example.com')"
        )

    queue.send_message(URL, queue.dead[0].body)
    deliver()

    assert written(orders) == ["key-1"]
    assert orders.rows("SELECT count(*) FROM accepted_orders") == [(0,)]


def test_another_order_under_a_used_key_goes_to_the_dead_letters(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None]
) -> None:
    first, other = placed("key-1"), placed("key-1", customer=2)
    send(queue, first)
    deliver()
    send(queue, other)

    deliver()

    assert reasons(queue) == [("key used before", "the idempotency key belongs to another order")]
    assert orders.rows("SELECT id::text FROM orders") == [(first.id,)]
    assert orders.rows("SELECT id::text, status FROM accepted_orders") == [(other.id, "failed")]


def fail_with(orders: OrderDatabase, condition: str) -> None:
    """Let each insert of an order fail with a condition of PL/pgSQL that says nothing of the values."""
    with orders.session() as session:
        session.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE {condition}; END $$; "
            "CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()".encode()
        )


def test_an_order_that_may_succeed_is_given_back_with_a_growing_delay(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], clock: Clock
) -> None:
    fail_with(orders, "lock_not_available")
    send(queue, placed("key-1"))
    seen = []
    for _ in range(4):
        deliver()
        seen += queue.delays()
        clock.now += queue.delays()[0]

    assert seen == sorted(set(seen))
    assert seen[0] >= 1
    assert seen[-1] <= 900
    assert queue.dead == []


def test_an_order_is_put_away_after_its_last_attempt_with_the_reason(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], clock: Clock
) -> None:
    queue.max_receives = 2
    fail_with(orders, "lock_not_available")
    order = placed("key-1")
    send(queue, order)
    deliver()
    clock.now += 900

    deliver()

    assert reasons(queue) == [("failed too often", "lock_not_available")]
    assert queue.dead[0].attributes["receives"]["StringValue"] == "2"
    assert orders.rows("SELECT id::text, reason FROM accepted_orders") == [(order.id, "failed 2 times")]


def test_a_message_of_a_later_release_is_given_back(queue: FakeQueue, deliver: Callable[[], None]) -> None:
    queue.send_message(URL, json.dumps({**json.loads(placed().message()), "version": 2}))

    deliver()

    assert queue.dead == []
    assert queue.delays()[0] > 0


def test_messages_that_sqs_does_not_delete_at_first_are_deleted_again(
    queue: FakeQueue, deliver: Callable[[], None]
) -> None:
    order = placed("key-1")
    send(queue, order, placed("key-2"))
    queue.unlucky = {order.message()}

    deliver()

    assert queue.messages == []


def test_messages_that_cannot_be_deleted_come_again_as_duplicates(
    orders: OrderDatabase, queue: FakeQueue, deliver: Callable[[], None], clock: Clock
) -> None:
    send(queue, placed("key-1"))
    queue.refused["delete_message_batch"] = "InternalError"
    deliver()
    assert len(queue.messages) == 1
    queue.refused.clear()
    clock.now += queue.visibility

    deliver()

    assert queue.messages == []
    assert written(orders) == ["key-1"]


def test_without_the_dead_letters_a_failed_message_stays_in_the_queue(
    queue: FakeQueue, deliver: Callable[[], None]
) -> None:
    send(queue, placed(customer=404))
    queue.refused["send_message"] = "AccessDenied"

    deliver()

    assert queue.dead == []
    assert queue.delays()[0] > 0


def test_a_mistake_in_the_code_takes_no_good_message_along(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parts.writer.write

    def faulty(batch: list[PlacedOrder]) -> object:
        if any(order.key == "key-2" for order in batch):
            raise ZeroDivisionError
        return write(batch)

    monkeypatch.setattr(parts.writer, "write", faulty)
    send(queue, placed("key-1"), placed("key-2"), placed("key-3"))

    Delivery(parts, parts.inbox.receive()).run()

    assert written(orders) == ["key-1", "key-3"]
    assert len(queue.messages) == 1


def test_the_log_names_message_order_and_request(
    queue: FakeQueue, deliver: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    order, stranger = placed("key-1"), placed("key-2", customer=404)
    send(queue, order, stranger)
    ids = {message.body: message.id for message in queue.messages}

    with caplog.at_level(logging.INFO):
        deliver()

    (line,) = [record for record in caplog.records if record.getMessage() == "orders written"]
    assert vars(line)["orders"] == [
        {"message_id": ids[order.message()], "order_id": order.id, "request_id": "request-1"}
    ]
    assert any("orders_user_id_fkey" in record.getMessage() for record in caplog.records)
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (vars(line)["order_id"], vars(line)["reason"]) == (stranger.id, "refused by the database")


def test_nothing_is_received_while_the_database_is_away(
    orders: OrderDatabase, queue: FakeQueue, consumer: Consumer
) -> None:
    orders.server.stop()
    batch = [placed(f"key-{number}") for number in range(25)]
    send(queue, *batch)
    consumer.start()
    until(lambda: orders.store.away, "the database to be known as away")
    assert "receive_message" not in queue.calls
    assert {message.receives for message in queue.messages} == {0}

    orders.server.start()

    until(lambda: not queue.messages, "the orders to be written")
    assert len(written(orders)) == 25
    assert queue.dead == []


def test_messages_received_as_the_database_goes_are_held_and_written_later(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts
) -> None:
    send(queue, placed("key-1"), placed("key-2"))
    messages = parts.inbox.receive()
    orders.server.stop()
    delivery = threading.Thread(target=Delivery(parts, messages).run)
    delivery.start()
    until(lambda: parts.gate.held, "the messages to be held")

    orders.server.start()
    delivery.join()

    assert written(orders) == ["key-1", "key-2"]
    assert [message.receives for message in messages] == [1, 1]
    assert not parts.gate.held


class CountingGate(Gate):
    """Gate that counts how often the consumer waits."""

    def __init__(self) -> None:
        super().__init__(pause_seconds=0.01)
        self.pauses = 0

    def pause(self) -> bool:
        self.pauses += 1
        return super().pause()


def test_nothing_is_received_while_other_messages_wait_for_the_database(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts
) -> None:
    gate = CountingGate()
    database_is_back = threading.Event()

    def work() -> None:
        if not database_is_back.is_set():
            raise Unusable("a table is missing")

    holding = threading.Thread(target=gate.through, args=(work,), daemon=True)
    holding.start()
    until(lambda: gate.held, "the other messages to wait")
    send(queue, placed("key-1"))
    consumer = Consumer(replace(parts, gate=gate))
    consumer.start()
    paused = gate.pauses
    until(lambda: gate.pauses > paused + 20 or not queue.messages, "the consumer to have had the chance")
    received = queue.calls.count("receive_message")

    database_is_back.set()

    until(lambda: not queue.messages, "the order to be written")
    consumer.stop()
    consumer.join()
    assert received == 0


def test_a_missing_table_uses_up_no_attempts(orders: OrderDatabase, queue: FakeQueue, consumer: Consumer) -> None:
    with orders.session() as session:
        session.execute("ALTER TABLE order_items RENAME TO hidden_items")
    send(queue, *(placed(f"key-{number}") for number in range(30)))
    consumer.start()
    until(lambda: any(message.receives for message in queue.messages), "the first messages to be received")
    with orders.session() as session:
        session.execute("ALTER TABLE hidden_items RENAME TO order_items")

    until(lambda: not queue.messages, "the orders to be written")

    assert queue.dead == []
    assert len(written(orders)) == 30


def test_messages_held_at_the_end_are_given_back_at_once(orders: OrderDatabase, queue: FakeQueue, parts: Parts) -> None:
    send(queue, placed("key-1"), placed("key-2"))
    messages = parts.inbox.receive()
    orders.server.stop()
    delivery = threading.Thread(target=Delivery(parts, messages).run)
    delivery.start()
    until(lambda: parts.gate.held, "the messages to be held")

    parts.gate.stop()
    delivery.join()

    assert queue.delays() == [0, 0]


def test_messages_received_after_the_end_began_are_given_back_at_once(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts, deliver: Callable[[], None]
) -> None:
    send(queue, placed("key-1"))
    parts.gate.stop()

    deliver()

    assert queue.delays() == [0]
    assert written(orders) == []


def test_orders_tried_one_by_one_at_the_end_are_finished_or_given_back(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parts.writer.write

    def stop_after_the_second(batch: list[PlacedOrder]) -> object:
        result = write(batch)
        if batch[0].key == "key-2":
            parts.gate.stop()
        return result

    monkeypatch.setattr(parts.writer, "write", stop_after_the_second)
    send(queue, *(placed(f"key-{number}") for number in range(1, 5)), placed("key-5", customer=404))

    Delivery(parts, parts.inbox.receive()).run()

    assert written(orders) == ["key-1", "key-2"]
    assert queue.delays() == [0, 0, 0]


def test_a_message_stays_hidden_while_its_order_is_worked_on(
    orders: OrderDatabase, queue: FakeQueue, clock: Clock
) -> None:
    inbox = Inbox(queue, URL, DEAD_LETTERS, poll_seconds=0)
    heartbeat = Heartbeat(inbox, interval=0.01)
    parts = Parts(inbox, OrderWriter(orders.store), heartbeat, Metrics(), Gate())
    send(queue, placed("key-1"))
    messages = inbox.receive()
    heartbeat.start()
    with orders.session() as session, session.transaction():
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        delivery = threading.Thread(target=Delivery(parts, messages).run)
        delivery.start()
        for _ in range(4):
            clock.now += 0.9 * queue.visibility
            until(lambda: queue.delays()[0] == queue.visibility, "the visibility timeout to be extended")
            assert inbox.receive() == []
    delivery.join()
    heartbeat.stop()

    assert queue.messages == []
    assert written(orders) == ["key-1"]


def test_a_message_that_was_given_back_is_not_hidden_again(queue: FakeQueue, parts: Parts, clock: Clock) -> None:
    send(queue, placed("key-1"), placed("key-2"))
    back, kept = parts.inbox.receive()
    heartbeat = Heartbeat(parts.inbox, interval=0.01)
    heartbeat.start()
    with heartbeat.keeping([back, kept]):
        heartbeat.release([back])
        parts.inbox.give_back([back])
        for _ in range(2):
            clock.now += 1
            until(lambda: queue.delays()[1] == queue.visibility, "the other message to be hidden again")
    heartbeat.stop()

    assert queue.delays()[0] == 0


def test_a_message_that_is_given_back_stays_so_while_the_others_are_worked_on(
    orders: OrderDatabase, queue: FakeQueue, parts: Parts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat = Heartbeat(parts.inbox, interval=0.01)
    write = parts.writer.write

    def slow(batch: list[PlacedOrder]) -> object:
        if batch[0].key == "key-1":
            raise Unavailable("other changes are in the way")
        for _ in range(2):
            clock.now += 1
            until(lambda: queue.delays()[-1] == queue.visibility, "a heartbeat")
        return write(batch)

    monkeypatch.setattr(parts.writer, "write", slow)
    send(queue, placed("key-1"), placed("key-2"))
    heartbeat.start()

    Delivery(replace(parts, heartbeat=heartbeat), parts.inbox.receive()).run()

    heartbeat.stop()
    # Given back for 5 s, 2 s before.
    assert queue.delays() == [3]
    assert written(orders) == ["key-2"]


def test_why_nothing_is_received_is_logged_once(
    queue: FakeQueue, consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    queue.refused["receive_message"] = "AccessDenied"
    with caplog.at_level(logging.WARNING):
        consumer.start()
        until(lambda: queue.calls.count("receive_message") > 6, "several tries")

    reported = {record.getMessage() for record in caplog.records}
    assert reported == {"nothing is received: the task's role may not use queue orders: it needs sqs:ReceiveMessage"}
    assert len(caplog.records) <= 2


def test_the_consumer_writes_what_the_queue_holds(
    orders: OrderDatabase, queue: FakeQueue, consumer: Consumer, parts: Parts
) -> None:
    send(queue, *(placed(f"key-{number:03}") for number in range(45)))
    consumer.start()

    until(lambda: not queue.messages, "the queue to be empty")

    assert len(written(orders)) == 45
    assert parts.metrics.take()["Processed"] == 45


def test_a_queue_that_refuses_is_tried_again(orders: OrderDatabase, queue: FakeQueue, consumer: Consumer) -> None:
    queue.refused["receive_message"] = "InternalError"
    send(queue, placed("key-1"))
    consumer.start()
    until(lambda: queue.calls.count("receive_message") >= 2, "the queue to refuse")
    queue.refused.clear()

    until(lambda: not queue.messages, "the order to be written")

    assert written(orders) == ["key-1"]
