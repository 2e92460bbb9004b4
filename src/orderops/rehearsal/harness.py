"""Where a rehearsal plays: the copy, the traffic on it, who looks, and who carries migrations out."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import Sessions, opened
from orderops.migrations.ledger.table import Author
from orderops.migrations.sql.files import SqlFile
from orderops.rehearsal.load import LoadProcess, SlowQuery
from orderops.rehearsal.lock_sampler import Sampler
from orderops.rehearsal.recorder import Recorder, gauge, relations
from orderops.rehearsal.tables import TableDefinition, table_called, touched
from orderops.rehearsal.workload import Workload

if TYPE_CHECKING:
    from psycopg import Connection

OnHarnessWait = Callable[[str, str], None]
"""Told what goes on and how far it is; nothing when that is over."""
LEFT_BY_A_CUT = timedelta(seconds=10)
"""How long a session of a rehearsal that was killed may still be at work."""
PATIENCE = timedelta(minutes=2)
"""How long a migration may wait for locks on a copy that only our own traffic uses."""


@dataclass
class Harness:
    """Everything that is open while a rehearsal plays."""

    to: Login
    eye: Connection
    sessions: Sessions
    traffic: LoadProcess
    sampler: Sampler
    told: Workload
    watch: OnHarnessWait
    wal_rate: float = 0.0
    """Bytes of WAL a second while nothing is done."""

    def check(self) -> None:
        """Raise where the copy or the traffic on it is gone."""
        self.eye.execute("select")
        self.traffic.check()
        if self.sampler.lost:
            raise OrderopsError(self.sampler.lost, "is the copy still there? Then rehearse again")

    @contextmanager
    def recorded(self, file: SqlFile, *, budget: timedelta = PATIENCE) -> Iterator[tuple[Runner, Recorder]]:
        """What carries a file out while everything is written down."""
        tables = [each.number for each in touched(self.eye, [file])]
        recorder = Recorder(self.sampler, gauge(self.eye, tables), relations(self.eye, tables), self.wal_rate)
        way = LockWaiter(LockMonitor(self.sessions.monitor, self.sessions.own), RetryBudget(budget))
        with Watcher(way, self.sessions.work.info.backend_pid) as watcher:
            yield Runner(self.sessions, way, watcher, self.watch, observer=recorder), recorder
        recorder.close(gauge(self.eye, tables))
        self.traffic.catch_up()

    def touched(self, file: SqlFile, seen: Iterable[str]) -> list[TableDefinition]:
        """The tables that are there now and that a file names, or that it was seen to lock."""
        locked = (table_called(self.eye, name) for name in seen)
        every = [*touched(self.eye, [file]), *(each for each in locked if each)]
        return list({each.number: each for each in every}.values())

    def calls_since(self, begin: float) -> list[SlowQuery]:
        """Every call of note that was answered after a time."""
        return [call for call in self.traffic.calls if call.answered >= begin]

    def calm(self, seconds: float) -> dict[str, float]:
        """Let nothing happen for a while; answers the slowest call of each family."""
        self.watch("rehearsal", f"measures {len(self.told.families)} families of queries in calm")
        began, before = self.traffic.catch_up(), gauge(self.eye, [])
        time.sleep(seconds)
        self.traffic.catch_up()
        after = gauge(self.eye, [])
        self.wal_rate = (after.wal - before.wal) / (after.at - before.at)
        worst = {group.name: 0.0 for group in self.told.families}
        for call in self.calls_since(began):
            name = self.told.families[call.family].name
            worst[name] = max(worst[name], call.seconds)
        return worst


@contextmanager
def open_harness(to: Login, eye: Connection, told: Workload, watch: OnHarnessWait) -> Iterator[Harness]:
    """Open all of it; nothing of it outlives the block."""
    author = Author("rehearsal", socket.gethostname())
    with (
        LoadProcess(to, told.families) as traffic,
        opened(to, author, wait=LEFT_BY_A_CUT, waiting=lambda *_: None) as sessions,
        Sampler(to, sessions.work.info.backend_pid, traffic.pids) as sampler,
    ):
        yield Harness(to, eye, sessions, traffic, sampler, told, watch)


@contextmanager
def looking(to: Login) -> Iterator[Connection]:
    """A connection that looks at the copy."""
    with connect(to, name="orderops rehearsal") as connection:
        yield connection
