"""The fast path: short files that are sent to the server whole, in one round trip.

A file takes it if all relations it names are small and none of its statements can take long. On any error
it is rolled back and run again statement by statement, which finds the position of the error, or waits for the lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

# 64 pages are 512 kB: even a full rewrite takes a few milliseconds.
SMALL = 64
"""Largest size of a small table, in pages of 8 kB."""
LONGEST = 20_000
"""Longest file, in characters."""
KINDS = {
    "alter_enum_stmt",
    "alter_table_stmt",
    "comment_stmt",
    "create_enum_stmt",
    "create_function_stmt",
    "create_schema_stmt",
    "create_seq_stmt",
    "create_stmt",
    "create_trig_stmt",
    "drop_stmt",
    "grant_stmt",
    "index_stmt",
    "rename_stmt",
    "view_stmt",
}


def large_relations(connection: Connection) -> frozenset[str]:
    """List the names of tables and indexes that are not small."""
    rows = connection.execute(  # from statistics: pg_relation_size would wait for the table's lock
        "select relname from pg_class where relkind in ('r', 'm', 'i')"
        " and (relpages > %s or pg_stat_get_live_tuples(oid) > %s)",
        [SMALL, 100 * SMALL],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def takes_fast_path(file: SqlFile, script: Sequence[Statement], large: Collection[str]) -> bool:
    """Whether a file takes the fast path; `large` is the result of `large_relations`."""
    head = file.head
    if len(file.text) > LONGEST or head.no_transaction or head.batch or head.owner or file.is_dump:
        return False
    return all(
        _is_quick(statement) and not any(name in large for name in _named(statement.tree)) for statement in script
    )


def _is_quick(statement: Statement) -> bool:
    if statement.kind == "insert_stmt":
        return bool(statement.tree.select_stmt.select_stmt.values_lists)
    return statement.kind in KINDS


def _named(message: Any) -> Iterator[str]:
    """Names of all relations and other objects in a statement."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for nested in value if field.is_repeated else [value]:
            if nested.DESCRIPTOR.name == "RangeVar":
                yield nested.relname
            elif nested.DESCRIPTOR.name == "String":
                yield nested.sval
            yield from _named(nested)
