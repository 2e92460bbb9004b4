"""Existing tables that migrations touch: their names, columns and keys, and sampled keys of their rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.frozen import Frozen
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import locks_of
from orderops.migrations.sql.parser import Statement, identifier
from orderops.migrations.sql.validation import checked

if TYPE_CHECKING:
    from psycopg import Connection

NAME = re.compile(r"(?:\b(\w+)\.)?\b(\w+)\b")
SAMPLE_SIZE = 500
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


class ColumnDefinition(Frozen):
    """One column of a table."""

    name: str
    type: str
    generated: bool


class TableDefinition(Frozen):
    """An existing table."""

    number: int
    name: str
    """As SQL spells it, with its schema if that is not on the search path."""
    rows: float
    """Estimated number of rows."""
    key: tuple[str, ...]
    """Columns of a unique, non-null key; empty if there is none."""
    columns: tuple[ColumnDefinition, ...]

    @property
    def key_types(self) -> list[str]:
        """Types of the key's columns."""
        types = {column.name: column.type for column in self.columns}
        return [types[name] for name in self.key]


def tables_touched(connection: Connection, files: Iterable[SqlFile]) -> list[TableDefinition]:
    """Existing tables that statements name. In a DO body every word may be a table; function bodies are not read."""
    found: dict[int, TableDefinition] = {}
    for file in files:
        for statement in checked(file):
            for schema, name in _named(statement):
                table = find_table(connection, identifier(schema, name))
                if table:
                    found.setdefault(table.number, table)
    return list(found.values())


def find_table(connection: Connection, name: str) -> TableDefinition | None:
    """The table with a name, as SQL spells it, or the table of an index with that name."""
    row = connection.execute(TABLE, {"name": name}).fetchone()
    if row is None:
        return None
    columns = tuple(ColumnDefinition(*column) for column in connection.execute(COLUMNS, [row[0]]))
    return TableDefinition(row[0], row[1], row[2], tuple(row[3]), columns)


def sample_keys(connection: Connection, table: TableDefinition) -> list[list[str | None]]:
    """Keys of rows from all parts of a table, as text."""
    keys = ", ".join(identifier("", column) for column in table.key)
    # 40 times as many rows as needed, since TABLESAMPLE SYSTEM picks whole pages, which hold neighbouring rows.
    share = min(100.0, 100 * 40 * SAMPLE_SIZE / max(1.0, table.rows))
    sampled = f"select {keys} from {table.name} tablesample system ({share:.6f})"
    rows = (
        fetch_text(connection, f"select * from ({sampled}) s order by random() limit {SAMPLE_SIZE}")
        if share < 100
        else []
    )
    return rows or fetch_text(connection, f"select {keys} from {table.name} limit {SAMPLE_SIZE}")


def fetch_text(connection: Connection, query: str) -> list[list[str | None]]:
    """The first rows of a query, each value as the server's text."""
    result = connection.execute(query.encode()).pgresult
    if result is None:
        return []
    return [
        [
            None if (value := result.get_value(row, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        for row in range(min(result.ntuples, SAMPLE_SIZE))
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
        for child in value if field.is_repeated else [value]:
            if child.DESCRIPTOR.name == "RangeVar":
                yield child.schemaname, child.relname
            else:
                yield from _relations(child)


def names_in(files: Iterable[SqlFile]) -> set[str]:
    """Every word of some files: a column that no word names is not changed by them."""
    return {word.strip('"').lower() for file in files for word in _words(file)}


def _words(file: SqlFile) -> Sequence[str]:
    return re.findall(r'"[^"]+"|\w+', file.text)
