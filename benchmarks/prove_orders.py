"""Orders placed while everything around them fails: each is written once, and only poison is in the dead letters.

    python benchmarks/prove_orders.py                      20,000 orders
    python benchmarks/prove_orders.py --orders 2000 --seed 7

A laptop environment of its own, with a web service and a worker as `orderops up` releases them, takes orders through
its load balancer. One of their processes is killed with -9 every few seconds, the database instance is rebooted twice,
its sessions are cut again and again, and once it is replaced: the worker is scaled to zero, `restore` makes a new
instance, `restore promote` makes it the database, and `up` brings the worker back. Orders are accepted all the while.
Each client repeats an order under its key until it is accepted. One order in a hundred is of a customer who does not
exist, and some messages are no orders. At the end the customer is created, and `queue dlq replay` sends their orders
again. Exit code 1 if an order is lost, doubled or different.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import boto3
import httpx
import psycopg
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops import local
from support.order_client import LaptopEnvironment, laptop_environment

STRANGER, ITEM = 404, {"sku": "tea", "quantity": 2, "unit_price": 1250}
TOTAL = 2500
CLIENTS, GARBAGE = 6, 20
CLUSTER, WORKER, QUEUE = "orderops-local-cluster", "orderops-local-order-worker", "orderops-local-order-processor"
REGION = "ap-southeast-2"
# A message of a killed process comes again after 10 s. A message may be in hand at many kills: none of them is poison.
SERVICES = """role = "web"

[services.order-worker]
role = "worker"
works_for = "order-processor"
min_tasks = 2
max_tasks = 2

[services.order-processor.queue]
max_receives = 50"""
CHANGES = {"[services.order-processor.queue]": SERVICES, "visibility_timeout = 30": "visibility_timeout = 10"}


def main() -> None:
    """Place the orders, disturb the system, and compare what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=20261128)
    arguments = parser.parse_args()
    with laptop_environment(**CHANGES) as laptop:
        wrong = Proof(laptop, arguments).run()
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{len(wrong)} wrong")
    raise SystemExit(bool(wrong))


def waited(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Wait for a condition. Raises AssertionError if it is not fulfilled in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


class Proof:
    """One run."""

    def __init__(self, laptop: LaptopEnvironment, arguments: argparse.Namespace) -> None:
        self._laptop = laptop
        self._orders: int = arguments.orders
        self._every: float = arguments.every
        self._random = Random(arguments.seed)
        self._data = laptop.folder / "data"
        self._endpoint = local.start(REGION, self._data)
        self._url = laptop("infra", "outputs", "--json").json["load_balancer_url"]
        sqs = self._client("sqs")
        self._queue = sqs.get_queue_url(QueueName=f"{QUEUE}-queue")["QueueUrl"]
        self._dead_letters = sqs.get_queue_url(QueueName=f"{QUEUE}-dlq")["QueueUrl"]
        self._http = httpx.Client(timeout=10, limits=httpx.Limits(max_connections=CLIENTS))
        self._dsn = laptop.dsn()
        self._done = threading.Event()
        self._accepted = 0
        self._kills = self._cuts = 0
        self._trouble: list[str] = []

    def run(self) -> list[str]:
        """Place and disturb, then compare."""
        started = time.monotonic()
        disturbances = [
            threading.Thread(target=self._noted, args=(work,)) for work in (self._kill, self._cut, self._replace)
        ]
        for thread in disturbances:
            thread.start()
        garbage = [f"garbage {number}" for number in range(GARBAGE)]
        for body in garbage:
            self._client("sqs").send_message(QueueUrl=self._queue, MessageBody=body)
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(self._place, range(self._orders)))
        disturbances[-1].join()
        waited(self._empty, "the queue is empty")
        seconds = time.monotonic() - started
        wrong = list(self._compare(garbage))
        print(
            f"{self._orders} orders in {seconds:.0f} s, {self._kills} processes killed, sessions cut {self._cuts} times"
        )
        wrong += self._replay(garbage)
        self._done.set()
        for thread in disturbances:
            thread.join()
        return [*self._trouble, *wrong]

    def _noted(self, work: Callable[[], None]) -> None:
        """Do something in a thread; what it raises is wrong."""
        try:
            work()
        except Exception as error:
            self._trouble.append(f"{work.__name__}: {type(error).__name__}: {error}")

    def _client(self, service: str) -> Any:
        key = self._endpoint.key
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self._endpoint.url,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            config=Config(retries={"mode": "standard"}),
        )

    def _customer(self, number: int) -> int:
        return STRANGER if number % 100 == 17 else 1 + number % 3

    def _place(self, number: int) -> None:
        """Send an order, again and again until it is accepted."""
        order = {"customer": self._customer(number), "currency": "AUD", "items": [ITEM]}
        while True:
            with suppress(httpx.TransportError):
                headers = {"Idempotency-Key": f"key-{number}"}
                if self._http.post(f"{self._url}/orders", json=order, headers=headers).status_code == 202:
                    break
            time.sleep(0.05)
        self._accepted += 1

    def _processes(self) -> dict[str, list[int]]:
        services = local.status(self._data)["services"]
        return {name: [process["pid"] for process in processes] for name, processes in services.items()}

    def _kill(self) -> None:
        while not self._done.wait(self._every * self._random.uniform(0.5, 1.5)):
            pids = sorted(pid for found in self._processes().values() for pid in found if pid)
            if pids:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(pids), signal.SIGKILL)
                    self._kills += 1

    def _cut(self) -> None:
        while not self._done.wait(2 * self._every):
            with suppress(psycopg.OperationalError), psycopg.connect(self._dsn, connect_timeout=2) as session:
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'orderops_s%'"
                )
                self._cuts += 1

    def _replace(self) -> None:
        for share, disturb, done in (
            (0.25, self._reboot, "rebooted"),
            (0.5, self._promote, "replaced by a promoted instance"),
            (0.75, self._reboot, "rebooted"),
        ):
            while self._accepted < share * self._orders:
                time.sleep(0.2)
            before = self._accepted
            disturb()
            print(f"the database was {done} from {before} to {self._accepted} accepted orders", flush=True)

    def _reboot(self) -> None:
        (primary,) = [found["name"] for found in self._laptop.instances() if found["role"] == "primary"]
        rds = self._client("rds")
        rds.reboot_db_instance(DBInstanceIdentifier=primary)

        def available() -> bool:
            (found,) = rds.describe_db_instances(DBInstanceIdentifier=primary)["DBInstances"]
            return bool(found["DBInstanceStatus"] == "available")

        waited(available, "the database is back")

    def _promote(self) -> None:
        """Replace the database by a restored one. Without a worker nothing is written that the new one lacks."""
        ecs = self._client("ecs")
        ecs.update_service(cluster=CLUSTER, service=WORKER, desiredCount=0)
        waited(lambda: not self._processes().get(WORKER), "the worker has ended")
        moment = datetime.now(UTC)
        time.sleep(2)
        name = self._laptop("restore", "--at", moment.isoformat(timespec="seconds")).out.strip()
        promoted = False
        # A process that is killed while it is waited for fails the command; it is completed by the next.
        for _ in range(5):
            promoted = promoted or self._laptop("restore", "promote", name, fails=True).code == 0
        assert promoted, f"{name} was not promoted"
        self._dsn = self._laptop.dsn()
        waited(lambda: self._laptop("up", fails=True).code == 0, "the worker is back")

    def _empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client("sqs").get_queue_attributes(QueueUrl=self._queue, AttributeNames=names)["Attributes"]
        return not any(int(found[name]) for name in names)

    def _dead(self) -> set[str]:
        """The bodies of the dead letters, each a set, since a killed worker may have put one away twice."""
        sqs, bodies, receipts = self._client("sqs"), set(), []
        while found := sqs.receive_message(
            QueueUrl=self._dead_letters, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages"):
            bodies |= {message["Body"] for message in found}
            receipts += [message["ReceiptHandle"] for message in found]
        for receipt in receipts:
            sqs.change_message_visibility(QueueUrl=self._dead_letters, ReceiptHandle=receipt, VisibilityTimeout=0)
        return bodies

    def _compare(self, garbage: list[str]) -> Iterator[str]:
        good = {f"key-{number}": self._customer(number) for number in range(self._orders)}
        strangers = {key for key, customer in good.items() if customer == STRANGER}
        yield from self._written({key: customer for key, customer in good.items() if key not in strangers})
        bodies = self._dead()
        orders = {body for body in bodies if body.startswith("{")}
        keys = {json.loads(body)["key"] for body in orders}
        print(
            f"{len(bodies)} different dead letters: {len(orders)} orders, {len(bodies - orders)} messages that are none"
        )
        if keys != strangers:
            yield f"dead letters: {len(keys - strangers)} good orders, {len(strangers - keys)} bad ones missing"
        if bodies - orders != set(garbage):
            yield f"dead letters: {len(set(garbage) ^ (bodies - orders))} messages that are no orders differ"

    def _written(self, expected: dict[str, int]) -> Iterator[str]:
        query = "SELECT key, user_id, total_cents FROM orders JOIN idempotency_keys ON order_id = id"
        with psycopg.connect(self._dsn) as session:
            rows = session.execute(query).fetchall()
            (orders,) = session.execute("SELECT count(*) FROM orders").fetchone() or (0,)
            (items,) = session.execute("SELECT count(*) FROM order_items").fetchone() or (0,)
        found = {key: customer for key, customer, total in rows if total == TOTAL}
        lost, more = expected.keys() - found.keys(), found.keys() - expected.keys()
        print(
            f"{orders} orders written for {len(expected)}: {len(lost)} lost, {orders - len(found) + len(more)} too many"
        )
        if found != expected or not len(rows) == orders == items == len(expected):
            yield f"{len(lost)} orders lost, {len(more)} too many; {orders} orders, {items} items for {len(expected)}"

    def _replay(self, garbage: list[str]) -> Iterator[str]:
        """Create the customer, send their orders again, and compare again."""
        with psycopg.connect(self._dsn) as session:
            values = f"({STRANGER}, 'New', 'new@example.com')"
            session.execute(f"INSERT INTO users (id, name, email) OVERRIDING SYSTEM VALUE VALUES {values}".encode())
        said = self._laptop("queue", "dlq", "replay", "--reason", "refused by the database", "--yes")
        print(said.err.splitlines()[0])
        waited(self._empty, "the orders that were sent again are written")
        yield from self._written({f"key-{number}": self._customer(number) for number in range(self._orders)})
        if self._dead() != set(garbage):
            yield "after the replay, something else than messages that are no orders is in the dead letters"


if __name__ == "__main__":
    main()
