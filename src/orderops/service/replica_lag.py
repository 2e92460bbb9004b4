"""How old the data of a replica is, at most.

The primary is asked for its position in the log, and then the replica for its own: a replica at that position has all
that was committed before the primary was asked. So no clock of a server counts, a primary on which nothing happens
makes no replica look late, and a replica whose receiver hangs is noticed. While the primary does not answer, the
replica's own view has to do.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from threading import Condition

from psycopg.rows import class_row

from orderops.service.pool import Connection

# Seconds for which the last position of the primary counts as known.
KNOWN_SECONDS = 1.5
_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
# A login without pg_read_all_stats sees that there is a receiver, and nothing else of it.
_STANDBY = """
SELECT pg_is_in_recovery() AS in_recovery,
    EXISTS (SELECT FROM pg_stat_wal_receiver) AS receiving,
    coalesce(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), false) AS replayed_all,
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint AS position,
    extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 AS since_commit
"""


@dataclass(frozen=True)
class Standby:
    """What a replica says of itself."""

    in_recovery: bool
    receiving: bool
    """Whether a receiver is connected to the primary."""
    replayed_all: bool
    """Whether all that was received is replayed."""
    position: int | None
    """Up to where in the log it has replayed, in bytes."""
    since_commit: float | None
    """Seconds since the last commit that it replayed."""


@dataclass(frozen=True)
class Lag:
    """Seconds by which a replica is behind at most; infinite if that is not known."""

    seconds: float
    words: str


@dataclass(frozen=True)
class _Known:
    position: int
    asked_at: float


class PrimaryPositions:
    """Positions of the primary in its log, each with the moment before it was asked."""

    def __init__(self, keep_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._known: deque[_Known] = deque()
        self._server: object = None
        self._changed = Condition()

    def add(self, server: object, position: int, asked_at: float) -> None:
        """Take in what the primary said, and wake those that wait for it."""
        with self._changed:
            known = self._known
            if known and (server != self._server or position < known[-1].position):
                # Another server, whose positions say nothing of those of the last one.
                known.clear()
            if known and known[-1].position == position:
                known.pop()
            while known and asked_at - known[0].asked_at > self._keep_seconds:
                known.popleft()
            known.append(_Known(position, asked_at))
            self._server = server
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Return when the next position is known, or after so many seconds."""
        with self._changed:
            self._changed.wait(seconds)

    @property
    def fresh(self) -> bool:
        """Whether the primary has answered lately."""
        with self._changed:
            return bool(self._known) and self._clock() - self._known[-1].asked_at <= KNOWN_SECONDS

    def behind(self, position: int) -> float:
        """Return how many seconds ago a server at this position had everything at the latest; infinite if unknown."""
        with self._changed:
            moments = (known.asked_at for known in reversed(self._known) if known.position <= position)
            moment = next(moments, None)
        return inf if moment is None else self._clock() - moment


def primary_position(connection: Connection) -> tuple[object, int]:
    """Return which server this is, and its position."""
    row = connection.execute(_POSITION).fetchone()
    assert row  # a SELECT without FROM
    return (connection.info.host, connection.info.port), row[0]


def standby(connection: Connection) -> Standby:
    """Ask a replica."""
    with connection.cursor(row_factory=class_row(Standby)) as cursor:
        state = cursor.execute(_STANDBY).fetchone()
    assert state  # a SELECT without FROM
    return state


def lag_of(state: Standby, positions: PrimaryPositions) -> Lag:
    """Return how far a replica is behind at most."""
    if not state.in_recovery or state.position is None:
        return Lag(inf, "it is no standby")
    if not positions.fresh:
        return _own_view(state)
    if not state.receiving:
        # The primary answers us, and the replica has lost it: what it lacks only grows.
        return Lag(inf, "it receives nothing from the primary")
    return _lag(positions.behind(state.position))


def _own_view(state: Standby) -> Lag:
    if state.receiving and state.replayed_all:
        return _lag(0.0)
    # Right as long as there are commits, and too much on a primary without.
    return _lag(inf if state.since_commit is None else max(0.0, state.since_commit))


def _lag(seconds: float) -> Lag:
    return Lag(seconds, "how far it is behind is not known" if seconds == inf else f"it is {seconds:.1f} s behind")
