"""How far a statement is, and who it waits for: asked on another connection while it runs."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, LiteralString

from orderops.migrations.blocker import Blocker
from orderops.migrations.locks import Course, course, locks_of
from orderops.migrations.script import Statement
from orderops.migrations.sessions import Sessions
from orderops.migrations.voice import SPOKEN, Voice
from orderops.migrations.way import Eye

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


class Watched:
    """While a statement runs: tells how far it is, and remembers who was in its way."""

    def __init__(self, sessions: Sessions, eye: Eye, statement: Statement, voice: Voice) -> None:
        self.blockers: list[Blocker] = []
        self._worker = sessions.work.info.backend_pid
        self._eye = eye
        self._statement = statement
        self._voice = voice
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if course(statement) is not Course.PLAIN or locks_of(statement) or _is_long(statement):
            self._thread = threading.Thread(target=self._look, daemon=True, name="looks at a statement")

    def __enter__(self) -> Watched:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        import psycopg

        began = time.monotonic()
        pause = FIRST
        while not self._ended.wait(pause):
            pause = THEN
            try:
                self.blockers = self._eye.blocking(self._worker)
                told = how_far(self._eye.connection, self._worker)
            except psycopg.Error:  # the run itself will meet it
                return
            ran = time.monotonic() - began
            if self.blockers:
                self._voice.waits_for(self.blockers[0], ran, told)
            elif ran >= SPOKEN:
                self._voice.now(told or f"line {self._statement.line}: {self._statement.begins}")


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


def _is_long(statement: Statement) -> bool:
    """Whether it may read or write a whole table, or wait for a row."""
    return statement.kind in (
        "update_stmt",
        "delete_stmt",
        "insert_stmt",
        "create_table_as_stmt",
        "copy_stmt",
        "do_stmt",
    )
