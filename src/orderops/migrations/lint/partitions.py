"""ATTACH PARTITION: when PostgreSQL reads every row of the new partition, and how to let it read them before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import Command
from orderops.migrations.lint.schema_history import IndexColumns, PartitionKey, SchemaHistory
from orderops.migrations.lint.syntax import closed, object_name, plain, spelled, table_of, with_only
from orderops.migrations.sql.parser import Statement

UNBOUNDED = ("minvalue", "maxvalue")


def reads_rows(history: SchemaHistory, command: Command) -> str:
    """Why ATTACH PARTITION reads rows, as far as the history knows the tables; empty if it does not."""
    parent, part = command.statement.tree.relation, getattr(command.node, "def").partition_cmd.name
    parts = [(plain(part), "")]
    if default := history.default_partitions.get(plain(parent)):
        parts.append((default, "NOT "))
    bound = getattr(command.node, "def").partition_cmd.bound
    unproven = [name for name, negated in parts if not _proven(history, parent, bound, name, negated)]
    built = _missing_indexes(history, parent, part)
    reasons = [f"every row of {name} is checked against the bounds" for name in unproven]
    return "; ".join([*reasons, *(f"an index like {name} is built on {table_of(part)}" for name in built)])


def attached(history: SchemaHistory, command: Command) -> str:
    """ATTACH PARTITION after a validated CHECK that says the same as the bounds."""
    parent, part = command.statement.tree.relation, getattr(command.node, "def").partition_cmd.name
    attach = f"{with_only(command.statement, command.node)};"
    bounds = _bounds(history, parent, getattr(command.node, "def").partition_cmd.bound)
    if not bounds:
        return rewrites.alone(
            f"-- first add a CHECK that says the same as the bounds to {table_of(part)}, NOT VALID, and VALIDATE it,",
            f"-- and build there what corresponds to the indexes of {table_of(parent)}:",
            "-- squawk-ignore attaching-partition",
            attach,
        )
    default = history.default_partitions.get(plain(parent))
    checks = [(table_of(part), part.relname, f"({bounds})")]
    if default:
        checks.append((spelled(*default.split(".")), default.rpartition(".")[2], f"(NOT ({bounds}))"))
    ends = [f"ALTER TABLE {table} DROP CONSTRAINT {_check_name(name)};" for table, name, _ in checks]
    return rewrites.alone(
        *(line for table, name, check in checks for line in _validated(table, _check_name(name), check)),
        *_indexes(history, parent, part),
        "-- squawk-ignore attaching-partition",
        attach,
        *ends,
    )


def _validated(table: str, name: str, check: str) -> Iterator[str]:
    yield f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK {check} NOT VALID;"
    yield f"ALTER TABLE {table} VALIDATE CONSTRAINT {name};"


def _missing_indexes(history: SchemaHistory, parent: Any, part: Any) -> dict[str, IndexColumns]:
    """Indexes of the partitioned table that the partition has no counterpart of."""
    known = [index.columns for index in history.index_columns.values() if index.table == plain(part)]
    of_parent = {name: index for name, index in history.index_columns.items() if index.table == plain(parent)}
    return {name: index for name, index in of_parent.items() if index.columns not in known}


def _indexes(history: SchemaHistory, parent: Any, part: Any) -> Iterator[str]:
    for name, index in _missing_indexes(history, parent, part).items():
        if index.made_by:
            yield rewrites.concurrently_on(index.made_by, part)
        else:
            yield f"-- first give {table_of(part)} a constraint like {name}, by an index built concurrently"


def _check_name(table: str) -> str:
    return spelled(object_name(table, [], "bounds"))


def unproven_default(history: SchemaHistory, parent: Any, bound: Any) -> str:
    """The default partition, if PostgreSQL reads it for a new partition with these bounds; else empty."""
    default = history.default_partitions.get(plain(parent), "")
    return default if default and not _proven(history, parent, bound, default, "NOT ") else ""


def added_beside_default(history: SchemaHistory, statement: Statement, default: str) -> str:
    """CREATE TABLE … PARTITION OF after a validated CHECK of the default partition."""
    tree = statement.tree
    bounds = _bounds(history, tree.inh_relations[0].range_var, tree.partbound)
    create = ["-- squawk-ignore attaching-partition", closed(statement.text)]
    if not bounds:
        return rewrites.alone(f"-- first add a CHECK to {default} that excludes the bounds, and VALIDATE it:", *create)
    table, name = spelled(*default.split(".")), _check_name(default.rpartition(".")[2])
    ending = f"ALTER TABLE {table} DROP CONSTRAINT {name};"
    return rewrites.alone(*_validated(table, name, f"(NOT ({bounds}))"), *create, ending)


def _proven(history: SchemaHistory, parent: Any, bound: Any, table: str, negated: str) -> bool:
    """Whether a validated CHECK of the table says what the bounds say."""
    bounds = _bounds(history, parent, bound)
    if not bounds:
        return False
    import postgast

    parsed = postgast.parse(f"SELECT {negated}({bounds})")
    wanted = rewrites.expression(parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val)
    checks = [expr for (owner, _), expr in history.checked.items() if owner == table]
    key = history.partition_keys[plain(parent)]
    found = {part for expr in checks for part in _conjuncts(expr)}
    if not negated and (table, key.columns[0]) in history.filled:
        found.add(f"{spelled(key.columns[0])} IS NOT NULL")
    return wanted in found or set(_conjuncts_of_text(wanted)) <= found


def _conjuncts(expression: Any) -> Iterator[str]:
    """The parts of a condition that all hold, and the condition itself."""
    yield rewrites.expression(expression)
    if expression.HasField("bool_expr") and expression.bool_expr.boolop == 1:
        for part in expression.bool_expr.args:
            yield from _conjuncts(part)


def _conjuncts_of_text(text: str) -> list[str]:
    import postgast

    parsed = postgast.parse(f"SELECT {text}")
    value = parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val
    return [part for part in _conjuncts(value) if part != text] or [text]


def _bounds(history: SchemaHistory, parent: Any, bound: Any) -> str:
    """The bounds as a condition, for a key of one column; empty for others."""
    key = history.partition_keys.get(plain(parent))
    if key is None or len(key.columns) != 1 or not key.columns[0] or bound.is_default:
        return ""
    return _range(key, bound) if key.strategy == "RANGE" else _list(key, bound) if key.strategy == "LIST" else ""


def _range(key: PartitionKey, bound: Any) -> str:
    column = spelled(key.columns[0])
    parts = [f"{column} IS NOT NULL"]
    for datums, operator in ((bound.lowerdatums, ">="), (bound.upperdatums, "<")):
        value = rewrites.expression(datums[0])
        if value.lower() not in UNBOUNDED:
            parts.append(f"{column} {operator} {value}")
    return " AND ".join(parts)


def _list(key: PartitionKey, bound: Any) -> str:
    column = spelled(key.columns[0])
    values = [rewrites.expression(datum) for datum in bound.listdatums]
    given = [value for value in values if value != "NULL"]
    among = f"{column} IN ({', '.join(given)})" if given else ""
    if len(given) == len(values):
        return f"{column} IS NOT NULL AND {among}"
    return f"{column} IS NULL OR {among}" if among else f"{column} IS NULL"
