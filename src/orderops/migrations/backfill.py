"""A change of many rows under way: piece by piece, at a pace that leaves the machine to others."""

from __future__ import annotations

import time
from collections.abc import Sequence

from orderops.migrations.batches import Keys, Limits, Pace, Rate, check_batch, estimate, keys_of
from orderops.migrations.broken import edited
from orderops.migrations.ledger import Attempt, Entry
from orderops.migrations.script import Statement
from orderops.migrations.worker import Worker

PAUSE = 0.5
"""Seconds between two looks at whether others are well again."""


class Backfill:
    """One statement, cut into pieces; each is written into the ledger in the transaction that changes its rows."""

    def __init__(
        self, worker: Worker, script: Sequence[Statement], entry: Entry, limits: Limits, after: Attempt | None
    ) -> None:
        self._worker = worker
        self._statement = worker.at = script[0]
        self._entry = entry
        self._limits = limits
        self._above = after.batch_after if after else None
        self._changed = (after.rows_changed or 0) if after else 0
        if after and self._above is not None and after.begun != self._statement.digest:
            raise edited(worker.file, 1)
        self._piecewise = check_batch(worker.file, script)

    def run(self) -> None:
        """To the end of the table; raises what a statement raises, with the pieces before it done."""
        worker = self._worker
        batch = worker.file.head.batch
        assert batch, "asked of a file with a batch in its head"
        keys = keys_of(worker.connection, self._piecewise, batch, worker.place)
        pace = Pace(batch.size, batch.size)
        rate = Rate(estimate(worker.connection, self._piecewise), began=time.monotonic())
        while piece := keys.next(worker.connection, self._above, pace.size):
            self._wait_for_others()
            upto, passed = piece
            began = time.monotonic()
            self._change(keys, upto)
            rate.passed += passed
            worker.way.voice.now(rate.told(self._changed))
            worker.way.patience.sleep(pace.after(time.monotonic() - began))

    def _change(self, keys: Keys, upto: str) -> None:
        above = keys.literal(self._above) if self._above is not None else None
        text = keys.piecewise.text(above, keys.literal(upto))
        rows = 0

        def work() -> None:
            nonlocal rows
            rows = self._worker.execute(self._statement, text)
            self._worker.reset_role()
            self._entry.passed(self._statement.digest, upto, rows)

        self._worker.transaction(work, first=self._statement)
        self._above = upto
        self._changed += rows

    def _wait_for_others(self) -> None:
        sessions, way = self._worker.sessions, self._worker.way
        while exceeded := self._limits.exceeded(sessions.eye, sessions.own):
            way.voice.now(f"pauses: {exceeded}")
            way.patience.sleep(PAUSE)
