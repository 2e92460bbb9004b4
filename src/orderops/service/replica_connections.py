"""Connections to one replica: opened beside the requests, lent for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock

from psycopg.pq import TransactionStatus

from orderops.service.hurried_connection import HurriedConnection


class NoneFree(Exception):
    """No connection became free in time."""


@dataclass(frozen=True)
class _Opened:
    connection: HurriedConnection
    at: float


class ReplicaConnections:
    """Lends what `open` has opened; a borrower never logs in, which takes libpq up to two seconds."""

    def __init__(self, connect: Callable[[], HurriedConnection], *, lifetime_seconds: float = 60.0) -> None:
        self._connect = connect
        self._lifetime_seconds = lifetime_seconds
        # The one that was used longest ago comes next, so that all are used and none grows old unseen.
        self._free: SimpleQueue[_Opened] = SimpleQueue()
        self._lock = Lock()
        self._count = 0
        self._closed = False

    def open(self, number: int) -> None:
        """Open what is missing up to a number. For one thread; raises what `connect` raises."""
        while self._count < number and not self._closed:
            self._free.put(_Opened(self._connect(), time.monotonic()))
            self._add(1)
        if self._closed:
            # It was closed while another connection was opened.
            self.drop()

    @contextmanager
    def lent(self, *, wait_seconds: float, answer_seconds: float) -> Iterator[HurriedConnection]:
        """Lend a connection whose answers are waited for only so long. Raises NoneFree."""
        try:
            opened = self._free.get(timeout=wait_seconds)
        except Empty:
            raise NoneFree from None
        opened.connection.deadline = time.monotonic() + answer_seconds
        try:
            yield opened.connection
        except BaseException:
            self._end(opened)
            raise
        self._keep(opened)

    def drop(self) -> None:
        """Close those that are free: after a failure, they may all be broken."""
        try:
            while True:
                self._end(self._free.get_nowait())
        except Empty:
            return

    def close(self) -> None:
        """Close those that are free now, and the others when they come back."""
        self._closed = True
        self.drop()

    def _keep(self, opened: _Opened) -> None:
        idle = opened.connection.info.transaction_status == TransactionStatus.IDLE
        # The maximum age lets the service follow a changed address and a changed login.
        if self._closed or not idle or time.monotonic() - opened.at > self._lifetime_seconds:
            self._end(opened)
        else:
            self._free.put(opened)

    def _end(self, opened: _Opened) -> None:
        opened.connection.close()
        self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self._count += number
