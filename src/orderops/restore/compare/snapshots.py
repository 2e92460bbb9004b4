"""The two databases that are compared: each read through one snapshot that shows it as it was at one moment.

What a value looks like as text is settled alike in every session, so that equal texts mean equal values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderops.database.connection import GONE, Login, connect
from orderops.errors import OrderopsError

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection
    from psycopg.sql import Composed

NAME = "orderops restore compare"
TEXT_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "xmloption": "content",
}
"""What the text of a value depends on, and reading it again."""
SESSION_SETTINGS = {
    **TEXT_SETTINGS,
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "search_path": "pg_catalog",
    "row_security": "off",  # rows that a policy hides would count as lost: an error is better
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",  # one side waits while the other works
    "work_mem": "64MB",
    "parallel_tuple_cost": "0",
    "jit": "off",
}
PATIENT_SINCE_17 = {"transaction_timeout": "0"}
FORGET = "rollback to savepoint look; release savepoint look"
LOCK_TIMEOUT = timedelta(seconds=5)
PRIVILEGE = "42501"
LOCKED = "55P03"


class Unreadable(OrderopsError):
    """One thing in one of the databases cannot be read; the rest can."""


@dataclass(frozen=True)
class Snapshot:
    """One of the two: `live`, or `restored`."""

    name: str
    login: Login
    connection: Connection
    exported_id: str
    taken: datetime
    version: int
    """As the server numbers it: 180003."""
    encoding: str
    lock_timeout: timedelta
    """How long somebody else's lock is waited for."""

    def rows(self, query: Composed | str) -> list[tuple[Any, ...]]:
        """What a query answers; raises Unreadable where it cannot."""
        with self.asked():
            return self.connection.execute(query.encode() if isinstance(query, str) else query).fetchall()

    @contextmanager
    def releasing_locks(self) -> Iterator[None]:
        """Locks that are taken meanwhile are given back at the end: a migration of live need not wait for the rest."""
        import psycopg

        with self.asked():
            self.connection.execute("savepoint look")
            try:
                yield
            except BaseException:
                with suppress(psycopg.Error):  # what was raised first says more
                    self.connection.execute(FORGET)
                raise
            self.connection.execute(FORGET)

    @contextmanager
    def streaming(self, query: Composed) -> Iterator[Iterator[bytes]]:
        """The lines of COPY's text form, as they come; the server works from now on."""
        from psycopg import sql

        copying = sql.SQL("copy ({}) to stdout").format(query)
        with self.asked(), self.connection.cursor() as cursor, cursor.copy(copying) as lines:
            yield self._lines(lines)

    @contextmanager
    def second_session(self) -> Iterator[Snapshot]:
        """One more session that sees the same moment."""
        with (
            connect(self.login, name=NAME) as connection,
            _settled(self.name, self.login, connection, self.lock_timeout, self) as side,
        ):
            yield side

    @contextmanager
    def asked(self) -> Iterator[None]:
        """An error of this server is told as this server's."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._refusal(error) from None
        except UnicodeError:
            raise Unreadable(f"{self.name}: it holds text that is none in {self.encoding}") from None

    def _lines(self, lines: psycopg.Copy) -> Iterator[bytes]:
        with self.asked():
            yield from map(bytes, lines)

    def _refusal(self, error: psycopg.Error) -> OrderopsError:
        state = error.sqlstate or ""
        said = error.diag.message_primary or " ".join(str(error).split()) or "no answer"
        if self.connection.broken or self.connection.closed or not state or state.startswith(GONE):
            return OrderopsError(
                f"the connection to the {self.name} database {self.login.describe} was lost: {said}",
                "nothing was changed; the same command begins again once it is there",
            )
        if state == LOCKED:
            said = f"somebody holds a lock for more than {self.lock_timeout.total_seconds():g} s"
        return Unreadable(f"{self.name}: {said}", f"the role is {self.login.username}" if state == PRIVILEGE else "")


@dataclass(frozen=True)
class SnapshotPair:
    """Both, each at its moment."""

    live: Snapshot
    restored: Snapshot

    @property
    def both(self) -> tuple[Snapshot, Snapshot]:
        """Live first."""
        return self.live, self.restored

    @property
    def encodings_differ(self) -> bool:
        """Whether the same text is other bytes on the other server."""
        return self.live.encoding != self.restored.encoding

    @contextmanager
    def releasing_locks(self) -> Iterator[None]:
        """Locks that are taken meanwhile are given back at the end, on both."""
        with self.live.releasing_locks(), self.restored.releasing_locks():
            yield

    @contextmanager
    def streaming(self, queries: Sequence[Composed]) -> Iterator[tuple[Iterator[bytes], Iterator[bytes]]]:
        """A query each, at which both servers work at once."""
        with self.live.streaming(queries[0]) as live, self.restored.streaming(queries[1]) as restored:
            yield live, restored

    @contextmanager
    def second_session(self) -> Iterator[SnapshotPair]:
        """One more session on each, for rows that are fetched while others are counted."""
        with self.live.second_session() as live, self.restored.second_session() as restored:
            yield SnapshotPair(live, restored)


@contextmanager
def open_snapshots(live: Login, restored: Login, lock_timeout: timedelta = LOCK_TIMEOUT) -> Iterator[SnapshotPair]:
    """Both databases, to be read and never written."""
    with ExitStack() as stack:
        sides = []
        for name, login in (("live", live), ("restored", restored)):
            connection = stack.enter_context(connect(login, name=NAME))
            sides.append(stack.enter_context(_settled(name, login, connection, lock_timeout)))
        yield SnapshotPair(*sides)


@contextmanager
def _settled(
    name: str, login: Login, connection: Connection, patience: timedelta, same: Snapshot | None = None
) -> Iterator[Snapshot]:
    import psycopg
    from psycopg import sql

    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    version = connection.info.server_version
    alike = SESSION_SETTINGS | (PATIENT_SINCE_17 if version >= 170000 else {})
    alike["lock_timeout"] = f"{patience // timedelta(milliseconds=1)}ms"
    settled = [sql.SQL("set_config({}, {}, false)").format(key, value) for key, value in alike.items()]
    connection.execute(sql.SQL("select {}").format(sql.SQL(", ").join(settled)))
    with connection.transaction(force_rollback=True):
        if same:
            connection.execute(sql.SQL("set transaction snapshot {}").format(same.exported_id))
        told = connection.execute(
            "select pg_export_snapshot(), clock_timestamp(), pg_encoding_to_char(encoding)"
            " from pg_database where datname = current_database()"
        ).fetchone()
        assert told, "a database knows itself"
        snapshot, taken, encoding = told
        yield Snapshot(name, login, connection, snapshot, taken, version, encoding, patience)
