"""What a rehearsal runs on: the copy, the load on it, the lock sampler, and a runner for migrations."""

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
from orderops.rehearsal.lock_sampler import LockSampler
from orderops.rehearsal.recorder import Recorder, measure, relations
from orderops.rehearsal.tables import TableDefinition, find_table, tables_touched
from orderops.rehearsal.workload import Workload
from orderops.text.lists import counted

if TYPE_CHECKING:
    from psycopg import Connection

OnHarnessWait = Callable[[str, str], None]
"""Called with an activity and its progress; with "" when the activity is over."""
# A session of a killed rehearsal works on until the server notices that its client is gone.
INTERRUPTED_SESSION_TIMEOUT = timedelta(seconds=10)
# Only our own load uses the copy, so a lock that takes longer is not going to be free.
LOCK_BUDGET = timedelta(minutes=2)


@dataclass
class Harness:
    """Everything that is open during a rehearsal."""

    login: Login
    reader: Connection
    sessions: Sessions
    load: LoadProcess
    sampler: LockSampler
    workload: Workload
    on_wait: OnHarnessWait
    wal_rate: float = 0.0
    """Bytes of WAL a second under load alone."""

    def check(self) -> None:
        """Raise if the copy is unavailable, or if the load or the lock sampler has stopped."""
        self.reader.execute("select")
        self.load.check()
        if self.sampler.lost:
            raise OrderopsError(self.sampler.lost, "check that the copy is available, then rehearse again")

    @contextmanager
    def recorded(self, file: SqlFile, *, budget: timedelta = LOCK_BUDGET) -> Iterator[tuple[Runner, Recorder]]:
        """A runner for a file, and the recorder of what its statements do."""
        tables = [table.number for table in tables_touched(self.reader, [file])]
        recorder = Recorder(self.sampler, measure(self.reader, tables), relations(self.reader, tables), self.wal_rate)
        lock_waiter = LockWaiter(LockMonitor(self.sessions.monitor, self.sessions.own), RetryBudget(budget))
        with Watcher(lock_waiter, self.sessions.work.info.backend_pid) as watcher:
            yield Runner(self.sessions, lock_waiter, watcher, self.on_wait, observer=recorder), recorder
        recorder.close(measure(self.reader, tables))
        self.load.catch_up()

    def tables_touched(self, file: SqlFile, seen: Iterable[str]) -> list[TableDefinition]:
        """Existing tables that a file names or that it was seen to lock."""
        locked = (find_table(self.reader, name) for name in seen)
        tables = [*tables_touched(self.reader, [file]), *(table for table in locked if table)]
        return list({table.number: table for table in tables}.values())

    def slow_queries_since(self, begin: float) -> list[SlowQuery]:
        """Slow or failed queries that were answered after a time (monotonic)."""
        return [call for call in self.load.slow_queries if call.answered >= begin]

    def measure_baseline(self, seconds: float) -> dict[str, float]:
        """Run the load alone for some seconds; return the slowest query of each group, in seconds."""
        self.on_wait("rehearsal", f"measures {counted(len(self.workload.families), 'query group')} without a migration")
        began, before = self.load.catch_up(), measure(self.reader, [])
        time.sleep(seconds)
        self.load.catch_up()
        after = measure(self.reader, [])
        self.wal_rate = (after.wal - before.wal) / (after.at - before.at)
        worst = {group.name: 0.0 for group in self.workload.families}
        for call in self.slow_queries_since(began):
            name = self.workload.families[call.family].name
            worst[name] = max(worst[name], call.seconds)
        return worst


@contextmanager
def open_harness(login: Login, reader: Connection, workload: Workload, on_wait: OnHarnessWait) -> Iterator[Harness]:
    """Open everything; nothing outlives the block."""
    author = Author("rehearsal", socket.gethostname())
    with (
        LoadProcess(login, workload.families) as traffic,
        opened(login, author, wait=INTERRUPTED_SESSION_TIMEOUT, waiting=lambda *_: None) as sessions,
        LockSampler(login, sessions.work.info.backend_pid, traffic.pids) as sampler,
    ):
        yield Harness(login, reader, sessions, traffic, sampler, workload, on_wait)


@contextmanager
def open_reader(login: Login) -> Iterator[Connection]:
    """A connection that reads the copy."""
    with connect(login, name="orderops rehearsal") as connection:
        yield connection
