"""The tables that migrations touch and that are there before: how they are called, and how a row of one is found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import locks_of
from orderops.migrations.sql.parser import Statement, identifier
from orderops.migrations.sql.validation import checked

if TYPE_CHECKING:
    from psycopg import Connection

NAME = re.compile(r"(?:\b(\w+)\.)?\b(\w+)\b")
DRAWN = 500
"""Rows of a table whose keys are drawn."""
TABLE: LiteralString = """
select c.oid::int8, c.oid::regclass::text, greatest(c.reltuples, 0)::float8,
    coalesce((select array(select attname::text from unnest(i.indkey::int2[]) k(n) join pg_attribute a
                           on a.attrelid = c.oid and a.attnum = k.n)
        from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indexprs is null and (i.indisprimary or not exists (select from unnest(i.indkey::int2[]) k(n)
                join pg_attribute a on a.attrelid = c.oid and a.attnum = k.n where not a.attnotnull))
        order by i.indisprimary desc, i.indexrelid limit 1), '{}')
from pg_class c where c.relkind in ('r', 'p') and c.relpersistence <> 't' and c.oid = coalesce(
    (select i.indrelid from pg_index i where i.indexrelid = to_regclass(%(name)s)), to_regclass(%(name)s))
"""
COLUMNS: LiteralString = """
select a.attname::text, format_type(a.atttypid, null), a.attgenerated <> '' from pg_attribute a
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum
"""


@dataclass(frozen=True)
class ColumnDefinition:
    """One column of a table."""

    name: str
    type: str
    generated: bool


@dataclass(frozen=True)
class TableDefinition:
    """A table that is there."""

    number: int
    name: str
    """As SQL spells it, with its schema where that is not on the search path."""
    rows: float
    """About how many."""
    key: tuple[str, ...]
    """Columns that tell every row from every other; none where nothing does."""
    columns: tuple[ColumnDefinition, ...]

    @property
    def key_types(self) -> list[str]:
        """The types of the key's columns."""
        types = {column.name: column.type for column in self.columns}
        return [types[name] for name in self.key]


def touched(connection: Connection, files: Iterable[SqlFile]) -> list[TableDefinition]:
    """The tables that statements name, each once; of a body of DO every word may be a table, of a function none is."""
    found: dict[int, TableDefinition] = {}
    for file in files:
        for statement in checked(file):
            for schema, name in _named(statement):
                table = table_called(connection, identifier(schema, name))
                if table:
                    found.setdefault(table.number, table)
    return list(found.values())


def table_called(connection: Connection, name: str) -> TableDefinition | None:
    """The table of that name, as SQL spells it, or the one that an index of that name is of."""
    row = connection.execute(TABLE, {"name": name}).fetchone()
    if row is None:
        return None
    columns = tuple(ColumnDefinition(*each) for each in connection.execute(COLUMNS, [row[0]]))
    return TableDefinition(row[0], row[1], row[2], tuple(row[3]), columns)


def draw(connection: Connection, table: TableDefinition) -> list[list[str | None]]:
    """Keys of rows from all over a table, as text."""
    keys = ", ".join(identifier("", each) for each in table.key)
    share = min(100.0, 100 * 40 * DRAWN / max(1.0, table.rows))
    sampled = f"select {keys} from {table.name} tablesample system ({share:.6f})"
    rows = drawn(connection, f"select * from ({sampled}) s order by random() limit {DRAWN}") if share < 100 else []
    return rows or drawn(connection, f"select {keys} from {table.name} limit {DRAWN}")


def drawn(connection: Connection, query: str) -> list[list[str | None]]:
    """The rows that a query gives, each value as the server writes it."""
    result = connection.execute(query.encode()).pgresult
    if result is None:
        return []
    return [
        [
            None if (value := result.get_value(row, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        for row in range(min(result.ntuples, DRAWN))
    ]


def _named(statement: Statement) -> Iterator[tuple[str, str]]:
    for lock in locks_of(statement):
        yield lock.schema, lock.name
    yield from _relations(statement.node)
    if statement.kind == "do_stmt":
        yield from ((schema, name) for schema, name in set(NAME.findall(statement.text)))


def _relations(node: Any) -> Iterator[tuple[str, str]]:
    for field, value in node.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for each in value if field.is_repeated else [value]:
            if each.DESCRIPTOR.name == "RangeVar":
                yield each.schemaname, each.relname
            else:
                yield from _relations(each)


def names_in(files: Iterable[SqlFile]) -> set[str]:
    """Every word of some files: a column that none of them names is one that none of them changes."""
    return {word.strip('"').lower() for file in files for word in _words(file)}


def _words(file: SqlFile) -> Sequence[str]:
    return re.findall(r'"[^"]+"|\w+', file.text)
