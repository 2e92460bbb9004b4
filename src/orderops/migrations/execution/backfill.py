"""Backfill: one UPDATE or DELETE of many rows, run in batches at a limited pace."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError
from orderops.migrations.data_loss.effects import LossGuard
from orderops.migrations.execution.failures import HINTS, broken, lost, start_again
from orderops.migrations.execution.transaction import TransactionRunner
from orderops.migrations.ledger.table import Attempt, AttemptRecord
from orderops.migrations.sql.batches import BatchLimits, Keys, Pace, Rate, check_batch, estimate, keys_of
from orderops.migrations.sql.locks import Lock, Mode
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    import psycopg

PAUSE = 0.5
"""Seconds between two checks of the batch limits."""


class Backfill:
    """One statement in batches; each batch is recorded in the ledger in the transaction that changes its rows."""

    def __init__(
        self,
        worker: TransactionRunner,
        script: Sequence[Statement],
        entry: AttemptRecord,
        limits: BatchLimits,
        after: Attempt | None,
        guard: LossGuard | None = None,
    ) -> None:
        batch = worker.file.head.batch
        assert batch, "only for files with a batch directive"
        self._worker = worker
        self._batch = batch
        self._statement = worker.at = script[0]
        self._mark = f"{script[0].digest} by {batch.name}"
        self._entry = entry
        self._limits = limits
        self._guard = guard
        self._above = after.batch_after if after else None
        self._changed = (after.rows_changed or 0) if after else 0
        self._paused = False
        # With another statement, rows below the last key would have been changed by the old text.
        if after and self._above is not None and after.begun != self._mark:
            raise self._edited((after.begun or "").rpartition(" by ")[2] or batch.name)
        self._piecewise = check_batch(worker.file, script)

    def run(self) -> None:
        """Run to the end of the table; raises OrderopsError that names the last key whose changes are committed."""
        worker = self._worker
        keys = keys_of(worker.connection, self._piecewise, self._batch, worker.place)
        pace = Pace.beginning(self._batch.size)
        rate = Rate(estimate(worker.connection, self._piecewise), self._changed, began=time.monotonic())
        while piece := self._next(keys, pace.size):
            # Between batches no row is locked, so a pause costs other sessions nothing.
            self._wait_for_limits()
            upto, passed = piece
            began = time.monotonic()
            self._change(keys, upto)
            rate.passed += passed
            worker.lock_waiter.reporter.now(rate.describe(self._changed))
            worker.lock_waiter.retry_budget.sleep(pace.after(time.monotonic() - began))

    def _next(self, keys: Keys, size: int) -> tuple[str, int] | None:
        """Last key and row count of the next batch, read as the file's owner."""
        with self._worker.as_owner():
            return keys.next(self._worker.connection, self._above, size)

    def _change(self, keys: Keys, upto: str) -> None:
        import psycopg

        above = keys.literal(self._above) if self._above is not None else None
        text = keys.piecewise.text(above, keys.literal(upto))
        rows = 0

        def work() -> None:
            nonlocal rows
            with self._guard.around(self._statement, whole=False) if self._guard else nullcontext():
                rows = self._worker.execute(self._statement, text)
            # The owner of the file has no rights on the ledger.
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
            raise OrderopsError("\n".join([*self._with_lock_holders(error), *done]), error.hint) from None
        self._above = upto
        self._changed += rows

    def _wait_for_limits(self) -> None:
        sessions, lock_waiter = self._worker.sessions, self._worker.lock_waiter
        while exceeded := self._limits.exceeded(sessions.monitor, sessions.own):
            if not self._paused:
                self._paused = True
                lock_waiter.reporter.line(f"pauses: {exceeded}")
            lock_waiter.reporter.now(f"pauses: {exceeded}")
            lock_waiter.retry_budget.sleep(PAUSE)

    def _with_lock_holders(self, error: OrderopsError) -> list[str]:
        """The error's lines; without a known blocker, also the sessions that may hold a row lock."""
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
        state = f"no row was changed; it failed at a row up to {column} {upto}"
        if self._above is not None:
            state = f"{self._done(column)}; it failed at a row after that, up to {column} {upto}"
        failure = broken(self._worker.file, self._statement, error, state, role=self._worker.role)
        if self._above is not None and error.sqlstate not in HINTS:
            failure.hint = "fix that row; re-running this command continues from there"
        return failure

    def _edited(self, column: str) -> OrderopsError:
        """Error: a partially applied file whose statement or batch column has since changed."""
        file = self._worker.file
        return OrderopsError(
            f"{file.name} is partially applied: {self._done(column)};"
            " its statement or its batch column was edited since then",
            f"undo the edit and re-run this command to continue; or, if rows may be changed twice: {start_again(file)}",
        )

    def _done(self, column: str) -> str:
        one = self._changed == 1
        rows, stay = ("row", "is changed and committed") if one else ("rows", "are changed and committed")
        return f"{self._changed:,} {rows} up to {column} {self._above} {stay}"
