"""How far a statement is, and who it waits for: asked on another connection while it runs."""

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
from orderops.migrations.execution.reporter import SPOKEN, Reporter
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

FIRST, THEN = 0.03, 0.5
"""Seconds until the first look, and between the others: a lock is waited for so briefly."""
BUILDS: LiteralString = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total
from pg_stat_progress_create_index where pid = %s
"""
VACUUMS: LiteralString = """
select phase, heap_blks_scanned, heap_blks_total, 0, 0, 0, 0 from pg_stat_progress_vacuum where pid = %s
"""


@dataclass
class Watched:
    """A statement that runs."""

    statement: Statement
    voice: Reporter
    began: float
    looked: float = 0.0
    blockers: Sequence[Blocker] = ()
    """Who was in its way when it was last looked at."""


class Watcher:
    """Looks at the session that works, for as long as a statement takes: how far it is, and who is in its way."""

    def __init__(self, way: LockWaiter, worker: int) -> None:
        self._way = way
        self._eye = way.monitor
        self._worker = worker
        self._current: Watched | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="looks at statements")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def on(self, statement: Statement, voice: Reporter) -> Iterator[Watched]:
        """While this statement runs."""
        watched = self._current = Watched(statement, voice, time.monotonic())
        try:
            yield watched
        finally:
            self._current = None

    def _watch(self) -> None:
        import psycopg

        while not self._ended.wait(FIRST):
            watched = self._current
            now = time.monotonic()
            if watched and now - watched.began >= FIRST and now - watched.looked >= THEN:
                watched.looked = now
                try:
                    self._look(watched, now - watched.began)
                except psycopg.Error as error:
                    watched.voice.line(f"nobody looks any more, the work goes on: {' '.join(str(error).split())}")
                    return

    def _look(self, watched: Watched, ran: float) -> None:
        watched.blockers = self._eye.blocking(self._worker)
        told = how_far(self._eye.connection, self._worker)
        if self._current is not watched:
            return
        if watched.blockers:
            self._way.end(watched.blockers)
            watched.voice.waits_for(watched.blockers[0], ran, told)
        elif ran >= SPOKEN:
            watched.voice.now(told or f"line {watched.statement.line}: {watched.statement.begins}")


def how_far(connection: Connection, worker: int) -> str:
    """The progress that the server tells of a session; nothing where it tells none."""
    row = connection.execute(BUILDS, [worker]).fetchone() or connection.execute(VACUUMS, [worker]).fetchone()
    if row is None:
        return ""
    phase, blocks, all_blocks, tuples, all_tuples, gone, lockers = row
    done, total = (tuples, all_tuples) if all_tuples else (blocks, all_blocks)
    share = f", {100 * done // total} %" if total else ""
    others = f", {gone} of {lockers} transactions have ended" if lockers else ""
    return f"{phase}{share}{others}"
