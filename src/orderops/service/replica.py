"""A read replica: asked while it is fresh, and left out from its first error until it answers again.

What it costs to find out that a replica is away is paid by the thread that checks it. A request loses at most the time
in which it waits for the answer of a replica that was fresh a moment ago.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import Generic, TypeVar

import psycopg

from orderops.service.circuit import Away, Rejected
from orderops.service.database_errors import after_query
from orderops.service.hurried_connection import HurriedConnection, NotInTime
from orderops.service.pool import Connection
from orderops.service.replica_connections import NoneFree, ReplicaConnections
from orderops.service.replica_lag import Lag

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Seconds for an answer; the replica stops a statement after the same time.
ANSWER_SECONDS = 0.5
# Seconds in which a connection has to become free: for a request, and for the thread that checks.
WAIT_SECONDS, CHECK_WAIT_SECONDS = 0.1, 0.3
# Seconds for which a measured lag counts, so that one check may be missed.
MEASURED_SECONDS = 1.0
# Seconds after a failure in which nothing is tried.
PAUSE_SECONDS = 2.0


class NotAnswered(Exception):
    """The replica has not answered; the primary can be asked the same."""


@dataclass(frozen=True)
class ReadResult(Generic[Result]):
    """What was read. All that was committed `age` seconds ago is in it."""

    value: Result
    age: float


class Replica:
    """One replica. `connect` raises Away, and `max_lag` is in seconds."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], HurriedConnection],
        *,
        size: int,
        max_lag: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._connections = ReplicaConnections(connect)
        self._size = size
        self._max_lag = max_lag
        self._clock = clock
        self._lock = Lock()
        self._measured_at = self._true_at = self._retry_at = -inf
        # Neither before the first check.
        self._in_use: bool | None = None
        self._changed_at = clock()

    @property
    def usable(self) -> bool:
        """Whether it is fresh, as far as is known."""
        now = self._clock()
        with self._lock:
            measured = now - self._measured_at <= MEASURED_SECONDS
            return bool(self._in_use) and measured and now - self._true_at <= self._max_lag

    def ask(self, work: Callable[[Connection], Result]) -> ReadResult[Result]:
        """Return its answer. Raises NotAnswered."""
        with self._lock:
            true_at = self._true_at
        try:
            with self._connections.lent(wait_seconds=WAIT_SECONDS, answer_seconds=ANSWER_SECONDS) as connection:
                value = work(connection)
        except NoneFree:
            raise NotAnswered from None
        except psycopg.Error as error:
            if not isinstance(after_query(error, ANSWER_SECONDS), Rejected):
                self._failed(_reason(error))
            raise NotAnswered from None
        return ReadResult(value, self._clock() - true_at)

    def check(self, measure: Callable[[Connection], Lag]) -> None:
        """Find out how far it is behind, unless it failed a moment ago. For one thread."""
        begun = self._clock()
        if begun < self._retry_at:
            return
        try:
            self._connections.open(1)
            with self._connections.lent(wait_seconds=CHECK_WAIT_SECONDS, answer_seconds=ANSWER_SECONDS) as connection:
                lag = measure(connection)
            self._connections.open(self._size)
        except NoneFree:
            # Requests use them all, and find out themselves whether it answers.
            return
        except (Away, psycopg.Error) as error:
            self._failed(_reason(error))
            return
        self._measured(lag, begun)

    def close(self) -> None:
        """Close the connections; it is asked nothing more."""
        with self._lock:
            self._in_use = None
        self._connections.close()

    def _measured(self, lag: Lag, begun: float) -> None:
        now = self._clock()
        with self._lock:
            if begun < self._retry_at:
                # It failed while it was checked.
                return
            self._measured_at, self._true_at = now, now - lag.seconds
            self._change(lag.seconds <= self._max_lag, lag.words)

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._retry_at = self._clock() + PAUSE_SECONDS
            self._change(False, reason)
        self._connections.drop()

    def _change(self, in_use: bool, reason: str) -> None:
        before, self._in_use = self._in_use, in_use
        if before is in_use:
            return
        now = self._clock()
        seconds, self._changed_at = now - self._changed_at, now
        if not in_use:
            log.warning("the replica %s is not used: %s", self._name, reason)
        elif before is None:
            log.info("the replica %s is used", self._name)
        else:
            log.info("the replica %s is used again after %.1f s", self._name, seconds)


def _reason(error: Away | psycopg.Error) -> str:
    if isinstance(error, NotInTime):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return str(after_query(error, ANSWER_SECONDS) if isinstance(error, psycopg.Error) else error)
