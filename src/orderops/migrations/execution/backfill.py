"""A change of many rows under way: piece by piece, at a pace that leaves the machine to others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError
from orderops.migrations.execution.failures import HINTS, broken, lost, start_again
from orderops.migrations.execution.transaction import TransactionRunner
from orderops.migrations.ledger.table import Attempt, AttemptRecord
from orderops.migrations.sql.batches import BatchLimits, Keys, Pace, Rate, check_batch, estimate, keys_of
from orderops.migrations.sql.locks import Lock, Mode
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    import psycopg

PAUSE = 0.5
"""Seconds between two looks at whether others are well again."""


class Backfill:
    """One statement, cut into pieces; each is written into the ledger in the transaction that changes its rows."""

    def __init__(
        self,
        worker: TransactionRunner,
        script: Sequence[Statement],
        entry: AttemptRecord,
        limits: BatchLimits,
        after: Attempt | None,
    ) -> None:
        batch = worker.file.head.batch
        assert batch, "asked of a file with a batch in its head"
        self._worker = worker
        self._batch = batch
        self._statement = worker.at = script[0]
        self._mark = f"{script[0].digest} by {batch.name}"
        self._entry = entry
        self._limits = limits
        self._above = after.batch_after if after else None
        self._changed = (after.rows_changed or 0) if after else 0
        self._paused = False
        if after and self._above is not None and after.begun != self._mark:
            raise self._edited((after.begun or "").rpartition(" by ")[2] or batch.name)
        self._piecewise = check_batch(worker.file, script)

    def run(self) -> None:
        """To the end of the table; raises OrderopsError that says up to where the rows are changed and stay so."""
        worker = self._worker
        keys = keys_of(worker.connection, self._piecewise, self._batch, worker.place)
        pace = Pace.beginning(self._batch.size)
        rate = Rate(estimate(worker.connection, self._piecewise), self._changed, began=time.monotonic())
        while piece := self._next(keys, pace.size):
            self._wait_for_others()
            upto, passed = piece
            began = time.monotonic()
            self._change(keys, upto)
            rate.passed += passed
            worker.lock_waiter.reporter.now(rate.describe(self._changed))
            worker.lock_waiter.retry_budget.sleep(pace.after(time.monotonic() - began))

    def _next(self, keys: Keys, size: int) -> tuple[str, int] | None:
        """The next piece, as the role sees it that changes it."""
        with self._worker.as_owner():
            return keys.next(self._worker.connection, self._above, size)

    def _change(self, keys: Keys, upto: str) -> None:
        import psycopg

        above = keys.literal(self._above) if self._above is not None else None
        text = keys.piecewise.text(above, keys.literal(upto))
        rows = 0

        def work() -> None:
            nonlocal rows
            rows = self._worker.execute(self._statement, text)
            self._worker.reset_role()
            self._entry.record_batch(self._mark, upto, rows)

        try:
            self._worker.transaction(work, first=self._statement)
        except psycopg.Error as error:
            if lost(error) or self._worker.connection.closed:
                raise
            raise self._stopped(error, upto) from None
        except OrderopsError as error:
            done = [self._done(self._batch.name)] if self._above is not None else []
            raise OrderopsError("\n".join([*self._with_holders(error), *done]), error.hint) from None
        self._above = upto
        self._changed += rows

    def _wait_for_others(self) -> None:
        sessions, way = self._worker.sessions, self._worker.lock_waiter
        while exceeded := self._limits.exceeded(sessions.monitor, sessions.own):
            if not self._paused:
                self._paused = True
                way.reporter.line(f"pauses: {exceeded}")
            way.reporter.now(f"pauses: {exceeded}")
            way.retry_budget.sleep(PAUSE)

    def _with_holders(self, error: OrderopsError) -> list[str]:
        """A row is waited for so briefly that nobody may have been seen: then those are named who may hold it."""
        worker, held = self._worker, self._piecewise
        if not worker.lock_waiter.retry_budget.over or "pid " in error.message:
            return error.lines
        rows = Lock(held.schema, held.table, Mode.EXCLUSIVE)
        holders = worker.lock_waiter.monitor.blockers([rows], older=worker.lock_timeout)
        return (
            [error.lines[0], *(f"may hold the row: {holder.describe}" for holder in holders)]
            if holders
            else error.lines
        )

    def _stopped(self, error: psycopg.Error, upto: str) -> OrderopsError:
        column = self._batch.name
        stands = f"no row was changed; it stopped at a row up to {column} {upto}"
        if self._above is not None:
            stands = f"{self._done(column)}; it stopped at a row between there and {column} {upto}"
        told = broken(self._worker.file, self._statement, error, stands)
        if self._above is None or error.sqlstate in HINTS:
            return told
        return OrderopsError(told.message, "mend that row, then the same command goes on from there")

    def _edited(self, column: str) -> OrderopsError:
        """The refusal to go on with another statement, or by another column than the one that was gone by."""
        file = self._worker.file
        return OrderopsError(
            f"{file.name} was cut after a part: {self._done(column)};"
            " and its statement, or the column that it goes by, was edited since",
            "put it back as it was, and the same command goes on from there; or, if rows may be changed twice: "
            f"{start_again(file)}",
        )

    def _done(self, column: str) -> str:
        one = self._changed == 1
        rows, stay = ("row", "is changed and stays so") if one else ("rows", "are changed and stay so")
        return f"{self._changed:,} {rows} up to {column} {self._above} {stay}"
