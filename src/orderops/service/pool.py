"""Pool of database connections, opened by the thread that needs one.

psycopg-pool connects in the background: a waiting request gets "timed out" instead of the reason, and the pool finds
a returning server only after its growing pauses. Here, the reason of a failed login reaches the request, and the
first request after the server's return succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from select import POLLIN, poll
from threading import BoundedSemaphore, Lock
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from orderops.service.circuit import Unusable

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class _IdleConnection:
    connection: Connection
    opened_at: float


class Pool:
    """Lends at most `size` connections at a time, and keeps returned ones that are healthy."""

    def __init__(
        self, connect: Callable[[], Connection], size: int, *, wait_seconds: float = 1.0, lifetime_seconds: float = 60.0
    ) -> None:
        self._connect = connect
        self._size = size
        self._wait_seconds = wait_seconds
        self._lifetime_seconds = lifetime_seconds
        self._slots = BoundedSemaphore(size)
        self._idle: list[_IdleConnection] = []
        self._lock = Lock()
        self._closed = False
        self._waits = 0

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection that answers; it has to be returned without an open transaction."""
        self._take_slot()
        try:
            lent = self._take_idle() or _IdleConnection(self._connect(), time.monotonic())
            try:
                yield lent.connection
            finally:
                self._take_back(lent)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close idle connections now, and lent ones when they are returned."""
        with self._lock:
            self._closed = True
        self._close_idle()

    def waits(self) -> int:
        """Return how often a connection had to be waited for since the last call."""
        with self._lock:
            waits, self._waits = self._waits, 0
        return waits

    def _take_slot(self) -> None:
        if self._slots.acquire(blocking=False):
            return
        with self._lock:
            self._waits += 1
        if not self._slots.acquire(timeout=self._wait_seconds):
            reason = f"all {self._size} connections of this task were in use for {self._wait_seconds:g} s"
            raise Unusable(reason, reason)

    def _take_idle(self) -> _IdleConnection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                idle = self._idle.pop()
            # The maximum age lets the service follow a changed address while the old server is still running.
            if time.monotonic() - idle.opened_at > self._lifetime_seconds:
                idle.connection.close()
            elif _answers(idle.connection):
                return idle
            else:
                idle.connection.close()
                # The server has restarted: the other connections are broken, too.
                self._close_idle()

    def _take_back(self, lent: _IdleConnection) -> None:
        healthy = lent.connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            keep = healthy and not self._closed
            if keep:
                self._idle.append(lent)
        if not keep:
            lent.connection.close()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for entry in idle:
            entry.connection.close()


def _answers(connection: Connection) -> bool:
    # A server that ended the session has closed the connection, which shows without a round trip. One that vanished
    # would answer neither this query nor the next.
    try:
        # select() refuses file descriptors from 1024 on.
        state = poll()
        state.register(connection.fileno(), POLLIN)
        if not state.poll(0):
            return True
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
