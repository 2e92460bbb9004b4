"""A session that has used some tables and stays idle in its transaction, as a forgotten client does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType

from orderops.database.connection import Login, connect
from orderops.migrations.sql.parser import identifier
from orderops.rehearsal.tables import TableDefinition, fetch_text


class BlockingSession:
    """Reads and writes every table, keeps its transaction open for `seconds`, and rolls back; at the latest on exit.

    Rows in `kept` are used by the load. They are not written to, or the load would wait for this session and not for
    the migration.
    """

    def __init__(
        self, to: Login, tables: Sequence[TableDefinition], seconds: float, kept: Sequence[Sequence[str | None]]
    ) -> None:
        self._to, self._tables, self._seconds = to, tables, seconds
        self._kept = {tuple(row) for row in kept}
        self._stack = ExitStack()
        self._released = threading.Lock()
        self.ended = 0.0
        """When the transaction ended, on the monotonic clock; 0 while it is open."""

    def __enter__(self) -> BlockingSession:
        self._connection = self._stack.enter_context(connect(self._to, name="orderops rehearsal holder"))
        for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
            self._connection.execute(f"set {setting} = 0".encode())
        self._connection.execute("begin")
        for table in self._tables:
            self._use(table)
        self._timer = threading.Timer(self._seconds, self._release)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._release()
        self._stack.close()

    def _use(self, table: TableDefinition) -> None:
        from psycopg import sql

        self._connection.execute(f"select from {table.name} limit 1".encode())
        self._connection.execute(f"lock table {table.name} in row exclusive mode".encode())
        column = next(
            (column for column in table.columns if not column.generated and column.name not in table.key), None
        )
        row = self._row(table) if column and table.key else None
        if column and row:
            named = identifier("", column.name)
            where = " and ".join(
                f"{identifier('', name)} = {sql.Literal(value).as_string(self._connection)}::{kind}"
                for name, value, kind in zip(table.key, row, table.key_types, strict=True)
            )
            self._connection.execute(f"update {table.name} set {named} = {named} where {where}".encode())

    def _row(self, table: TableDefinition) -> Sequence[str | None] | None:
        """The key of a row that the load does not use."""
        keys = ", ".join(identifier("", column) for column in table.key)
        found = fetch_text(self._connection, f"select {keys} from {table.name} limit 500")
        return next((row for row in reversed(found) if tuple(row) not in self._kept and None not in row), None)

    def _release(self) -> None:
        import psycopg

        with self._released:
            if not self.ended:
                with suppress(psycopg.Error):
                    self._connection.execute("rollback")
                self.ended = time.monotonic()
