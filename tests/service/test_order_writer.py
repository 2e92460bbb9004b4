from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from orderops.service.circuit import Away, Rejected, Unavailable, Unusable
from orderops.service.order_writer import OrderWriter, Written, reason_of
from support.order_database import OrderDatabase, placed

ITEMS = "SELECT line, sku, quantity, unit_price_cents FROM order_items ORDER BY order_id, line"


@pytest.fixture
def writer(orders: OrderDatabase) -> OrderWriter:
    return OrderWriter(orders.store)


def test_a_batch_is_written_with_its_items_and_keys(orders: OrderDatabase, writer: OrderWriter) -> None:
    batch = [placed("key-1", skus=["tea", "cup"]), placed("key-2", customer=2)]

    written = writer.write(batch)

    assert written.new == {order.id for order in batch}
    stored = orders.rows(
        "SELECT id::text, user_id, status, currency, total_cents, placed_at FROM orders ORDER BY user_id"
    )
    assert stored == [
        (batch[0].id, 1, "received", "AUD", 5000, batch[0].placed_at),
        (batch[1].id, 2, "received", "AUD", 2500, batch[1].placed_at),
    ]
    assert sorted(orders.rows(ITEMS)) == [(1, "tea", 2, 1250), (1, "tea", 2, 1250), (2, "cup", 2, 1250)]
    keys = orders.rows("SELECT key, order_id::text, request_sha256 FROM idempotency_keys ORDER BY key")
    assert keys == [(order.key, order.id, order.digest) for order in batch]


def test_an_order_that_comes_again_is_a_duplicate(orders: OrderDatabase, writer: OrderWriter) -> None:
    first, second = placed("key-1"), placed("key-2")
    writer.write([first])

    written = writer.write([first, second])

    assert written == Written(frozenset({second.id}), frozenset({first.id}), frozenset())
    assert orders.rows("SELECT count(*) FROM order_items") == [(2,)]


def test_an_order_that_is_twice_in_a_batch_is_written_once(orders: OrderDatabase, writer: OrderWriter) -> None:
    order = placed("key-1")

    assert writer.write([order, order]).new == {order.id}
    assert orders.rows("SELECT count(*) FROM order_items") == [(1,)]


def test_another_order_under_a_used_key_is_a_conflict(orders: OrderDatabase, writer: OrderWriter) -> None:
    first, other = placed("key-1"), placed("key-1", customer=2)
    writer.write([first])

    written = writer.write([other])

    assert written == Written(frozenset(), frozenset(), frozenset({other.id}))
    assert orders.rows("SELECT id::text FROM orders") == [(first.id,)]


def test_of_two_orders_under_one_key_in_a_batch_one_is_written(orders: OrderDatabase, writer: OrderWriter) -> None:
    batch = [placed("key-1"), placed("key-1", customer=2)]

    written = writer.write(batch)

    assert len(written.new) == 1
    assert written.new | written.conflicts == {order.id for order in batch}
    assert orders.rows("SELECT id::text FROM orders") == [(identifier,) for identifier in written.new]


def test_an_order_whose_old_key_was_deleted_is_not_written_again(orders: OrderDatabase, writer: OrderWriter) -> None:
    order = placed("key-1")
    writer.write([order])
    with orders.session() as session:
        session.execute("DELETE FROM idempotency_keys")

    assert writer.write([order]).duplicates == {order.id}
    assert orders.rows("SELECT count(*) FROM order_items") == [(1,)]


def test_a_batch_with_a_refused_order_writes_nothing(orders: OrderDatabase, writer: OrderWriter) -> None:
    stranger = placed("key-2", customer=404)

    with pytest.raises(Rejected) as refusal:
        writer.write([placed("key-1"), stranger])

    assert reason_of(refusal.value, stranger) == "customer 404 does not exist"
    assert orders.rows("SELECT count(*) FROM idempotency_keys") == [(0,)]


def test_tasks_that_write_the_same_orders_at_once_write_each_once(orders: OrderDatabase, writer: OrderWriter) -> None:
    batch = [placed(f"key-{number}") for number in range(10)]
    orders_of_tasks = [batch, batch[::-1], batch[5:] + batch[:5], batch[::2]]

    with ThreadPoolExecutor(4) as threads:
        written = [result for _ in range(5) for result in threads.map(writer.write, orders_of_tasks)]

    assert sum(len(result.new) for result in written) == 10
    assert orders.rows("SELECT count(*) FROM order_items") == [(10,)]


def test_a_failure_is_recorded_until_the_order_is_written(orders: OrderDatabase, writer: OrderWriter) -> None:
    order = placed("key-1")
    writer.fail(order, "customer 1 does not exist")
    writer.fail(order, "failed 5 times")
    assert orders.rows("SELECT id::text, key, status, reason FROM accepted_orders") == [
        (order.id, "key-1", "failed", "failed 5 times")
    ]

    writer.write([order])
    writer.fail(order, "too late")

    assert orders.rows("SELECT count(*) FROM accepted_orders") == [(0,)]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        ("DROP TABLE order_items", Unusable),
        ("ALTER TABLE orders DROP COLUMN placed_at CASCADE", Unusable),
        ("ALTER DATABASE {} SET default_transaction_read_only = on", Unusable),
        ("ALTER TABLE orders ADD CONSTRAINT small CHECK (total_cents < 9)", Rejected),
    ],
)
def test_an_error_says_whether_it_is_about_the_order(
    fragile: OrderDatabase, damage: str, error: type[Unavailable]
) -> None:
    with fragile.session() as session:
        session.execute(damage.format(fragile.name).encode())

    with pytest.raises(error):
        OrderWriter(fragile.store).write([placed()])


def test_a_deadlock_is_worth_another_try(orders: OrderDatabase, writer: OrderWriter) -> None:
    trigger = """
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE deadlock_detected; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()
    """
    with orders.session() as session:
        session.execute(trigger)

    with pytest.raises(Unavailable) as failure:
        writer.write([placed()])

    assert type(failure.value) is Unavailable


def test_a_session_that_the_server_ends_is_a_lost_connection(orders: OrderDatabase, writer: OrderWriter) -> None:
    def end(connection: psycopg.Connection) -> None:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Away):
        orders.store.run(end)
