"""The two databases of a comparison, each read in one snapshot: as of one moment, while clients go on writing.

All sessions use the same settings for the text form of values, so that equal texts mean equal values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderops.database.connection import GONE, Login, connect
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

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
"""Settings that the text form of a value depends on, for writing and for reading it."""
SESSION_SETTINGS = {
    **TEXT_SETTINGS,
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "search_path": "pg_catalog",
    # An error is better than rows that a policy hides, which would be counted as lost.
    "row_security": "off",
    "statement_timeout": "0",
    # One session waits while the other server works.
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
    # Each parallel worker returns a sum for every bucket; at the default cost of a tuple the planner uses no workers.
    "parallel_tuple_cost": "0",
    "jit": "off",
}
SETTINGS_SINCE_17 = {"transaction_timeout": "0"}
ROLLBACK_LOCKS = "rollback to savepoint look; release savepoint look"
# Longer than most statements, shorter than the wait of an operator who would give up.
LOCK_TIMEOUT = timedelta(seconds=5)
INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"


class Unreadable(OrderopsError):
    """A single object of a database cannot be read; the rest can be compared."""


class Snapshot(Frozen):
    """One of the two databases: `live` or `restored`."""

    name: str
    login: Login
    connection: Connection
    exported_id: str
    """The identifier by which another session can read the same snapshot."""
    taken: datetime
    version: int
    """The server's version number: 180003."""
    encoding: str
    lock_timeout: timedelta
    """How long to wait for another session's lock."""

    def rows(self, query: Composed | str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows; raises Unreadable if the server refuses it."""
        with self.translated_errors():
            return self.connection.execute(query.encode() if isinstance(query, str) else query).fetchall()

    @contextmanager
    def releasing_locks(self) -> Iterator[None]:
        """Release the locks taken inside the block at its end.

        The transaction lasts as long as the comparison: otherwise a migration of live would wait for all of it.
        """
        import psycopg

        with self.translated_errors():
            self.connection.execute("savepoint look")
            try:
                yield
            except BaseException:
                # The first error says more than one from a connection that is broken by then.
                with suppress(psycopg.Error):
                    self.connection.execute(ROLLBACK_LOCKS)
                raise
            self.connection.execute(ROLLBACK_LOCKS)

    @contextmanager
    def streaming(self, query: Composed) -> Iterator[Iterator[bytes]]:
        """Start a query, and provide its lines in COPY's text format as they arrive."""
        from psycopg import sql

        statement = sql.SQL("copy ({}) to stdout").format(query)
        with self.translated_errors(), self.connection.cursor() as cursor, cursor.copy(statement) as lines:
            yield self._lines(lines)

    @contextmanager
    def second_session(self) -> Iterator[Snapshot]:
        """Open another session that reads the same snapshot."""
        with (
            connect(self.login, name=NAME) as connection,
            _configured(self.name, self.login, connection, self.lock_timeout, self) as snapshot,
        ):
            yield snapshot

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Translate the server's errors into ours, which name the database."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._translated(error) from None
        except UnicodeError:
            # A SQL_ASCII database stores any bytes.
            raise Unreadable(f"{self.name}: it contains text that is not valid {self.encoding}") from None

    def _lines(self, lines: psycopg.Copy) -> Iterator[bytes]:
        with self.translated_errors():
            yield from map(bytes, lines)

    def _translated(self, error: psycopg.Error) -> OrderopsError:
        state = error.sqlstate or ""
        message = error.diag.message_primary or " ".join(str(error).split()) or "no response"
        if self.connection.broken or self.connection.closed or not state or state.startswith(GONE):
            return OrderopsError(
                f"the connection to the {self.name} database {self.login.describe} was lost: {message}",
                "nothing was changed; re-run this command once the database accepts connections",
            )
        if state == LOCK_NOT_AVAILABLE:
            message = f"another session holds a lock for more than {self.lock_timeout.total_seconds():g} s"
        hint = f"the role is {self.login.username}" if state == INSUFFICIENT_PRIVILEGE else ""
        return Unreadable(f"{self.name}: {message}", hint)


class SnapshotPair(Frozen):
    """The snapshots of both databases, each taken at its own moment."""

    live: Snapshot
    restored: Snapshot

    @property
    def both(self) -> tuple[Snapshot, Snapshot]:
        """Live first."""
        return self.live, self.restored

    @property
    def encodings_differ(self) -> bool:
        """Whether the same text has different bytes on the two servers."""
        return self.live.encoding != self.restored.encoding

    @contextmanager
    def releasing_locks(self) -> Iterator[None]:
        """Release the locks taken inside the block at its end, on both servers."""
        with self.live.releasing_locks(), self.restored.releasing_locks():
            yield

    @contextmanager
    def streaming(self, queries: Sequence[Composed]) -> Iterator[tuple[Iterator[bytes], Iterator[bytes]]]:
        """Start a query on each server, so that both work at the same time."""
        with self.live.streaming(queries[0]) as live, self.restored.streaming(queries[1]) as restored:
            yield live, restored

    @contextmanager
    def second_session(self) -> Iterator[SnapshotPair]:
        """Open another session on each server, to fetch rows while the first one streams."""
        with self.live.second_session() as live, self.restored.second_session() as restored:
            yield SnapshotPair(live, restored)


@contextmanager
def open_snapshots(live: Login, restored: Login, lock_timeout: timedelta = LOCK_TIMEOUT) -> Iterator[SnapshotPair]:
    """Open a read-only snapshot of both databases."""
    with ExitStack() as stack:
        snapshots = []
        for name, login in (("live", live), ("restored", restored)):
            connection = stack.enter_context(connect(login, name=NAME))
            snapshots.append(stack.enter_context(_configured(name, login, connection, lock_timeout)))
        yield SnapshotPair(*snapshots)


@contextmanager
def _configured(
    name: str, login: Login, connection: Connection, lock_timeout: timedelta, same: Snapshot | None = None
) -> Iterator[Snapshot]:
    """Configure a connection and start its transaction, in the snapshot `same` if there is one."""
    import psycopg
    from psycopg import sql

    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    version = connection.info.server_version
    settings = SESSION_SETTINGS | (SETTINGS_SINCE_17 if version >= 170000 else {})
    settings["lock_timeout"] = f"{lock_timeout // timedelta(milliseconds=1)}ms"
    assignments = [sql.SQL("set_config({}, {}, false)").format(key, value) for key, value in settings.items()]
    connection.execute(sql.SQL("select {}").format(sql.SQL(", ").join(assignments)))
    with connection.transaction(force_rollback=True):
        if same:
            connection.execute(sql.SQL("set transaction snapshot {}").format(same.exported_id))
        row = connection.execute(
            "select pg_export_snapshot(), clock_timestamp(), pg_encoding_to_char(encoding)"
            " from pg_database where datname = current_database()"
        ).fetchone()
        assert row, "pg_database has a row for the current database"
        exported_id, taken, encoding = row
        yield Snapshot(name, login, connection, exported_id, taken, version, encoding, lock_timeout)
