"""Progress and blockers of the running statement, read on another connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, LiteralString

from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockWaiter
from orderops.migrations.execution.reporter import REPORT_AFTER, Reporter
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

FIRST_CHECK, CHECK_INTERVAL = 0.03, 0.5
# Seconds. The first check has to come before the lock timeout of 50 ms ends a try, or it would never see a blocker.
BUILDS: LiteralString = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total
from pg_stat_progress_create_index where pid = %s
"""
VACUUMS: LiteralString = """
select phase, heap_blks_scanned, heap_blks_total, 0, 0, 0, 0 from pg_stat_progress_vacuum where pid = %s
"""


@dataclass
class Watched:
    """A running statement."""

    statement: Statement
    reporter: Reporter
    began: float
    checked_at: float = 0.0
    blockers: Sequence[Blocker] = ()
    """Sessions that blocked the statement at the last check."""


class Watcher:
    """Thread that checks progress and blockers of the working session while a statement runs."""

    def __init__(self, lock_waiter: LockWaiter, worker: int) -> None:
        self._lock_waiter = lock_waiter
        self._monitor = lock_waiter.monitor
        self._worker = worker
        self._current: Watched | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="statement monitor")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def on(self, statement: Statement, reporter: Reporter) -> Iterator[Watched]:
        """Watch a statement inside the `with` block."""
        watched = self._current = Watched(statement, reporter, time.monotonic())
        try:
            yield watched
        finally:
            self._current = None

    def _watch(self) -> None:
        import psycopg

        while not self._ended.wait(FIRST_CHECK):
            watched = self._current
            now = time.monotonic()
            if watched and now - watched.began >= FIRST_CHECK and now - watched.checked_at >= CHECK_INTERVAL:
                watched.checked_at = now
                try:
                    self._check(watched, now - watched.began)
                except psycopg.Error as error:
                    watched.reporter.line(
                        f"monitoring stopped, the migration continues: {' '.join(str(error).split())}"
                    )
                    return

    def _check(self, watched: Watched, ran: float) -> None:
        watched.blockers = self._monitor.blocking(self._worker)
        progress = how_far(self._monitor.connection, self._worker)
        # The statement ended during the query; its blockers would be reported for the next one.
        if self._current is not watched:
            return
        if watched.blockers:
            self._lock_waiter.terminate(watched.blockers)
            watched.reporter.waits_for(watched.blockers[0], ran, progress)
        elif ran >= REPORT_AFTER:
            watched.reporter.now(progress or f"line {watched.statement.line}: {watched.statement.begins}")


def how_far(connection: Connection, worker: int) -> str:
    """Read the progress that the server reports for a session; empty if it reports none."""
    row = connection.execute(BUILDS, [worker]).fetchone() or connection.execute(VACUUMS, [worker]).fetchone()
    if row is None:
        return ""
    phase, blocks, all_blocks, tuples, all_tuples, gone, lockers = row
    done, total = (tuples, all_tuples) if all_tuples else (blocks, all_blocks)
    share = f", {100 * done // total} %" if total else ""
    others = f", {gone} of {lockers} transactions have ended" if lockers else ""
    return f"{phase}{share}{others}"
