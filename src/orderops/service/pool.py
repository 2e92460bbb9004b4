"""A bounded set of database connections, opened by the thread that needs one.

psycopg-pool connects in the background: whoever waits learns "timed out" instead of the reason, and a server that is
back is found only after its growing pauses. Here the reason of a failed login reaches the request that needed it, and
the first request after the server's return succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from orderops.service.circuit import Unavailable

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class _Resting:
    connection: Connection
    opened_at: float


class Pool:
    """Lends at most `size` connections at a time and keeps what comes back healthy for the next."""

    def __init__(
        self, connect: Callable[[], Connection], size: int, *, wait_seconds: float = 2.0, lifetime_seconds: float = 60.0
    ) -> None:
        self._connect = connect
        self._size = size
        self._wait_seconds = wait_seconds
        self._lifetime_seconds = lifetime_seconds
        self._places = BoundedSemaphore(size)
        self._resting: list[_Resting] = []
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection that answers; it must come back without an open transaction."""
        if not self._places.acquire(timeout=self._wait_seconds):
            raise Unavailable(f"all {self._size} connections of this task were in use for {self._wait_seconds:g} s")
        try:
            lent = self._rested() or _Resting(self._connect(), time.monotonic())
            try:
                yield lent.connection
            finally:
                self._take_back(lent)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close what rests now, and what is lent when it comes back."""
        with self._lock:
            self._closed = True
        self._close_resting()

    def _rested(self) -> _Resting | None:
        while True:
            with self._lock:
                if not self._resting:
                    return None
                resting = self._resting.pop()
            # A connection ends of old age, so that a service follows when the address changes under a living server.
            if time.monotonic() - resting.opened_at > self._lifetime_seconds:
                resting.connection.close()
            elif _answers(resting.connection):
                return resting
            else:
                resting.connection.close()
                self._close_resting()  # a server that went away took the others along

    def _take_back(self, lent: _Resting) -> None:
        healthy = lent.connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            keep = healthy and not self._closed
            if keep:
                self._resting.append(lent)
        if not keep:
            lent.connection.close()

    def _close_resting(self) -> None:
        with self._lock:
            resting, self._resting = self._resting, []
        for each in resting:
            each.connection.close()


def _answers(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
