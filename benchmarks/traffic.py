"""Live traffic on a table, measured truly, and a session that stands in the way of whoever wants to change it.

    with Traffic(dsn, rows=3_000_000) as traffic:
        ...
    print(traffic.measured.worst_stall_ms)

Each client is a process of its own, so that none waits for another's interpreter: what is measured is the server and
the machine. A client has a transaction due every 10 ms. One that stands behind a lock cannot send what is due
meanwhile; that counts as lost, and in the corrected percentile as having waited from when it was due.
"""

from __future__ import annotations

import gc
import random
import signal
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

import psycopg

TABLE = "big"
CLIENTS = 8
PACE = 0.010
READ = f"SELECT customer FROM {TABLE} WHERE id = %s"
WRITE = f"UPDATE {TABLE} SET hits = hits + 1 WHERE id = %s"
UNTOUCHED = 100
"""The first so many rows are no client's: a holder may write them and hold up the schema alone."""


def _seconds() -> array[float]:
    return array("d")


@dataclass
class Lane:
    """What one client did: for each transaction when it was due, when it was sent, and when it was answered."""

    began: float = 0.0
    ended: float = 0.0
    due: array[float] = field(default_factory=_seconds)
    sent: array[float] = field(default_factory=_seconds)
    answered: array[float] = field(default_factory=_seconds)
    updates: int = 0
    failures: list[str] = field(default_factory=list)

    def skipped(self) -> Iterator[float]:
        """How long each transaction waited at least that was due and never sent, because the one before it stood."""
        for due, following, answered in zip(self.due, self.due[1:], self.answered, strict=False):
            for missed in range(1, round((following - due) / PACE)):
                yield answered - (due + missed * PACE)


@dataclass(frozen=True)
class Measured:
    """What the clients saw together."""

    lanes: tuple[Lane, ...]

    @property
    def seconds(self) -> float:
        return max(lane.ended for lane in self.lanes) - min(lane.began for lane in self.lanes)

    @property
    def transactions(self) -> int:
        return sum(len(lane.due) for lane in self.lanes)

    @property
    def updates(self) -> int:
        return sum(lane.updates for lane in self.lanes)

    @property
    def failures(self) -> list[str]:
        return [failure for lane in self.lanes for failure in lane.failures]

    @property
    def tps(self) -> float:
        return self.transactions / self.seconds

    @cached_property
    def worst_stall_ms(self) -> float:
        """The longest that any client waited for the answer to one transaction."""
        return 1000 * max(
            answered - sent for lane in self.lanes for sent, answered in zip(lane.sent, lane.answered, strict=True)
        )

    @cached_property
    def lost_percent(self) -> float:
        """Of the transactions due, those that no client came to send."""
        lost = sum(1 for lane in self.lanes for _ in lane.skipped())
        return 100 * lost / (lost + self.transactions)

    @cached_property
    def corrected_p99_ms(self) -> float:
        """The 99th percentile of the time from due to answered, of those never sent as well."""
        waits = [
            answered - due for lane in self.lanes for due, answered in zip(lane.due, lane.answered, strict=True)
        ] + [wait for lane in self.lanes for wait in lane.skipped()]
        return 1000 * sorted(waits)[int(0.99 * (len(waits) - 1))]


class Traffic:
    """Clients that read and update rows of the table by id, in turn and at random, as long as the block lasts."""

    def __init__(self, dsn: str, rows: int, clients: int = CLIENTS) -> None:
        self._dsn, self._rows, self._count = dsn, rows, clients
        self._clients: list[SpawnProcess] = []
        self._ours: list[Connection] = []
        self._measured: Measured | None = None

    def __enter__(self) -> Self:
        spawn = get_context("spawn")
        for number in range(self._count):
            ours, theirs = spawn.Pipe()
            words = (self._dsn, self._rows, number * PACE / self._count, theirs)
            self._clients.append(spawn.Process(target=_client, args=words, daemon=True))
            self._clients[-1].start()
            self._ours.append(ours)
            theirs.close()  # or else the death of a client would not end the wait for its word
        for pipe in self._ours:
            pipe.recv()
        begin = time.monotonic() + 0.1
        for pipe in self._ours:
            pipe.send(begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            for client in self._clients:
                client.terminate()
            return
        for pipe in self._ours:
            pipe.send("stop")
        self._measured = Measured(tuple(pipe.recv() for pipe in self._ours))
        for client in self._clients:
            client.join()

    @property
    def measured(self) -> Measured:
        """What the clients saw; there once the block has ended."""
        assert self._measured, "the traffic has not ended"
        return self._measured


class Holder:
    """A session that read the table, or wrote one row of it, and then stays idle in its transaction."""

    def __init__(self, dsn: str, *, writes: bool = False, seconds: float = 15) -> None:
        self._dsn = dsn
        self._statement = f"UPDATE {TABLE} SET hits = hits WHERE id = 1" if writes else READ.replace("%s", "1")
        self._seconds = seconds
        self._holding = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self.ended = 0.0
        """When it let go, on the monotonic clock; 0 while it holds."""

    def start(self) -> None:
        """Come back when it holds."""
        self._thread.start()
        if not self._holding.wait(30):
            raise TimeoutError("the holder could not get its lock in 30 s")

    def join(self) -> None:
        """Come back when it has let go."""
        self._thread.join()

    def _hold(self) -> None:
        with psycopg.connect(self._dsn, application_name="holder") as session:
            session.execute(self._statement)
            self._holding.set()
            time.sleep(self._seconds)
            session.rollback()
            self.ended = time.monotonic()


def _client(dsn: str, rows: int, delay: float, pipe: Connection) -> None:
    """One client: ready, go, then a transaction whenever one is due, until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the benchmark, which then ends its clients
    session = _session(dsn)
    for _ in range(10):  # past the plans and prepared statements of the first few
        session.execute(READ, (UNTOUCHED,))
        session.execute(WRITE, (UNTOUCHED,))
    pick = random.Random(delay)
    gc.freeze()  # or else a collection walks all that was imported, and takes as long as a small stall
    pipe.send("ready")
    lane = Lane(began=pipe.recv() + delay)
    due = lane.began
    while not pipe.poll():
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
            continue
        statement = WRITE if len(lane.due) % 2 else READ
        lane.due.append(due)
        lane.sent.append(time.monotonic())
        try:
            session.execute(statement, (pick.randrange(UNTOUCHED, rows) + 1,))
            lane.updates += statement is WRITE
        except psycopg.Error as failure:
            lane.failures.append(str(failure).splitlines()[0])
            if session.closed:
                session = _session(dsn)
        lane.answered.append(time.monotonic())
        due += PACE * max(1, int((lane.answered[-1] - due) / PACE))
    lane.ended = time.monotonic()
    pipe.send(lane)
    session.close()


def _session(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True, application_name="traffic")
