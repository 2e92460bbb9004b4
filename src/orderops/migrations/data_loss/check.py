"""The data-loss check: which existing data an undo would remove, read before the undo starts.

Deletions inside DO bodies and functions are seen when the statement has run, in `effects`; values that an UPDATE
overwrites are not.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from orderops.database.schema_owner import owner_of
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.data_loss.analysis import AffectedData, LossAnalyzer
from orderops.migrations.sql.file_role import become
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import Mode, locks_of
from orderops.migrations.sql.parser import Statement, identifier

if TYPE_CHECKING:
    from psycopg import Connection

Undo = Sequence[tuple[SqlFile, Sequence[Statement]]]
"""The files that an undo would run, with their statements, in order."""
Part = tuple[int, str]
"""The oid of a table and the name of a column; without a name the whole table."""
CHECK_SETTINGS = "set local row_security = off; set local lock_timeout = '2s'; set local statement_timeout = '60s'"
# Rows hidden by a row security policy would be lost too. The timeouts keep clients from queueing behind the check.


class DataLoss(Frozen):
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
                for statement in script:
                    found += _existing(connection, f"{file.name}:{statement.line}", analyzer.by(statement))
    return list(dict.fromkeys(found))


def check_still_accepted(
    connection: Connection, file: SqlFile, statement: Statement, accepted: Collection[str], left: str
) -> set[Part]:
    """Check again in the transaction of the statement, with its tables locked: rows may have been added since.

    Returns the tables and columns that were looked at.
    """
    for lock in locks_of(statement):
        relation = identifier(lock.schema, lock.name)
        kind = connection.execute("select relkind from pg_class where oid = to_regclass(%s)", [relation]).fetchone()
        # Only tables and partitioned tables can be locked with LOCK TABLE here; views hold no rows.
        if lock.mode is Mode.ACCESS_EXCLUSIVE and kind and kind[0] in ("r", "p"):
            connection.execute(f"lock table {relation} in access exclusive mode".encode())
    with connection.transaction(force_rollback=True):
        affected = list(LossAnalyzer(connection).by(statement))
    check_affected(connection, f"{file.name}:{statement.line}", affected, accepted, left)
    return {(data.table, data.column) for data in affected if data.all_rows}


def check_parts(
    connection: Connection, place: str, parts: Collection[Part], accepted: Collection[str], left: str
) -> None:
    """Lock tables until the end of the transaction, and raise OrderopsError if they hold data that is not accepted."""
    import psycopg

    analyzer = LossAnalyzer(connection)
    affected: list[AffectedData] = []
    for table, column in sorted(parts):
        # A function may drop what this role may not lock.
        with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(f"lock table {analyzer.name(table)} in access exclusive mode".encode())
        affected += analyzer.values(table, column) if column else [analyzer.rows(table)]
    check_affected(connection, place, affected, accepted, left)


def check_affected(
    connection: Connection, place: str, affected: Sequence[AffectedData], accepted: Collection[str], left: str
) -> None:
    """Raise OrderopsError if some of this data exists and is not accepted."""
    with connection.transaction(force_rollback=True):
        connection.execute("set local row_security = off")
        check_accepted(list(_existing(connection, place, affected)), accepted, left)


def check_accepted(found: Sequence[DataLoss], accepted: Collection[str], left: str = "nothing was undone") -> None:
    """Raise OrderopsError for data losses that were not accepted; `left` says what was done nevertheless."""
    open_ones = [loss for loss in found if not loss.names & set(accepted)]
    if open_ones:
        tables = dict.fromkeys([*accepted, *(loss.table for loss in open_ones)])
        options = " ".join(f"--accept-data-loss {shlex.quote(table)}" for table in tables)
        raise OrderopsError(
            "\n".join([*(loss.describe for loss in open_ones), left]),
            f"to accept the loss, re-run this command with: {options}",
        )


def _as_owner(connection: Connection, file: SqlFile) -> None:
    """Switch to the file's role: it may read other tables, and its search path may resolve names differently."""
    import psycopg

    if role := become(file, owner_of(connection), "set local"):
        try:
            with connection.transaction():
                connection.execute(role.encode())
        except psycopg.Error:  # running the file raises the same error, with its position
            return


def _existing(connection: Connection, place: str, affected: Iterable[AffectedData]) -> Iterator[DataLoss]:
    for data in affected:
        why = _unless_empty(connection, data)
        if why is not None:
            yield _loss(connection, place, data, why)


def _loss(connection: Connection, place: str, affected: AffectedData, why: str) -> DataLoss:
    row = connection.execute(
        "select c.oid::regclass::text, n.nspname, c.relname, pg_table_is_visible(c.oid)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s",
        [affected.table],
    ).fetchone()
    assert row, "found earlier in this transaction"
    table, schema, name, visible = row
    column = affected.column and f"drops column {table}.{affected.column}, which holds values"
    rows = f"removes the rows of {table}" if affected.all_rows else f"removes rows of {table}"
    return DataLoss(place, table, names_of(table, schema, name, visible=visible), (column or rows) + why)


def names_of(text: str, schema: str, name: str, *, visible: bool) -> frozenset[str]:
    """Names that `--accept-data-loss` accepts for a table; `text` is its name as the server spells it."""
    unqualified = {name, identifier("", name)} if visible else set()
    return frozenset({text, f"{schema}.{name}", identifier(schema, name), *unqualified})


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
