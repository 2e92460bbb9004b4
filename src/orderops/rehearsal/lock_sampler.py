"""Who holds and who waits for locks, looked at every few milliseconds."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import LiteralString

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError

EVERY = 0.005
LOOK: LiteralString = """
select pid, locktype, coalesce(relation, 0)::int8, mode, granted from pg_locks
where (pid = %(worker)s and locktype = 'relation' and mode not in ('AccessShareLock', 'RowShareLock'))
    or (not granted and pid = any(%(clients)s))
"""


class Sampler:
    """Looks at one session that changes the database and at its clients, for as long as the block lasts."""

    def __init__(self, to: Login, worker: int, clients: Sequence[int]) -> None:
        self._to = to
        self._asked = {"worker": worker, "clients": list(clients)}
        self._numbers: Mapping[int, int] = {pid: number for number, pid in enumerate(clients)}
        self._worker = worker
        self.held: dict[tuple[int, str], tuple[float, float]] = {}
        """Relation and mode of each lock of the worker: when it was first and last seen, since `forget`."""
        self.waits: list[list[float]] = [[] for _ in clients]
        """For each client, the times at which it waited for a lock."""
        self.lost = ""
        """Why nobody looks any more."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="looks at locks")

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def forget(self) -> dict[tuple[int, str], tuple[float, float]]:
        """What the worker held so far, to be asked once."""
        held, self.held = self.held, {}
        return held

    def waited(self, client: int, begin: float, end: float) -> bool:
        """Whether a client was seen to wait for a lock within a time."""
        times = self.waits[client]
        place = bisect_left(times, begin)
        return place < len(times) and times[place] <= end

    def _run(self) -> None:
        try:
            self._look()
        except OrderopsError as error:
            self.lost = error.message

    def _look(self) -> None:
        with connect(self._to, name="orderops rehearsal looks") as connection:
            cursor = connection.cursor()
            while not self._ended.wait(EVERY):
                before = time.monotonic()
                rows = cursor.execute(LOOK, self._asked).fetchall()
                now = (before + time.monotonic()) / 2
                for pid, kind, relation, mode, granted in rows:
                    if pid != self._worker:
                        self.waits[self._numbers[pid]].append(now)
                    elif granted and kind == "relation":
                        held = self.held
                        held[relation, mode] = held.get((relation, mode), (now, now))[0], now
