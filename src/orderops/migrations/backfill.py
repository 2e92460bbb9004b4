"""A change of many rows under way: piece by piece, at a pace that leaves the machine to others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError
from orderops.migrations.batches import Keys, Limits, Pace, Rate, check_batch, estimate, keys_of
from orderops.migrations.broken import HINTS, broken, lost
from orderops.migrations.ledger import Attempt, Entry
from orderops.migrations.script import Statement
from orderops.migrations.worker import Worker

if TYPE_CHECKING:
    import psycopg

PAUSE = 0.5
"""Seconds between two looks at whether others are well again."""


class Backfill:
    """One statement, cut into pieces; each is written into the ledger in the transaction that changes its rows."""

    def __init__(
        self, worker: Worker, script: Sequence[Statement], entry: Entry, limits: Limits, after: Attempt | None
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
            raise self._edited()
        self._piecewise = check_batch(worker.file, script)

    def run(self) -> None:
        """To the end of the table; raises OrderopsError that says up to where the rows are changed and stay so."""
        worker = self._worker
        keys = keys_of(worker.connection, self._piecewise, self._batch, worker.place)
        pace = Pace(self._batch.size, self._batch.size)
        rate = Rate(estimate(worker.connection, self._piecewise), self._changed, began=time.monotonic())
        while piece := self._next(keys, pace.size):
            self._wait_for_others()
            upto, passed = piece
            began = time.monotonic()
            self._change(keys, upto)
            rate.passed += passed
            worker.way.voice.now(rate.told(self._changed))
            worker.way.patience.sleep(pace.after(time.monotonic() - began))

    def _next(self, keys: Keys, size: int) -> tuple[str, int] | None:
        """The next piece, as the role sees it that changes it."""
        connection, owner = self._worker.connection, self._worker.file.head.owner
        if not owner:
            return keys.next(connection, self._above, size)
        with connection.transaction():
            connection.execute(f"set local role {owner}".encode())
            return keys.next(connection, self._above, size)

    def _change(self, keys: Keys, upto: str) -> None:
        import psycopg

        above = keys.literal(self._above) if self._above is not None else None
        text = keys.piecewise.text(above, keys.literal(upto))
        rows = 0

        def work() -> None:
            nonlocal rows
            rows = self._worker.execute(self._statement, text)
            self._worker.reset_role()
            self._entry.passed(self._mark, upto, rows)

        try:
            self._worker.transaction(work, first=self._statement)
        except psycopg.Error as error:
            if lost(error) or self._worker.connection.closed:
                raise
            raise self._stopped(error, upto) from None
        except OrderopsError as error:
            if self._above is None:
                raise
            raise OrderopsError(f"{error.message}\n{self._rows} {self._changed_and_stay}", error.hint) from None
        self._above = upto
        self._changed += rows

    def _wait_for_others(self) -> None:
        sessions, way = self._worker.sessions, self._worker.way
        while exceeded := self._limits.exceeded(sessions.eye, sessions.own):
            if not self._paused:
                self._paused = True
                way.voice.line(f"pauses: {exceeded}")
            way.voice.now(f"pauses: {exceeded}")
            way.patience.sleep(PAUSE)

    def _stopped(self, error: psycopg.Error, upto: str) -> OrderopsError:
        done = f"{self._rows} {self._changed_and_stay}" if self._above is not None else "no row was changed"
        between = f"between there and {self._at(upto)}" if self._above is not None else f"up to {self._at(upto)}"
        told = broken(self._worker.file, self._statement, error, f"{done}; it stopped at a row {between}")
        if self._above is None or error.sqlstate in HINTS:
            return told
        return OrderopsError(told.message, "mend that row, then the same command goes on from there")

    def _edited(self) -> OrderopsError:
        file = self._worker.file
        version = file.name[1:].partition("__")[0].lstrip("0")
        start = "applied" if file.name.startswith("U") else "pending"
        return OrderopsError(
            f"{file.name} was cut after a part: {self._rows} {self._changed_and_stay};"
            " and its statement, or the column that it goes by, was edited since",
            "put it back as it was, and the same command goes on from there; or, if rows may be changed twice: "
            f"orderops migrate repair --version {version} --as {start}",
        )

    @property
    def _rows(self) -> str:
        return f"{self._changed:,} {'row' if self._changed == 1 else 'rows'} up to {self._at(self._above or '')}"

    @property
    def _changed_and_stay(self) -> str:
        return "is changed and stays so" if self._changed == 1 else "are changed and stay so"

    def _at(self, key: str) -> str:
        return f"{self._batch.name} {key}"
