"""The connections of one run of migrations: one holds the lock, one works, one looks.

The lock that says who migrates is held on a connection of its own and taken by asking again and again: a session that
waits in pg_advisory_lock holds a snapshot, for which CREATE INDEX CONCURRENTLY would wait for ever. The connection that
works holds a second one, so that nobody begins while a statement of a run that was killed is still at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, LiteralString

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.migrations.ledger.table import Author

if TYPE_CHECKING:
    from psycopg import Connection

LOCKS = 4_612_021
"""The class of our advisory locks; any number of our own serves."""
WHO_MIGRATES, WHO_WORKS = 1, 2
EVERY = 0.2
"""Seconds between two tries for an advisory lock."""
SETTINGS = {
    "client_connection_check_interval": "1s",  # a statement whose client was killed ends by itself
    "idle_in_transaction_session_timeout": "5s",  # a laptop that falls asleep lets go of its locks
    "idle_session_timeout": "0",  # what a role or a database says of its sessions is not meant for these
    "transaction_timeout": "0",
    "DateStyle": "ISO",  # as psycopg reads them; the order of day and month stays the database's
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",  # as the parser reads the files
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "statement_timeout": "0",
    "lock_timeout": "0",
}
NOT_INTO_OURS: LiteralString = """
select set_config('search_path', path, false)
from regexp_replace(current_setting('search_path'), '"?\\$user"?[, ]*', '') as told(path)
where current_user = 'orderops' and path <> '' and not exists (
    select from pg_class c where c.relnamespace = to_regnamespace('orderops') and c.relkind in ('r', 'p')
        and c.relname not like 'ledger%')
"""
"""A role of the name of the ledger's schema would make its tables in there, since "$user" stands first in its path."""
LONGEST_NAME = 63

OnSessionWait = Callable[[str, float], None]
"""Told what is waited for, and for how many seconds so far; nothing when that is over."""


@dataclass(frozen=True)
class LockHolder:
    """The session that holds one of our locks."""

    pid: int
    application: str
    since: datetime
    query: str

    @property
    def describe(self) -> str:
        """Who it is, since when."""
        who = self.application.removeprefix("orderops migrate: ") or "a session without a name"
        return f"{who} (pid {self.pid}) since {self.since:%H:%M:%S}Z"


@dataclass(frozen=True)
class Sessions:
    """An open run: nobody else migrates this database."""

    work: Connection
    monitor: Connection
    author: Author

    @property
    def own(self) -> list[int]:
        """The server's processes that are ours."""
        return [each.info.backend_pid for each in (self.work, self.monitor)]


@contextmanager
def opened(to: Login, author: Author, *, wait: timedelta, waiting: OnSessionWait) -> Iterator[Sessions]:
    """Take the lock and open the connections; raises OrderopsError where another holds it for longer than `wait`."""
    with ExitStack() as open_ones:
        guard = open_ones.enter_context(connect(to, name=_name(author)))
        prepare(guard)
        _take(guard, WHO_MIGRATES, wait, waiting)
        work = open_ones.enter_context(connect(to, name="orderops migrate"))
        prepare(work)
        _take(work, WHO_WORKS, wait, waiting)
        eye = open_ones.enter_context(connect(to, name="orderops migrate looks"))
        prepare(eye)
        yield Sessions(work, eye, author)


def prepare(connection: Connection) -> None:
    """Settings that let nothing of ours stay behind or wait without end; undoes what a migration has set."""
    known = connection.execute("select name from pg_settings where name = any(%s)", [list(SETTINGS)]).fetchall()
    connection.execute("reset session authorization; reset all; discard temporary")
    there = [name for (name,) in known]
    connection.execute(
        "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as wanted(name, value)",
        [there, [SETTINGS[name] for name in there]],
    )
    connection.execute(NOT_INTO_OURS)


def holder(connection: Connection, number: int = WHO_MIGRATES) -> LockHolder | None:
    """Who holds one of our locks on this database."""
    told = connection.execute(
        "select l.pid, coalesce(a.application_name, ''), coalesce(a.backend_start, now()) at time zone 'UTC',"
        " coalesce(a.query, '') from pg_locks l left join pg_stat_activity a using (pid)"
        " where l.locktype = 'advisory' and l.granted and l.classid = %s and l.objid = %s and l.objsubid = 2"
        " and l.database = (select oid from pg_database where datname = current_database())",
        [LOCKS, number],
    ).fetchone()
    return LockHolder(*told) if told else None


def _take(connection: Connection, number: int, wait: timedelta, waiting: OnSessionWait) -> None:
    began = time.monotonic()
    while True:
        told = connection.execute("select pg_try_advisory_lock(%s, %s)", [LOCKS, number]).fetchone()
        if told and told[0]:
            waiting("", 0.0)
            return
        found = holder(connection, number)
        waited = time.monotonic() - began
        if found and waited >= wait.total_seconds():
            raise _held(found, number, waited)
        if found:
            waiting(_by(found, number), waited)
        time.sleep(EVERY)


def _held(found: LockHolder, number: int, waited: float) -> OrderopsError:
    after = f", waited {waited:.0f} s" if waited >= 1 else ""
    return OrderopsError(
        f"{_by(found, number)}{after}; nothing was done",
        "the same command works once that has ended; to wait for it: --wait 10m\n"
        f"if nobody is there any more: psql -c 'select pg_terminate_backend({found.pid})'",
    )


def _by(found: LockHolder, number: int) -> str:
    if number == WHO_MIGRATES:
        return f"this database is being migrated by {found.describe}"
    return f"a statement of a run that ended is still at work, pid {found.pid} since {found.since:%H:%M:%S}Z"


def _name(author: Author) -> str:
    """What pg_stat_activity shows: the role and session of an ARN, or the user, and the machine."""
    who = author.who.partition(":assumed-role/")[2] or author.who.rpartition(":")[2]
    return f"orderops migrate: {who} on {author.host}".encode()[:LONGEST_NAME].decode(errors="ignore")
