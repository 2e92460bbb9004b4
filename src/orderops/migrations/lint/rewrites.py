"""Safe alternatives to a statement, with its own table, columns and definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.syntax import (
    ALONE,
    LONGEST_NAME,
    SIZE,
    changed,
    closed,
    column_definition,
    constraint_definition,
    constraint_name,
    deparsed,
    files,
    index_name,
    kind_of,
    lines,
    plain,
    spelled,
    strings,
    table_of,
    type_text,
)
from orderops.migrations.sql.parser import Statement

COSTLY = frozenset(
    {
        "CONSTR_NOTNULL",
        "CONSTR_DEFAULT",
        "CONSTR_IDENTITY",
        "CONSTR_GENERATED",
        "CONSTR_CHECK",
        "CONSTR_PRIMARY",
        "CONSTR_UNIQUE",
        "CONSTR_FOREIGN",
    }
)
"""Constraints to leave out when a column is added."""
MANY = 8
# A rewrite with more statements than this is longer than the screen, so it shows only their number.
SERIAL = {"serial": "int", "bigserial": "bigint", "smallserial": "smallint"}


def in_pieces(history: SchemaHistory, relation: Any, statement: str) -> str:
    """A file that changes many rows in batches."""
    return lines(f"-- orderops: batch {SIZE} by {spelled(history.key(plain(relation)))}", closed(statement))


def alone(*statements: str) -> str:
    """A file that runs each statement outside a transaction."""
    return lines(ALONE, *statements)


def same_alone(context: LintContext) -> str:
    """The same file without a transaction."""
    return alone(*others(context.statements))


def others(statements: Sequence[Statement]) -> list[str]:
    """The statements unchanged; only their number if there are many."""
    if len(statements) > MANY:
        return [f"-- and the {len(statements)} statements as they are"]
    return [closed(statement.text) for statement in statements]


def kept_from_null(relation: Any, column: str) -> list[str]:
    """SET NOT NULL that reads no row under its lock: PostgreSQL relies on a validated CHECK."""
    table, name = table_of(relation), spelled(f"{relation.relname}_{column}_not_null"[:LONGEST_NAME])
    named = spelled(column)
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({named} IS NOT NULL) NOT VALID;",
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {name};",
        f"ALTER TABLE {table} ALTER COLUMN {named} SET NOT NULL;",
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    ]


def validated(relation: Any, constraint: Any, column: str = "") -> list[str]:
    """A constraint added as NOT VALID and validated without blocking clients."""
    name = constraint_name(relation.relname, constraint, column)
    return [
        f"ALTER TABLE {table_of(relation)} ADD {constraint_definition(constraint, name, column=column)};",
        f"ALTER TABLE {table_of(relation)} VALIDATE CONSTRAINT {spelled(name)};",
    ]


def by_index(relation: Any, constraint: Any, column: str = "") -> list[str]:
    """UNIQUE or PRIMARY KEY with an index built concurrently."""
    table, name = table_of(relation), spelled(constraint_name(relation.relname, constraint, column))
    keys = strings(constraint.keys) or [column]
    primary = kind_of(constraint) == "CONSTR_PRIMARY"
    including = strings(constraint.including)
    included = f" INCLUDE ({', '.join(map(spelled, including))})" if including else ""
    distinct = " NULLS NOT DISTINCT" if constraint.nulls_not_distinct else ""
    deferred = " DEFERRABLE" if constraint.deferrable else ""
    deferred += " INITIALLY DEFERRED" if constraint.initdeferred else ""
    return [
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({', '.join(map(spelled, keys))}){included}{distinct};",
        *(line for key in keys if primary for line in kept_from_null(relation, key)),
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {'PRIMARY KEY' if primary else 'UNIQUE'}"
        f" USING INDEX {name}{deferred};",
    ]


def concurrently(index: Statement) -> str:
    """CREATE INDEX CONCURRENTLY, with a name by which an invalid index can be found."""
    text = changed(index, concurrent=True, idxname=index_name(index.tree))
    # The deparser writes the default method, which is noise in a proposal.
    return text.replace(" USING btree (", " (", 1) + ";"


def column_in_steps(context: LintContext, command: Command) -> str:
    """ADD COLUMN in steps: without constraints, filled in batches, then constrained."""
    relation, column = command.statement.tree.relation, getattr(command.node, "def").column_def
    table, name = table_of(relation), spelled(column.colname)
    constraints = {kind_of(constraint.constraint): constraint.constraint for constraint in column.constraints}
    begins, filling = _filling(relation, column, constraints)
    ends = [
        line
        for constraint in column.constraints
        for line in _constrained(relation, column.colname, constraint.constraint)
    ]
    if "CONSTR_NOTNULL" not in constraints and _serial(column):
        ends = [*kept_from_null(relation, column.colname), *ends]
    ends = list(dict.fromkeys(ends))
    first = [f"ALTER TABLE {table} ADD COLUMN {bare(column)};", *begins]
    if not filling and "CONSTR_NOTNULL" not in constraints:
        if not any("CREATE UNIQUE INDEX" in end or "VALIDATE" in end for end in ends):
            return lines(*first, *ends)
        return alone(*first, *ends)
    texts = [lines(*first)]
    if filling:
        texts.append(in_pieces(context.history, relation, f"UPDATE {table} SET {filling} WHERE {name} IS NULL"))
    elif ends:
        ends = [f"-- after the running release writes {name} and the existing rows are filled:", *ends]
    return files(*texts, *([alone(*ends)] if ends else []))


def bare(column: Any) -> str:
    """Name and type of a column, without constraints that read or write rows."""
    named = strings(column.type_name.names)[-1:]
    if named and named[0] in SERIAL:
        return f"{spelled(column.colname)} {SERIAL[named[0]]}"
    return column_definition(column, COSTLY)


def retyped(context: LintContext, command: Command) -> str:
    """A new column of the new type, filled in batches."""
    relation, change = command.statement.tree.relation, getattr(command.node, "def").column_def
    old, new, column_type = spelled(command.node.name), spelled(f"{command.node.name}_new"), type_text(change.type_name)
    value = _expression(change.raw_default) if change.HasField("raw_default") else f"CAST({old} AS {column_type})"
    table = table_of(relation)
    return files(
        lines(
            f"ALTER TABLE {table} ADD COLUMN {new} {column_type};",
            f"-- release a service that writes {new} too; then, in files of their own:",
        ),
        in_pieces(context.history, relation, f"UPDATE {table} SET {new} = {value} WHERE {new} IS NULL"),
        lines(
            f"-- after a release that reads {new} and no longer {old}:",
            "-- squawk-ignore ban-drop-column",
            f"ALTER TABLE {table} DROP COLUMN {old};",
        ),
    )


def renamed_column(context: LintContext, statement: Statement) -> str:
    """A new column with the new name, filled in batches."""
    tree = statement.tree
    table, old, new = table_of(tree.relation), spelled(tree.subname), spelled(tree.newname)
    column_type = context.history.types.get((plain(tree.relation), tree.subname), "")
    add = (
        f"ALTER TABLE {table} ADD COLUMN {new} {column_type};"
        if column_type
        else f"-- add {new} with the type of {old}"
    )
    return files(
        lines(add, f"-- release a service that writes {new} too; then, in files of their own:"),
        in_pieces(context.history, tree.relation, f"UPDATE {table} SET {new} = {old} WHERE {new} IS NULL"),
        lines(
            f"-- after a release that reads {new} and no longer {old}:",
            "-- squawk-ignore ban-drop-column",
            f"ALTER TABLE {table} DROP COLUMN {old};",
        ),
    )


def renamed_table(statement: Statement) -> str:
    """RENAME with a view under the old name, through which simple tables can be written too."""
    tree = statement.tree
    new = spelled(tree.relation.schemaname, tree.newname)
    return lines(
        "-- squawk-ignore renaming-table",
        closed(statement.text),
        f"CREATE VIEW {table_of(tree.relation)} AS SELECT * FROM {new};",
    )


def reindexed(statement: Statement) -> str:
    """REINDEX CONCURRENTLY."""
    import postgast

    parsed = postgast.parse(statement.text)
    parsed.stmts[0].stmt.reindex_stmt.params.add().def_elem.defname = "concurrently"
    return alone(f"{deparsed(parsed)};")


def _serial(column: Any) -> bool:
    return bool(set(strings(column.type_name.names)) & SERIAL.keys())


def _filling(relation: Any, column: Any, constraints: dict[str, Any]) -> tuple[list[str], str]:
    """SQL that gives new rows a value, and the assignment that fills existing rows."""
    table, name = table_of(relation), spelled(column.colname)
    alter = f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT"
    if _serial(column) or "CONSTR_IDENTITY" in constraints:
        sequence = spelled(relation.schemaname, f"{relation.relname}_{column.colname}_seq"[:LONGEST_NAME])
        called = sequence.replace("'", "''")
        begins = [f"CREATE SEQUENCE {sequence} OWNED BY {table}.{name};", f"{alter} nextval('{called}');"]
        return begins, f"{name} = DEFAULT"
    if default := constraints.get("CONSTR_DEFAULT"):
        return [f"{alter} {_expression(default.raw_expr)};"], f"{name} = DEFAULT"
    if generated := constraints.get("CONSTR_GENERATED"):
        note = f"-- the service, or a trigger, writes {name} from now on"
        return [note], f"{name} = {_expression(generated.raw_expr)}"
    return [], ""


def _constrained(relation: Any, column: str, constraint: Any) -> list[str]:
    match kind_of(constraint):
        case "CONSTR_NOTNULL":
            return kept_from_null(relation, column)
        case "CONSTR_CHECK" | "CONSTR_FOREIGN":
            return validated(relation, constraint, column)
        case "CONSTR_PRIMARY" | "CONSTR_UNIQUE":
            return by_index(relation, constraint, column)
    return []


def _expression(node: Any) -> str:
    import postgast

    parsed = postgast.parse("SELECT 1")
    parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return deparsed(parsed).removeprefix("SELECT ")
