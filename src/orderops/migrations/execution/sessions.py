"""The three connections of a migration run: one holds the lock, one runs statements, one monitors.

The migration lock is an advisory lock on a connection of its own, taken by polling: a session that waits in
pg_advisory_lock holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for that snapshot forever. The connection
that runs statements holds a second lock, so no run starts while a statement of a killed run is still running.

Whatever a file leaves in the working session is undone before the next file, since a later run would start the next
file in a new session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, LiteralString

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.ledger.table import Author

if TYPE_CHECKING:
    from psycopg import Connection

LOCKS = 4_612_021
# Arbitrary class of orderops' advisory locks: a number that other applications are unlikely to use.
MIGRATION_LOCK, WORK_LOCK = 1, 2
RETRY_INTERVAL = 0.2
"""Seconds between two attempts to take an advisory lock."""
SETTINGS = {
    "client_connection_check_interval": "1s",  # the server ends a statement when its client was killed
    "idle_in_transaction_session_timeout": "5s",  # a laptop that falls asleep must not keep its locks
    "idle_session_timeout": "0",  # a limit of the role or database would end the idle monitor
    "transaction_timeout": "0",
    "DateStyle": "ISO",  # psycopg reads only ISO; the database keeps its order of day and month
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",  # the parser reads the files this way
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "statement_timeout": "0",
    "lock_timeout": "0",
}
# PostgreSQL truncates application_name to 63 bytes (NAMEDATALEN - 1).
LONGEST_NAME = 63

# The parts of DISCARD ALL (PostgreSQL, SQL Commands, DISCARD) without the release of advisory locks: the connections
# that hold one are prepared as well. DISCARD ALL itself cannot share a round trip with other commands.
CLEAN: LiteralString = """
close all; reset session authorization; reset role; reset all; deallocate all; unlisten *;
discard plans; discard temporary; discard sequences
"""

OnSessionWait = Callable[[str, float], None]
"""Called with the reason for the wait and the seconds waited so far; with an empty text when the wait is over."""


class LockHolder(Frozen):
    """The session that holds one of orderops' advisory locks."""

    pid: int
    application: str
    since: datetime
    query: str

    @property
    def describe(self) -> str:
        """Operator, pid and start time."""
        who = self.application.removeprefix("orderops migrate: ") or "a session without a name"
        return f"{who} (pid {self.pid}) since {self.since:%H:%M:%S}Z"


class Sessions(Frozen):
    """The open connections of a run that holds the migration lock."""

    work: Connection
    monitor: Connection
    author: Author

    @property
    def own(self) -> list[int]:
        """Backend pids of this run."""
        return [connection.info.backend_pid for connection in (self.work, self.monitor)]

    def clean(self) -> None:
        """Make the working session like a new one; raises OrderopsError if another run has taken its lock.

        A file may have changed settings and the role, also in a function, prepared statements, declared cursors WITH
        HOLD, created temporary tables, listened, or taken or released advisory locks.
        """
        # A lock of the file's own would block other sessions until the run ends, and the file may have released ours.
        retaken = f"select pg_advisory_unlock_all(); select pg_try_advisory_lock({LOCKS}, {WORK_LOCK})"
        answers = self.work.execute(f"{_fresh_session()}; {retaken}".encode())
        while answers.nextset():
            pass
        row = answers.fetchone()
        if not (row and row[0]):
            other = holder(self.work, WORK_LOCK)
            raise OrderopsError(
                "this run has lost its lock on the database"
                + (f": {_described(other, MIGRATION_LOCK)}" if other else ""),
                "re-run this command after that run has ended",
            )


@contextmanager
def opened(to: Login, author: Author, *, wait: timedelta, waiting: OnSessionWait) -> Iterator[Sessions]:
    """Take the lock and open the connections; raises OrderopsError if the lock is not free within `wait`."""
    with ExitStack() as open_ones:
        # A connection of its own, so that a failed statement or a reset never releases the lock.
        guard = open_ones.enter_context(connect(to, name=_name(author)))
        prepare(guard)
        _take(guard, MIGRATION_LOCK, wait, waiting)
        work = open_ones.enter_context(connect(to, name="orderops migrate"))
        # psycopg's own prepared statements would go with those of a file.
        work.prepare_threshold = None
        prepare(work)
        _take(work, WORK_LOCK, wait, waiting)
        monitor = open_ones.enter_context(connect(to, name="orderops migrate monitor"))
        prepare(monitor)
        yield Sessions(work, monitor, author)


def prepare(connection: Connection) -> None:
    """Reset what a migration has set, and apply the settings that release locks of a lost client."""
    connection.execute(_fresh_session().encode())


def _fresh_session() -> str:
    """The commands for it, for one round trip."""
    names, values = (", ".join(f"'{text}'" for text in texts) for texts in (SETTINGS, SETTINGS.values()))
    # transaction_timeout exists from PostgreSQL 17 on; setting an unknown name is an error.
    settings = (
        f"select set_config(name, value, false) from unnest(array[{names}], array[{values}]) as wanted(name, value)"
        " where current_setting(name, true) is not null"
    )
    return f"{CLEAN}; {settings}"


def holder(connection: Connection, number: int = MIGRATION_LOCK) -> LockHolder | None:
    """Find the session that holds one of orderops' locks on this database."""
    row = connection.execute(
        "select l.pid, coalesce(a.application_name, ''), coalesce(a.backend_start, now()) at time zone 'UTC',"
        " coalesce(a.query, '') from pg_locks l left join pg_stat_activity a using (pid)"
        " where l.locktype = 'advisory' and l.granted and l.classid = %s and l.objid = %s and l.objsubid = 2"
        " and l.database = (select oid from pg_database where datname = current_database())",
        [LOCKS, number],
    ).fetchone()
    return LockHolder(*row) if row else None


def _take(connection: Connection, number: int, wait: timedelta, waiting: OnSessionWait) -> None:
    began = time.monotonic()
    while True:
        row = connection.execute("select pg_try_advisory_lock(%s, %s)", [LOCKS, number]).fetchone()
        if row and row[0]:
            waiting("", 0.0)
            return
        lock_holder = holder(connection, number)
        waited = time.monotonic() - began
        if lock_holder and waited >= wait.total_seconds():
            raise _held(lock_holder, number, waited)
        if lock_holder:
            waiting(_described(lock_holder, number), waited)
        time.sleep(RETRY_INTERVAL)


def _held(lock_holder: LockHolder, number: int, waited: float) -> OrderopsError:
    after = f", waited {waited:.0f} s" if waited >= 1 else ""
    return OrderopsError(
        f"{_described(lock_holder, number)}{after}; nothing was done",
        "re-run this command after that run has ended, or wait for it: --wait 10m\n"
        f"if that run is abandoned: psql -c 'select pg_terminate_backend({lock_holder.pid})'",
    )


def _described(lock_holder: LockHolder, number: int) -> str:
    if number == MIGRATION_LOCK:
        return f"this database is being migrated by {lock_holder.describe}"
    return f"a statement of an ended run is still running, pid {lock_holder.pid} since {lock_holder.since:%H:%M:%S}Z"


def _name(author: Author) -> str:
    """Application name for pg_stat_activity: role and session of an ARN, or the user, and the host."""
    who = author.who.partition(":assumed-role/")[2] or author.who.rpartition(":")[2]
    return f"orderops migrate: {who} on {author.host}".encode()[:LONGEST_NAME].decode(errors="ignore")
