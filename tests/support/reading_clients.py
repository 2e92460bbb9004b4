"""Clients that read about 20 times a second while orders are written, and what they were answered."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Thread

import psycopg

from support.service_process import Running

CLIENTS, PAUSE_SECONDS = 4, 0.2
WRITE_SECONDS = 0.05
INSERT = (
    "INSERT INTO orders (id, user_id, currency, total_cents, placed_at) VALUES (%s, 1, 'AUD', 1, clock_timestamp())"
)
# Of the orders that a list has to show, those that newer ones cannot have pushed out of it.
LOOKED_FOR = 50


@dataclass
class Reply:
    """The answer to one request."""

    path: str
    status: int
    begun: float
    seconds: float
    shown: frozenset[str] = frozenset()


@dataclass
class ReadingClients:
    """Requests and orders so far; times are of time.monotonic()."""

    service: Running
    replies: list[Reply] = field(default_factory=list)
    committed: list[tuple[str, float]] = field(default_factory=list)
    """Each order, and when its commit was known."""
    ended: Event = field(default_factory=Event)

    def failed(self) -> list[Reply]:
        """Return the requests that were not answered with 200."""
        return [reply for reply in self.replies if reply.status != 200]

    def lists(self) -> list[Reply]:
        """Return the answers with a list of orders."""
        return [reply for reply in self.replies if reply.path.startswith("/orders?")]

    def too_old(self, limit: float) -> list[Reply]:
        """Return the lists that lack an order which was committed so many seconds before they were asked for."""
        return [reply for reply in self.lists() if not self._known(reply.begun - limit) <= reply.shown]

    def slowest(self) -> float:
        """Return the seconds of the slowest answer."""
        return max(reply.seconds for reply in self.replies)

    def _known(self, moment: float) -> set[str]:
        return set([order for order, at in self.committed if at < moment][-LOOKED_FOR:])

    def write(self, session: psycopg.Connection) -> None:
        while not self.ended.wait(WRITE_SECONDS):
            order = str(uuid.uuid4())
            session.execute(INSERT, (order,))
            self.committed.append((order, time.monotonic()))

    def read(self, number: int) -> None:
        # Not all at once.
        self.ended.wait(PAUSE_SECONDS * number / CLIENTS)
        while True:
            for path in ("/orders?limit=200", "/users", "/orders?limit=200", f"/orders/{self.committed[-1][0]}"):
                if self.ended.is_set():
                    return
                self._ask(path)

    def _ask(self, path: str) -> None:
        begun = time.monotonic()
        answer = self.service.get(path)
        seconds = time.monotonic() - begun
        shown = frozenset(order["id"] for order in answer.json()["orders"]) if "?" in path else frozenset()
        self.replies.append(Reply(path, answer.status_code, begun, seconds, shown))
        self.ended.wait(max(0.0, PAUSE_SECONDS - seconds))


def lines_about_replicas(service: Running) -> list[tuple[datetime, str]]:
    """Return what the log says of replicas, without their names, and when."""
    return [
        (datetime.fromisoformat(line["time"]), str(line["message"]).split(" ", 3)[3])
        for line in service.lines()
        if str(line["message"]).startswith("the replica ")
    ]


def counted(service: Running, metric: str) -> int:
    """Return what the log says of a metric so far."""
    return sum(int(line[metric]) for line in service.lines() if metric in line)


@contextmanager
def reading(service: Running, session: psycopg.Connection) -> Iterator[ReadingClients]:
    """Read and write until the end; raises what a client raised."""
    clients = ReadingClients(service)
    failures: list[BaseException] = []

    def run(work: object, *arguments: object) -> None:
        try:
            work(*arguments)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=run, args=(clients.write, session))]
    threads += [Thread(target=run, args=(clients.read, number)) for number in range(CLIENTS)]
    threads[0].start()
    while not clients.committed:
        time.sleep(0.01)
    for thread in threads[1:]:
        thread.start()
    try:
        yield clients
    finally:
        clients.ended.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
