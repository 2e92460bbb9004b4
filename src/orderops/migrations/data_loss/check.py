"""The data-loss check: which existing data an undo would remove, read before the undo starts.

Deletions inside DO bodies and functions are not seen, nor values that an UPDATE overwrites.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError
from orderops.migrations.data_loss.analysis import AffectedData, LossAnalyzer
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import Mode, locks_of
from orderops.migrations.sql.parser import Statement, identifier

if TYPE_CHECKING:
    from psycopg import Connection

Undo = Sequence[tuple[SqlFile, Sequence[Statement]]]
"""The files that an undo would run, with their statements, in order."""
CHECK_SETTINGS = "set local row_security = off; set local lock_timeout = '2s'; set local statement_timeout = '60s'"
# Rows hidden by a row security policy would be lost too. The timeouts keep clients from queueing behind the check.


@dataclass(frozen=True)
class DataLoss:
    """Existing rows, or values of a column, that an undo would remove."""

    place: str
    table: str
    """As spelled in SQL, with its schema if that is not on the search path."""
    names: frozenset[str]
    """Names that `--accept-data-loss` accepts for it."""
    what: str
    """What the undo does to the data, with a verb."""

    @property
    def describe(self) -> str:
        """Position and data, in words."""
        return f"{self.place} {self.what}"


def losses(connection: Connection, undo: Undo) -> list[DataLoss]:
    """Find the existing data that an undo would remove; changes nothing."""
    found: list[DataLoss] = []
    with connection.transaction(force_rollback=True):
        # Read only: SET search_path of the undo is run, but nothing can be written by mistake.
        connection.execute("set transaction read only; " + CHECK_SETTINGS)
        analyzer = LossAnalyzer(connection)
        for file, script in undo:
            with connection.transaction(force_rollback=True):
                _as_owner(connection, file)
                found += [loss for statement in script for loss in _losses_of(connection, analyzer, file, statement)]
    return list(dict.fromkeys(found))


def check_still_accepted(
    connection: Connection, file: SqlFile, statement: Statement, accepted: Collection[str]
) -> None:
    """Check again in the transaction of the statement, with its tables locked: rows may have been added since."""
    for lock in locks_of(statement):
        relation = identifier(lock.schema, lock.name)
        kind = connection.execute("select relkind from pg_class where oid = to_regclass(%s)", [relation]).fetchone()
        # Only tables and partitioned tables can be locked with LOCK TABLE here; views hold no rows.
        if lock.mode is Mode.ACCESS_EXCLUSIVE and kind and kind[0] in ("r", "p"):
            connection.execute(f"lock table {relation} in access exclusive mode".encode())
    with connection.transaction(force_rollback=True):
        connection.execute("set local row_security = off")
        check_accepted(list(_losses_of(connection, LossAnalyzer(connection), file, statement)), accepted)


def check_accepted(found: Sequence[DataLoss], accepted: Collection[str]) -> None:
    """Raise OrderopsError for data losses that were not accepted."""
    open_ones = [loss for loss in found if not loss.names & set(accepted)]
    if open_ones:
        tables = dict.fromkeys([*accepted, *(loss.table for loss in open_ones)])
        options = " ".join(f"--accept-data-loss {shlex.quote(table)}" for table in tables)
        raise OrderopsError(
            "\n".join([*(loss.describe for loss in open_ones), "nothing was undone"]),
            f"to accept the loss, re-run this command with: {options}",
        )


def _as_owner(connection: Connection, file: SqlFile) -> None:
    """Switch to the file's owner: it may read other tables, and its search path may resolve names differently."""
    import psycopg

    if file.head.owner:
        try:
            with connection.transaction():
                connection.execute(f"set local role {file.head.owner}".encode())
        except psycopg.Error:  # running the file raises the same error, with its position
            return


def _losses_of(
    connection: Connection, analyzer: LossAnalyzer, file: SqlFile, statement: Statement
) -> Iterator[DataLoss]:
    for affected in analyzer.by(statement):
        why = _unless_empty(connection, affected)
        if why is not None:
            yield _loss(connection, f"{file.name}:{statement.line}", affected, why)


def _loss(connection: Connection, place: str, affected: AffectedData, why: str) -> DataLoss:
    row = connection.execute(
        "select c.oid::regclass::text, n.nspname, c.relname, pg_table_is_visible(c.oid)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s",
        [affected.table],
    ).fetchone()
    assert row, "found earlier in this transaction"
    table, schema, name, visible = row
    names = {table, f"{schema}.{name}", identifier(schema, name), *({name, identifier("", name)} if visible else ())}
    column = affected.column and f"drops column {table}.{affected.column}, which holds values"
    rows = f"removes the rows of {table}" if affected.all_rows else f"removes rows of {table}"
    return DataLoss(place, table, frozenset(names), (column or rows) + why)


def _unless_empty(connection: Connection, affected: AffectedData) -> str | None:
    """None if the data is empty, else a suffix for the message. Tables that cannot be read count as not empty."""
    import psycopg

    for query in affected.queries:
        try:
            with connection.transaction():
                row = connection.execute(query.encode()).fetchone()
            return "" if row and row[0] else None
        except psycopg.Error as error:
            # A lost connection is no answer about the table.
            if not error.sqlstate or error.sqlstate.startswith("57P"):
                raise
            why = f", unless it is empty, which cannot be checked: {error.diag.message_primary}"
    return why
