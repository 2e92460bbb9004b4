"""Samples which locks are held and waited for, every few milliseconds."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import LiteralString

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError

# Seconds. Half of the shortest lock_timeout of a migration is 25 ms, so even a short wait is sampled several times.
INTERVAL = 0.005
# Without the two weakest modes: they conflict with no read or write of a client.
LOCKS: LiteralString = """
select pid, locktype, coalesce(relation, 0)::int8, mode, granted from pg_locks
where (pid = %(worker)s and locktype = 'relation' and mode not in ('AccessShareLock', 'RowShareLock'))
    or (not granted and pid = any(%(clients)s))
"""


class LockSampler:
    """Samples the locks of the migrating session and of the load's clients for the length of the block."""

    def __init__(self, to: Login, worker: int, clients: Sequence[int]) -> None:
        self._to = to
        self._parameters = {"worker": worker, "clients": list(clients)}
        self._client_numbers: Mapping[int, int] = {pid: number for number, pid in enumerate(clients)}
        self._worker = worker
        self.held: dict[tuple[int, str], tuple[float, float]] = {}
        """Relation and mode of each lock of the migrating session: when first and last seen since `take_held`."""
        self.waits: list[list[float]] = [[] for _ in clients]
        """For each client, the times at which it was waiting for a lock."""
        self.lost = ""
        """Why sampling stopped; "" while it runs."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="lock sampler")

    def __enter__(self) -> LockSampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def take_held(self) -> dict[tuple[int, str], tuple[float, float]]:
        """Return the locks held since the last call, and start anew."""
        held, self.held = self.held, {}
        return held

    def waited(self, client: int, begin: float, end: float) -> bool:
        """Whether a client was seen waiting for a lock between two times."""
        times = self.waits[client]
        index = bisect_left(times, begin)
        return index < len(times) and times[index] <= end

    def _run(self) -> None:
        try:
            self._sample()
        except OrderopsError as error:
            self.lost = error.message

    def _sample(self) -> None:
        with connect(self._to, name="orderops rehearsal locks") as connection:
            cursor = connection.cursor()
            while not self._stop.wait(INTERVAL):
                before = time.monotonic()
                rows = cursor.execute(LOCKS, self._parameters).fetchall()
                # The server took its snapshot somewhere between sending and receiving.
                now = (before + time.monotonic()) / 2
                for pid, kind, relation, mode, granted in rows:
                    if pid != self._worker:
                        self.waits[self._client_numbers[pid]].append(now)
                    elif granted and kind == "relation":
                        held = self.held
                        held[relation, mode] = held.get((relation, mode), (now, now))[0], now
