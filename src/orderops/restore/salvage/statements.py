"""The SQL statements of a salvage script, for psql. Values are written so that they read back unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orderops.migrations.sql.parser import identifier
from orderops.restore.compare.samples import Row
from orderops.restore.compare.sequences import Use
from orderops.restore.compare.snapshots import SESSION_SETTINGS, TEXT_SETTINGS
from orderops.restore.compare.tables import TableSnapshot

SCRIPT_SETTINGS = {**TEXT_SETTINGS, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
COMPARISON_SETTINGS = {name: SESSION_SETTINGS[name] for name in ("TimeZone", "bytea_output")}
# The commit comes last, so a script that was cut off changes nothing.
BEGIN = "\\set ON_ERROR_STOP on\nbegin;\n"
COMMIT = "commit;\n"
# Rows that exist by the time the script runs are left unchanged, which also makes it safe to repeat.
ON_CONFLICT = "\non conflict do nothing;\n"
"""The end of an insert."""


def comment(text: str) -> str:
    """Return a comment line."""
    # A table's name may contain a line break, after which the text would be executed.
    return f"-- {' '.join(text.split())}\n"


def settings(*, compared: bool) -> str:
    """Return the settings on which the text of values depends, until the commit.

    With `compared`, the script also compares values as text, as an update does.
    """
    names = SCRIPT_SETTINGS | (COMPARISON_SETTINGS if compared else {})
    return "".join(f"set local {name} = {literal(value)};\n" for name, value in names.items())


def head(table: TableSnapshot, columns: Sequence[str]) -> str:
    """Return the start of an insert, up to its rows."""
    # Without the clause, PostgreSQL refuses values for a column that is GENERATED ALWAYS AS IDENTITY.
    override = " overriding system value" if any(table.columns[name].identity for name in columns) else ""
    names = ", ".join(identifier("", name) for name in columns)
    return f"insert into {table.spelled} ({names}){override} values\n"


def values(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return the rows of an insert, one a line."""
    return ",\n".join(f"({', '.join(literal(row[name]) for name in columns)})" for row in rows)


def update(table: TableSnapshot, key: Sequence[str], columns: Sequence[str], row: Row, current: Row) -> str:
    """Return the update of a row's changed columns; "" if none can be written.

    It applies only while the row still has its `current` values, so later writes by clients are kept.
    """
    changed = [name for name in columns if row[name] != current[name]]
    if not changed:
        return ""
    assignments = ", ".join(f"{identifier('', name)} = {literal(row[name])}" for name in changed)
    same_key = [f"{identifier('', name)} = {literal(current[name])}" for name in key]
    unchanged = [f"{identifier('', name)}::text is not distinct from {literal(current[name])}" for name in changed]
    return f"update {table.spelled} set {assignments}\n    where {' and '.join([*same_key, *unchanged])};\n"


def set_sequence(use: Use, last: int | None) -> str:
    """Return the statement that moves a sequence past its column's values and past `last`; never backwards."""
    assert use.of_schema and use.table and use.column, "the caller checks that there is a column"
    aggregate, extreme, beyond = ("max", "greatest", ">=") if use.step > 0 else ("min", "least", "<=")
    column = f"(select {aggregate}({identifier('', use.column)}) from {identifier(use.of_schema, use.table)})"
    value = column if last is None else f"{extreme}({column}, {last})"
    sequence = identifier(use.schema, use.name)
    return (
        f"select pg_catalog.setval({literal(sequence)}, v) from (select {value} as v) x"
        f" where v {beyond} (select last_value from {sequence});\n"
    )


def literal(value: str | None) -> str:
    """Return a text as an SQL literal without a type, which it takes from its column."""
    return "null" if value is None else "'" + value.replace("'", "''") + "'"
