"""Rows as SQL that psql runs: values are written so that they read back as what they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orderops.migrations.sql.parser import identifier
from orderops.restore.compare.samples import Row
from orderops.restore.compare.sequences import Use
from orderops.restore.compare.snapshots import SESSION_SETTINGS, TEXT_SETTINGS
from orderops.restore.compare.tables import TableSnapshot

READ_AS_WRITTEN = {**TEXT_SETTINGS, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
COMPARED_AS_WRITTEN = {name: SESSION_SETTINGS[name] for name in ("TimeZone", "bytea_output")}
BEGIN = "\\set ON_ERROR_STOP on\nbegin;\n"
"""A script that is cut off changes nothing: what comes last is its commit."""
COMMIT = "commit;\n"
LEFT_ALONE = "\non conflict do nothing;\n"
"""The end of an insert: a row that is there meanwhile stays as it is."""


def comment(text: str) -> str:
    """A line that is not run, whatever a name in it holds."""
    return f"-- {' '.join(text.split())}\n"


def settings(*, compared: bool) -> str:
    """What the text of values depends on, until the commit."""
    every = READ_AS_WRITTEN | (COMPARED_AS_WRITTEN if compared else {})
    return "".join(f"set local {name} = {literal(value)};\n" for name, value in every.items())


def head(table: TableSnapshot, columns: Sequence[str]) -> str:
    """The beginning of an insert, up to its rows."""
    override = " overriding system value" if any(table.columns[name].identity for name in columns) else ""
    names = ", ".join(identifier("", name) for name in columns)
    return f"insert into {table.spelled} ({names}){override} values\n"


def values(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A line for each row."""
    return ",\n".join(f"({', '.join(literal(row[name]) for name in columns)})" for row in rows)


def update(table: TableSnapshot, key: Sequence[str], columns: Sequence[str], row: Row, there: Row) -> str:
    """The values of a row that are others there; a row that was written to meanwhile is left as it is."""
    other = [name for name in columns if row[name] != there[name]]
    if not other:
        return ""
    change = ", ".join(f"{identifier('', name)} = {literal(row[name])}" for name in other)
    found = [f"{identifier('', name)} = {literal(there[name])}" for name in key]
    still = [f"{identifier('', name)}::text is not distinct from {literal(there[name])}" for name in other]
    return f"update {table.spelled} set {change}\n    where {' and '.join([*found, *still])};\n"


def set_sequence(use: Use, last: int | None) -> str:
    """Let a sequence go on behind what its column has and what the other database has given out; never back."""
    assert use.of_schema and use.table and use.column, "a sequence that serves a column"
    end, further, beyond = ("max", "greatest", ">=") if use.step > 0 else ("min", "least", "<=")
    column = f"(select {end}({identifier('', use.column)}) from {identifier(use.of_schema, use.table)})"
    value = column if last is None else f"{further}({column}, {last})"
    sequence = identifier(use.schema, use.name)
    return (
        f"select pg_catalog.setval({literal(sequence)}, v) from (select {value} as v) x"
        f" where v {beyond} (select last_value from {sequence});\n"
    )


def literal(value: str | None) -> str:
    """A text as SQL spells it; the column that it goes to says its type."""
    return "null" if value is None else "'" + value.replace("'", "''") + "'"
