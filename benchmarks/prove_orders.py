"""Orders placed while everything around them fails: each is written once, and only poison is in the dead letters.

    python benchmarks/prove_orders.py                      20,000 orders
    python benchmarks/prove_orders.py --orders 2000 --seed 7

Two processes of the service accept and write orders. One of them is killed with -9 every few seconds, PostgreSQL is
restarted twice, its sessions are cut, and once it moves to another address, as in a promotion. Each client repeats an
order under its key until it is accepted. One order in a hundred is of a customer who does not exist, and some messages
are no orders. At the end the customer is created, and the dead letters are sent back. Exit code 1 if an order is lost,
doubled or different.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import httpx
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.ports import free_port
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from support.fake_queue import DEAD_LETTERS, URL, FakeQueue
from support.fake_queue_server import served
from support.order_database import placed
from support.service_process import Running, World, run_service, stop

STRANGER = 404
CLIENTS = 6


def main() -> None:
    """Place the orders, disturb the system, and compare what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=20261128)
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    queue = FakeQueue(visibility=5, max_receives=50)
    with scratch("orderops-prove-orders-") as directory, emulator() as endpoint, served(queue) as sqs:
        server = PostgresServer(directory / "server")
        server.start()
        world = World(server, endpoint)
        try:
            wrong = Proof(world, queue, sqs, directory, arguments).run()
        finally:
            server.kill()
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{len(wrong)} wrong")
    raise SystemExit(bool(wrong))


@contextmanager
def emulator() -> Iterator[str]:
    """Serve an emulated Secrets Manager."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class Proof:
    """One run."""

    def __init__(self, world: World, queue: FakeQueue, sqs: str, log: Path, arguments: argparse.Namespace) -> None:
        self._world = world
        self._queue = queue
        self._orders: int = arguments.orders
        self._every: float = arguments.every
        self._random = Random(arguments.seed)
        self._log = log
        self._variables = {
            **world.environment(),
            "AWS_ENDPOINT_URL_SQS": sqs,
            "QUEUE_URL": URL,
            "DEAD_LETTER_QUEUE_URL": DEAD_LETTERS,
            "ORDEROPS_ROLE": "both",
        }
        self._services = [self._start(free_port()) for _ in range(2)]
        self._done = threading.Event()
        self._accepted = 0
        self._kills = 0

    def run(self) -> list[str]:
        """Place and disturb, then compare."""
        started = time.monotonic()
        killer = threading.Thread(target=self._kill, daemon=True)
        killer.start()
        breaker = threading.Thread(target=self._break_database, daemon=True)
        breaker.start()
        garbage = [f"garbage {number}" for number in range(20)]
        for body in garbage:
            self._queue.send_message(URL, body)
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(self._place, range(self._orders)))
        breaker.join()
        self._done.set()
        killer.join()
        self._wait_until_empty()
        seconds = time.monotonic() - started
        dead = len(self._queue.dead)
        print(f"{self._orders} orders in {seconds:.0f} s, {self._kills} processes killed, {dead} dead letters")
        try:
            return [*self._compare(garbage), *self._send_back(garbage)]
        finally:
            for service in self._services:
                stop(service)

    def _customer(self, number: int) -> int:
        return STRANGER if number % 100 == 17 else 1 + number % 3

    def _place(self, number: int) -> None:
        """Send an order, again and again until it is accepted."""
        while True:
            with suppress(httpx.TransportError):
                service = self._services[number % len(self._services)]
                if service.place(customer=self._customer(number), key=f"key-{number}").status_code == 202:
                    break
            time.sleep(0.05)
        self._accepted += 1

    def _start(self, port: int) -> Running:
        return run_service({**self._variables, "PORT": str(port)}, self._log / f"{port}.log")

    def _kill(self) -> None:
        while not self._done.wait(self._every * self._random.uniform(0.5, 1.5)):
            index = self._random.randrange(len(self._services))
            port = int(self._services[index].url.rpartition(":")[2])
            stop(self._services[index])
            self._kills += 1
            self._services[index] = self._start(port)

    def _break_database(self) -> None:
        for share, move in ((0.25, False), (0.5, True), (0.75, False)):
            while self._accepted < share * self._orders:
                time.sleep(1)
                self._world.end_sessions()
            self._world.server.stop()
            if move:
                self._world.server.move_to(free_port())
            time.sleep(2)
            self._world.server.start()
            if move:
                self._world.set_database_secret()
            print(f"the database {'moved' if move else 'restarted'} after {self._accepted} orders", flush=True)

    def _wait_until_empty(self) -> None:
        deadline = time.monotonic() + 300
        while not self._queue.empty and time.monotonic() < deadline:
            time.sleep(0.2)

    def _compare(self, garbage: list[str]) -> Iterator[str]:
        good = {f"key-{number}": self._customer(number) for number in range(self._orders)}
        strangers = {key for key, customer in good.items() if customer == STRANGER}
        yield from self._written({key: customer for key, customer in good.items() if key not in strangers})
        bodies = {message.body for message in self._queue.dead}
        keys = {json.loads(body)["key"] for body in bodies if body.startswith("{")}
        if keys != strangers or bodies - set(garbage) != {body for body in bodies if body.startswith("{")}:
            yield f"dead letters: {len(keys - strangers)} good orders, {len(strangers - keys)} bad ones missing"
        if set(garbage) - bodies:
            yield f"{len(set(garbage) - bodies)} messages that are no orders are missing in the dead letters"

    def _written(self, expected: dict[str, int]) -> Iterator[str]:
        query = "SELECT key, user_id, total_cents FROM orders JOIN idempotency_keys ON order_id = id"
        with self._world.session() as session:
            rows = session.execute(query).fetchall()
            (orders,) = session.execute("SELECT count(*) FROM orders").fetchone() or (0,)
            (items,) = session.execute("SELECT count(*) FROM order_items").fetchone() or (0,)
        found = {key: customer for key, customer, total in rows if total == placed().order.total}
        if found != expected or not len(rows) == orders == items == len(expected):
            lost, more = len(expected.keys() - found.keys()), len(found.keys() - expected.keys())
            yield f"{lost} orders lost, {more} too many; {orders} orders and {items} items for {len(expected)}"

    def _send_back(self, garbage: list[str]) -> Iterator[str]:
        """Create the customer, send the dead letters back, and compare again."""
        with self._world.session() as session:
            values = f"({STRANGER}, 'New', 'new@example.com')"
            session.execute(f"INSERT INTO users (id, name, email) OVERRIDING SYSTEM VALUE VALUES {values}".encode())
        letters = [message.body for message in self._queue.dead if message.body not in garbage]
        before = len(self._queue.dead)
        for body in letters:
            self._queue.send_message(URL, body)
        self._wait_until_empty()
        yield from self._written({f"key-{number}": self._customer(number) for number in range(self._orders)})
        if len(self._queue.dead) != before:
            yield f"{len(self._queue.dead) - before} of the orders that were sent back failed again"
        print(f"{len(letters)} dead letters sent back")


if __name__ == "__main__":
    main()
