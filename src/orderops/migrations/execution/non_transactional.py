"""Statements that run outside a transaction: clean up after an interruption, and detect whether they are done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement, identifier

if TYPE_CHECKING:
    from psycopg import Connection


def cleared(connection: Connection, statement: Statement, *, begun: bool, say: Callable[[str], None]) -> bool:
    """Remove what an interrupted try left behind; return whether the statement is already done.

    `begun` means that an earlier run started the statement and recorded no result.
    """
    tree = statement.tree
    match statement.kind:
        case "index_stmt":
            return _index_made(connection, statement, begun=begun, say=say)
        case "drop_stmt":
            parts = [part.string.sval for part in tree.objects[0].list.items]
            return begun and not _exists(connection, ".".join(identifier("", part) for part in parts))
        case "reindex_stmt" if tree.HasField("relation"):
            _drop_leftovers(connection, tree.relation, say)
        case "alter_table_stmt":
            return begun and _detached(connection, statement, say)
    return False


def is_invalid(connection: Connection, statement: Statement) -> bool:
    """Whether the index of a CREATE INDEX exists but is invalid."""
    found = _index_of(connection, statement)
    return found is not None and not found[1]


def _index_made(connection: Connection, statement: Statement, *, begun: bool, say: Callable[[str], None]) -> bool:
    found = _index_of(connection, statement)
    if found is None:
        return False
    name, valid = found
    if valid:
        return begun
    say(f"index {name} is invalid after an interruption: dropped and built again")
    connection.execute(f"drop index concurrently if exists {name}".encode())
    return False


def _index_of(connection: Connection, statement: Statement) -> tuple[str, bool] | None:
    """Name of the index of a CREATE INDEX on its table, and whether it is valid; None if it does not exist."""
    tree = statement.tree
    return connection.execute(
        "select i.indexrelid::regclass::text, i.indisvalid and i.indisready from pg_index i"
        " join pg_class c on c.oid = i.indexrelid where i.indrelid = to_regclass(%s) and c.relname = %s",
        [identifier(tree.relation.schemaname, tree.relation.relname), tree.idxname],
    ).fetchone()


def _drop_leftovers(connection: Connection, relation: object, say: Callable[[str], None]) -> None:
    # An interrupted REINDEX CONCURRENTLY leaves invalid indexes with these suffixes (PostgreSQL docs of REINDEX).
    name = identifier(getattr(relation, "schemaname", ""), getattr(relation, "relname", ""))
    rows = connection.execute(
        "select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$' and i.indrelid in (select to_regclass(%s)"
        " union select indrelid from pg_index where indexrelid = to_regclass(%s))",
        [name, name],
    ).fetchall()
    for (name,) in rows:
        say(f"index {name} was left by an interrupted REINDEX: dropped")
        connection.execute(f"drop index concurrently if exists {name}".encode())


def _detached(connection: Connection, statement: Statement, say: Callable[[str], None]) -> bool:
    """Whether the partition is detached; a pending detach is finalized first."""
    tree = statement.tree
    table = identifier(tree.relation.schemaname, tree.relation.relname)
    for cmd in tree.cmds:
        if enum_name(cmd.alter_table_cmd, "subtype") == "AT_DetachPartition":
            partition = getattr(cmd.alter_table_cmd, "def").partition_cmd.name
            name = identifier(partition.schemaname, partition.relname)
            row = connection.execute(
                "select inhdetachpending from pg_inherits"
                " where inhrelid = to_regclass(%s) and inhparent = to_regclass(%s)",
                [name, table],
            ).fetchone()
            if row is None:
                return True
            if row[0]:
                say(f"partition {name} was partially detached: detach finalized")
                connection.execute(f"alter table {table} detach partition {name} finalize".encode())
                return True
    return False


def _exists(connection: Connection, name: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [name]).fetchone()
    return bool(row and row[0])
