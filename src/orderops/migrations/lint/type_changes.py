"""Which changes of a column's type PostgreSQL makes in the catalogue alone.

A type that holds every value of the former one, stored in the same form, needs no new row: longer limits, and types
that differ in name only. `tests/migrations/lint/test_type_changes.py` tries every pair on a server.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from orderops.frozen import Frozen
from orderops.migrations.lint.column_steps import SERIAL
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.syntax import plain, strings

SAME_FORM = {
    ("varchar", "text"),
    ("text", "varchar"),
    ("xml", "text"),
    ("xml", "varchar"),
    ("cidr", "inet"),
    ("oid", "regclass"),
    ("regclass", "oid"),
}
"""Pairs stored in the same form, and sorted in the same order, where the new one has no limit."""
SAME_FORM_OTHER_ORDER = {
    ("text", "citext"),
    ("varchar", "citext"),
    ("citext", "text"),
    ("citext", "varchar"),
    ("int4", "oid"),
    ("oid", "int4"),
    ("int4", "regclass"),
    ("regclass", "int4"),
    ("bit", "varbit"),
}
"""Pairs stored in the same form whose indexes are built anew."""
UTC = ("utc", "etc/utc", "gmt")
"""Zones in which timestamp and timestamptz are stored alike (PostgreSQL: TimestampTimestampTzRequiresRewrite)."""
BY_LENGTH = ("varchar", "varbit")
BY_DIGITS = ("timestamp", "timestamptz", "time", "timetz")
MOST_DIGITS = 6
"""Of the fraction of a second; the default."""
ALIASES = {"int": "int4", "integer": "int4", "bigint": "int8", "smallint": "int2", "decimal": "numeric"}
# The parser's bits for the fields of an interval (utils/datetime.h), from the smallest field.
INTERVAL_FIELDS = (1 << 12, 1 << 11, 1 << 10, 1 << 3, 1 << 1, 1 << 2)
ALL_FIELDS = 0x7FFF


class ColumnType(Frozen):
    """A type without its schema, its modifiers, and whether it is an array."""

    name: str
    modifiers: tuple[int, ...]
    array: bool


def without_rewrite(context: LintContext, relation: Any, command: Command) -> bool:
    """Whether ALTER COLUMN TYPE reads and writes no row and no index, as far as the history knows the column."""
    history, table, column = context.history, plain(relation), command.node.name
    if not keeps_rows(context, relation, command):
        return False
    # An expression, a condition and a CHECK are evaluated for every row again.
    if any(column in evaluated for evaluated in history.evaluated(table)):
        return False
    change = getattr(command.node, "def").column_def
    old = column_type(_known_type(history, table, column))
    same_order = _widens(old, _type_of(change.type_name)) and not change.HasField("coll_clause")
    return same_order or column not in history.indexed(table)


def keeps_rows(context: LintContext, relation: Any, command: Command) -> bool:
    """Whether ALTER COLUMN TYPE leaves every row as it is stored; indexes and checks may be made anew."""
    change = getattr(command.node, "def").column_def
    old_text = _known_type(context.history, plain(relation), command.node.name)
    if not old_text or not _is_plain_cast(change, command.node.name):
        return False
    old, new = column_type(old_text), _type_of(change.type_name)
    return _widens(old, new) or _other_order(old, new) or (_same_instants(old, new) and _in_utc(context, command))


def _known_type(history: SchemaHistory, table: str, column: str) -> str:
    text = history.types.get((table, column)) or ""
    return history.domains.get(text, text)


def _in_utc(context: LintContext, command: Command) -> bool:
    """Whether an earlier statement of the file sets the session's time zone to UTC."""
    zone = ""
    for statement in context.statements:
        if statement.position >= command.begin:
            break
        if statement.kind == "variable_set_stmt" and statement.tree.name == "timezone":
            zone = statement.tree.args[0].a_const.sval.sval if statement.tree.args else ""
    return zone.lower() in UTC


@cache
def column_type(text: str) -> ColumnType:
    """Parse a type as spelled in SQL."""
    import postgast

    parsed = postgast.parse(f"SELECT CAST(NULL AS {SERIAL.get(text, text)})")
    return _type_of(parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.type_cast.type_name)


def _type_of(type_name: Any) -> ColumnType:
    name = strings(type_name.names)[-1]
    modifiers = tuple(modifier.a_const.ival.ival for modifier in type_name.typmods)
    return ColumnType(ALIASES.get(name, name), modifiers, bool(type_name.array_bounds))


def _is_plain_cast(change: Any, column: str) -> bool:
    """Whether USING is left out, or says the same: the column, cast to its new type."""
    if not change.HasField("raw_default"):
        return True
    value = change.raw_default
    if value.HasField("type_cast"):
        if _type_of(value.type_cast.type_name) != _type_of(change.type_name):
            return False
        value = value.type_cast.arg
    fields = value.column_ref.fields
    return value.HasField("column_ref") and len(fields) == 1 and fields[0].string.sval == column


def _widens(old: ColumnType, new: ColumnType) -> bool:
    if (old.name, old.array) != (new.name, new.array):
        return not old.array and not new.array and not new.modifiers and (old.name, new.name) in SAME_FORM
    if old.modifiers == new.modifiers or not new.modifiers:
        return True
    if old.array:
        return False
    if old.name in BY_LENGTH:
        return bool(old.modifiers) and new.modifiers >= old.modifiers
    if old.name in BY_DIGITS:
        return new.modifiers[0] >= min([*old.modifiers, MOST_DIGITS])
    if old.name == "numeric":
        return bool(old.modifiers) and new.modifiers[0] >= old.modifiers[0] and _scale(new) == _scale(old)
    return old.name == "interval" and _interval_widens(old.modifiers, new.modifiers)


def _other_order(old: ColumnType, new: ColumnType) -> bool:
    pair = (old.name, new.name)
    return pair in SAME_FORM_OTHER_ORDER and not old.array and not new.array and not new.modifiers


def _same_instants(old: ColumnType, new: ColumnType) -> bool:
    if {old.name, new.name} != {"timestamp", "timestamptz"} or old.array or new.array:
        return False
    return not new.modifiers or new.modifiers[0] >= min([*old.modifiers, MOST_DIGITS])


def _scale(numeric: ColumnType) -> int:
    return numeric.modifiers[1] if len(numeric.modifiers) > 1 else 0


def _interval_widens(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """The rule of PostgreSQL's interval_support: the smallest field and the digits of its fraction may only grow."""
    smallest_old, smallest_new = _smallest_field(old), _smallest_field(new)
    digits_old, digits_new = ((modifiers[1] if len(modifiers) > 1 else MOST_DIGITS) for modifiers in (old, new))
    return smallest_new <= smallest_old and (smallest_old > 0 or digits_new >= digits_old)


def _smallest_field(modifiers: tuple[int, ...]) -> int:
    fields = modifiers[0] if modifiers else ALL_FIELDS
    return next(number for number, field in enumerate(INTERVAL_FIELDS) if fields & field)
