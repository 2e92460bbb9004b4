"""The service behind 30 and behind 300 clients, on a PostgreSQL that allows 40 connections.

    python benchmarks/crowd.py [--seconds 10]

Service, database and clients are processes of their own. Each client asks for the newest orders again and again, and
after a refusal comes back when it was told to. The two crowds take turns. Exit code 1 if the database refused a login,
if a client waited longer than the limits of the service allow, or if the large crowd got less than nine tenths of what
the small one got.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.rds.postgres import PostgresServer, free_port
from orderops.local.users import scratch
from orderops.service import logs
from orderops.service.app import create_app
from orderops.service.queues import Queue
from orderops.service.settings import read_settings
from support.fake_queue import DEAD_LETTERS, URL, FakeQueue
from support.order_app import VARIABLES
from support.order_database import order_database

SMALL, LARGE = 30, 300
ALLOWED, POOL = 40, 24
TURNS = 2
LIMITS = 2.0
"""Seconds: one for a thread and one for a connection. What a query takes comes on top, and is small here."""
SLACK = 1.0
GOAL = 0.9


@dataclass
class Crowd:
    """What a number of clients got."""

    clients: int
    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took) / self.seconds

    def __str__(self) -> str:
        worst = max([*self.took, *self.refused])
        middle = quantiles(self.took, n=100)
        return (
            f"{self.clients:4} clients: {self.rate:6.0f} answers/s, half within {middle[49] * 1000:.0f} ms, "
            f"99 % within {middle[98] * 1000:.0f} ms, the slowest {worst:.2f} s; {len(self.refused)} refused"
        )


def main() -> None:
    """Measure both crowds in turns, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each crowd and turn")
    seconds = parser.parse_args().seconds
    crowds = [Crowd(SMALL), Crowd(LARGE)]
    with scratch("orderops-crowd-") as folder:
        server = PostgresServer(folder / "server", settings={"max_connections": str(ALLOWED)})
        server.start()
        try:
            with order_database(server, pool_size=POOL) as database, served(database) as url:
                for _ in range(TURNS):
                    for crowd in crowds:
                        took, refused = in_a_process(url, crowd.clients, seconds)
                        crowd.took += took
                        crowd.refused += refused
                        crowd.seconds += seconds
            turned_away = server.log.read_text(errors="replace").count("remaining connection slots")
        finally:
            server.kill()
    for crowd in crowds:
        print(crowd)
    small, large = crowds
    slowest = max([*large.took, *large.refused])
    print(f"the large crowd gets {large.rate / small.rate:.0%} of what the small one gets")
    print(f"the database refused {turned_away} logins")
    raise SystemExit(bool(turned_away) or slowest > LIMITS + SLACK or large.rate < GOAL * small.rate)


@contextmanager
def served(database: Any) -> Iterator[str]:
    """The URL of a service in a process of its own."""
    port = free_port()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(database.store, port))
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                httpx.get(f"{url}/health")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.join()


def _serve(store: Any, port: int) -> None:
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the life of the process
    logs.configure("ERROR")
    queue = Queue(FakeQueue(), URL, DEAD_LETTERS)
    app = create_app(read_settings(VARIABLES), store, queue, started_at=datetime.now(UTC))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", backlog=2 * LARGE)


def in_a_process(url: str, clients: int, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds that answers and refusals took."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: theirs.send(asyncio.run(_crowd(url, clients, seconds))))
    process.start()
    theirs.close()
    found: tuple[list[float], list[float]] = ours.recv()
    process.join()
    return found


async def _crowd(url: str, clients: int, seconds: float) -> tuple[list[float], list[float]]:
    took: list[float] = []
    refused: list[float] = []
    until = time.monotonic() + seconds
    await asyncio.gather(*(_client(url, until, took, refused) for _ in range(clients)))
    return took, refused


async def _client(url: str, until: float, took: list[float], refused: list[float]) -> None:
    """One client with one connection; the plainest that speaks HTTP, so that the service is what is measured."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    while time.monotonic() < until:
        began = time.monotonic()
        writer.write(f"GET /orders?limit=20 HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        json.loads(await reader.readexactly(length))
        (took if " 200 " in head.partition("\r\n")[0] else refused).append(time.monotonic() - began)
        if wait := head.partition("retry-after: ")[2].partition("\r\n")[0]:
            await asyncio.sleep(float(wait))
    writer.close()


if __name__ == "__main__":
    main()
