"""What an undo would take away that holds something: looked at before it begins, in the database as it is then.

What a body of DO or a function does is not known here, nor what an UPDATE overwrites.
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
"""The files that an undo would run, in their order."""
LOOKING = "set local row_security = off; set local lock_timeout = '2s'; set local statement_timeout = '60s'"
"""Rows that a policy hides would be lost as well; and nobody waits behind a look."""


@dataclass(frozen=True)
class DataLoss:
    """Rows, or values of a column, that would be gone."""

    place: str
    table: str
    """As SQL spells it, with its schema where that is not on the search path."""
    names: frozenset[str]
    """What the operator may call it."""
    what: str

    @property
    def describe(self) -> str:
        """What would be gone."""
        return f"{self.place} takes away {self.what}"


def losses(connection: Connection, undo: Undo) -> list[DataLoss]:
    """What an undo would take away that holds something right now; changes nothing."""
    found: list[DataLoss] = []
    with connection.transaction(force_rollback=True):
        connection.execute("set transaction read only; " + LOOKING)
        taking = LossAnalyzer(connection)
        for file, script in undo:
            with connection.transaction(force_rollback=True):
                _as_owner(connection, file)
                found += [loss for statement in script for loss in _of(connection, taking, file, statement)]
    return list(dict.fromkeys(found))


def check_still_accepted(
    connection: Connection, file: SqlFile, statement: Statement, accepted: Collection[str]
) -> None:
    """Look once more in the transaction that takes it away, with nobody left to write: rows may have come meanwhile."""
    for lock in locks_of(statement):
        relation = identifier(lock.schema, lock.name)
        kind = connection.execute("select relkind from pg_class where oid = to_regclass(%s)", [relation]).fetchone()
        if lock.mode is Mode.ACCESS_EXCLUSIVE and kind and kind[0] in ("r", "p"):
            connection.execute(f"lock table {relation} in access exclusive mode".encode())
    with connection.transaction(force_rollback=True):
        connection.execute("set local row_security = off")
        check_accepted(list(_of(connection, LossAnalyzer(connection), file, statement)), accepted)


def check_accepted(found: Sequence[DataLoss], accepted: Collection[str]) -> None:
    """Raise OrderopsError for what is lost and was not accepted."""
    open_ones = [loss for loss in found if not loss.names & set(accepted)]
    if open_ones:
        tables = dict.fromkeys([*accepted, *(loss.table for loss in open_ones)])
        said = " ".join(f"--accept-data-loss {shlex.quote(table)}" for table in tables)
        raise OrderopsError(
            "\n".join([*(loss.describe for loss in open_ones), "nothing was undone"]),
            f"if that may go, the same command with: {said}",
        )


def _as_owner(connection: Connection, file: SqlFile) -> None:
    """Look as the role that the file runs as: it may read what we may not, and its names may mean other tables."""
    import psycopg

    if file.head.owner:
        try:
            with connection.transaction():
                connection.execute(f"set local role {file.head.owner}".encode())
        except psycopg.Error:  # the file itself will meet it
            return


def _of(connection: Connection, taking: LossAnalyzer, file: SqlFile, statement: Statement) -> Iterator[DataLoss]:
    for taken in taking.by(statement):
        why = _held(connection, taken)
        if why is not None:
            yield _loss(connection, f"{file.name}:{statement.line}", taken, why)


def _loss(connection: Connection, place: str, taken: AffectedData, why: str) -> DataLoss:
    told = connection.execute(
        "select c.oid::regclass::text, n.nspname, c.relname, pg_table_is_visible(c.oid)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s",
        [taken.table],
    ).fetchone()
    assert told, "looked up in this transaction"
    table, schema, name, visible = told
    names = {table, f"{schema}.{name}", identifier(schema, name), *({name, identifier("", name)} if visible else ())}
    column = taken.column and f"column {table}.{taken.column}, which holds values"
    rows = f"the rows of {table}" if taken.all_rows else f"rows of {table}"
    return DataLoss(place, table, frozenset(names), (column or rows) + why)


def _held(connection: Connection, taken: AffectedData) -> str | None:
    """None where nothing is lost; else what is to be said of it. What cannot be looked at counts as full."""
    import psycopg

    for query in taken.queries:
        try:
            with connection.transaction():
                told = connection.execute(query.encode()).fetchone()
            return "" if told and told[0] else None
        except psycopg.Error as error:
            if not error.sqlstate or error.sqlstate.startswith("57P"):
                raise
            why = f", unless it is empty, which cannot be seen: {error.diag.message_primary}"
    return why
