"""Files that are over before anybody could look: they go to the server whole, in one way there and back.

A file is brief when all that it touches is small and nothing in it can take long by itself. Where anything goes wrong
with it, it is rolled back and carried out again statement by statement, which finds the place, or the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

SMALL = 64
"""Pages of 8 kB up to which a table is small."""
LONGEST = 20_000
"""Characters."""
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
    """The names of tables and indexes that are not small."""
    rows = connection.execute(  # by what is known already: to measure a table is to wait for its lock
        "select relname from pg_class where relkind in ('r', 'm', 'i')"
        " and (relpages > %s or pg_stat_get_live_tuples(oid) > %s)",
        [SMALL, 100 * SMALL],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def takes_fast_path(file: SqlFile, script: Sequence[Statement], large: Collection[str]) -> bool:
    """Whether a file is over at once; `large` names what is not small."""
    head = file.head
    if len(file.text) > LONGEST or head.no_transaction or head.batch or head.owner:
        return False
    return all(_is_quick(each) and not any(name in large for name in _named(each.tree)) for each in script)


def _is_quick(statement: Statement) -> bool:
    if statement.kind == "insert_stmt":
        return bool(statement.tree.select_stmt.select_stmt.values_lists)
    return statement.kind in KINDS


def _named(message: Any) -> Iterator[str]:
    """Every relation, and every object by name, that a statement speaks of."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for each in value if field.is_repeated else [value]:
            if each.DESCRIPTOR.name == "RangeVar":
                yield each.relname
            elif each.DESCRIPTOR.name == "String":
                yield each.sval
            yield from _named(each)
