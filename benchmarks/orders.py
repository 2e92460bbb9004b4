"""Orders a second of the consumer, beside a plain loop of one message at a time, and beside what the database can do.

    python benchmarks/orders.py                    5,000 orders by each, the best of three
    python benchmarks/orders.py --orders 20000

The queue is in memory, so that it is not the bottleneck; PostgreSQL is real and flushes each commit to the disk. Each
runs in a process of one core. The limit is how many batches of ten orders, made up by the server, as many connections
commit as the consumer has. Exit code 1 if the consumer writes less than ten times what the loop writes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from orderops.service import logs
from orderops.service.consumer import Consumer
from orderops.service.delivery import Parts
from orderops.service.gate import Gate
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox
from orderops.service.metrics import Metrics
from orderops.service.order_writer import OrderWriter
from orderops.service.orders import PlacedOrder, read_message
from support.fake_queue import DEAD_LETTERS, URL, FakeQueue
from support.order_database import OrderDatabase, order_database, placed

GOAL = 10.0
CONNECTIONS, BATCH = 4, 10
ITEMS = ("tea", "cup")
TEN_ORDERS = """
WITH made AS MATERIALIZED (
    SELECT gen_random_uuid() AS id FROM generate_series(1, 10)
), keys AS (
    INSERT INTO idempotency_keys (key, order_id, request_sha256) SELECT id::text, id, sha256(id::text::bytea) FROM made
), orders AS (
    INSERT INTO orders (id, user_id, currency, total_cents, placed_at) SELECT id, 1, 'AUD', 5000, now() FROM made
)
INSERT INTO order_items (order_id, line, sku, quantity, unit_price_cents)
SELECT id, line, 'tea', 2, 1250 FROM made, generate_series(1, 2) AS line
"""


def main() -> None:
    """Measure the loop, the consumer and the limit, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=5000)
    # Each connection commits whole batches.
    orders = -(-parser.parse_args().orders // (BATCH * CONNECTIONS)) * BATCH * CONNECTIONS
    with scratch("orderops-orders-") as directory:
        server = PostgresServer(directory / "server")
        server.start()
        try:
            loop, consumer, limit = (
                max(measured(server, work, number) for _ in range(3))
                for work, number in (
                    (plain_loop, orders // 5),
                    (consume, orders),
                    (insert_only, orders),
                )
            )
        finally:
            server.kill()
    print(f"a loop of one message at a time  {loop:8.0f} orders/s")
    print(f"the consumer                     {consumer:8.0f} orders/s, {consumer / loop:.1f} times the loop")
    print(f"commits of ten rows alone        {limit:8.0f} orders/s; the consumer reaches {consumer / limit:.0%} of it")
    raise SystemExit(consumer < GOAL * loop)


def measured(server: PostgresServer, work: Callable[[OrderDatabase, FakeQueue], None], orders: int) -> float:
    """Return the orders a second of work that runs in a process of its own, on one core."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(server, work, orders, theirs))
    process.start()
    theirs.close()
    rate: float = ours.recv()
    process.join()
    return rate


def _measure(server: PostgresServer, work: Callable[[OrderDatabase, FakeQueue], None], orders: int, pipe: Any) -> None:
    # The service logs each batch; here nobody reads it.
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the life of the process
    logs.configure("INFO")
    # The server keeps the other cores.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with order_database(server, pool_size=CONNECTIONS) as database:
        queue = FakeQueue()
        for number in range(orders):
            queue.send_message(URL, placed(f"key-{number}", skus=ITEMS).message())
        started = time.perf_counter()
        work(database, queue)
        seconds = time.perf_counter() - started
        found = database.rows("SELECT count(*) FROM orders JOIN order_items ON order_id = id")
        assert found == [(len(ITEMS) * orders,)], f"{found} of {orders} orders were written"
        pipe.send(orders / seconds)


def plain_loop(database: OrderDatabase, queue: FakeQueue) -> None:
    """Receive a message, write its order in a transaction, delete the message."""
    with psycopg.connect(database.server.dsn(database.name)) as connection:
        while messages := queue.receive_message(URL).get("Messages"):
            for message in messages:
                with connection.transaction():
                    write_plainly(connection, read_message(message["Body"]))
                queue.delete_message(URL, message["ReceiptHandle"])


def write_plainly(connection: psycopg.Connection, order: PlacedOrder) -> None:
    """Write an order with a statement for each row."""
    connection.execute(
        "INSERT INTO idempotency_keys (key, order_id, request_sha256) VALUES (%s, %s, %s)",
        (order.key, order.id, order.digest),
    )
    connection.execute(
        "INSERT INTO orders (id, user_id, currency, total_cents, placed_at) VALUES (%s, %s, %s, %s, %s)",
        (order.id, order.order.customer, order.order.currency, order.order.total, order.placed_at),
    )
    for line, item in enumerate(order.order.items, 1):
        connection.execute(
            "INSERT INTO order_items (order_id, line, sku, quantity, unit_price_cents) VALUES (%s, %s, %s, %s, %s)",
            (order.id, line, item.sku, item.quantity, item.unit_price),
        )


def consume(database: OrderDatabase, queue: FakeQueue) -> None:
    """Let the service's consumer empty the queue."""
    inbox = Inbox(queue, URL, DEAD_LETTERS, poll_seconds=1)
    parts = Parts(inbox, OrderWriter(database.store), Heartbeat(inbox), Metrics(), Gate())
    consumer = Consumer(parts, threads=CONNECTIONS)
    consumer.start()
    while not queue.empty:
        time.sleep(0.01)
    consumer.stop()
    consumer.join()


def insert_only(database: OrderDatabase, queue: FakeQueue) -> None:
    """Commit as many rows in batches of ten, made up by the server: no queue, no values to send, nothing to compare."""

    def insert(batches: int) -> None:
        with psycopg.connect(database.server.dsn(database.name), autocommit=True) as connection:
            for _ in range(batches):
                connection.execute(TEN_ORDERS, prepare=True)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(insert, [len(queue.messages) // BATCH // CONNECTIONS] * CONNECTIONS))


if __name__ == "__main__":
    main()
