"""Safe alternatives to a statement, with its own table, columns and definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.syntax import (
    ALONE,
    SIZE,
    changed,
    closed,
    constraint_definition,
    constraint_name,
    deparsed,
    files,
    index_name,
    kind_of,
    lines,
    object_name,
    plain,
    spelled,
    strings,
    table_of,
    type_text,
    with_only,
)
from orderops.migrations.sql.parser import Statement

QUIET = "in a quiet hour, and rehearsed first"
MANY = 8
# A rewrite with more statements than this is longer than the screen, so it shows only their number.


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
    # Not …_not_null: PostgreSQL 18 gives that name to the NOT NULL itself, and the CHECK would take it away.
    table, name = table_of(relation), spelled(object_name(relation.relname, [column], "is_set"))
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
    deferred = " DEFERRABLE" if constraint.deferrable else ""
    deferred += " INITIALLY DEFERRED" if constraint.initdeferred else ""
    return [
        unique_index(relation, constraint, name, keys),
        *(line for key in keys if primary for line in kept_from_null(relation, key)),
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {'PRIMARY KEY' if primary else 'UNIQUE'}"
        f" USING INDEX {name}{deferred};",
    ]


def concurrently(index: Statement) -> str:
    """CREATE INDEX CONCURRENTLY, with a name by which an invalid index can be found."""
    return _without_default_method(changed(index, concurrent=True, idxname=index_name(index.tree)))


def concurrently_on(index: Statement, relation: Any) -> str:
    """The same index on another table, under the name that PostgreSQL would give it."""
    import postgast

    copy = type(index.tree)()
    copy.CopyFrom(index.tree)
    copy.relation.CopyFrom(relation)
    copy.idxname = ""
    parsed = postgast.parse("CREATE INDEX ON t (a)")
    tree = parsed.stmts[0].stmt.index_stmt
    tree.CopyFrom(copy)
    tree.concurrent, tree.idxname = True, index_name(copy)
    return _without_default_method(deparsed(parsed))


def unique_index(relation: Any, constraint: Any, name: str, keys: Sequence[str]) -> str:
    """The index of a UNIQUE or PRIMARY KEY, built concurrently."""
    import postgast

    columns = ", ".join(map(spelled, keys))
    parsed = postgast.parse(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table_of(relation)} ({columns})")
    index = parsed.stmts[0].stmt.index_stmt
    for including in strings(constraint.including):
        index.index_including_params.add().index_elem.name = including
    index.options.extend(constraint.options)
    index.table_space, index.nulls_not_distinct = constraint.indexspace, constraint.nulls_not_distinct
    return _without_default_method(deparsed(parsed))


def _without_default_method(text: str) -> str:
    # The deparser writes the default method, which is noise in a proposal.
    return text.replace(" USING btree (", " (", 1) + ";"


def retyped(context: LintContext, command: Command) -> str:
    """A new column of the new type, filled in batches."""
    relation, change = command.statement.tree.relation, getattr(command.node, "def").column_def
    old, new, column_type = spelled(command.node.name), spelled(f"{command.node.name}_new"), type_text(change.type_name)
    value = expression(change.raw_default) if change.HasField("raw_default") else f"CAST({old} AS {column_type})"
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


def dropped_alone(statement: Statement) -> str:
    """DROP INDEX CONCURRENTLY, which takes one index at a time."""
    named = [strings(dropped.list.items)[-2:] for dropped in statement.tree.objects]
    return alone(*(f"DROP INDEX CONCURRENTLY {spelled(*parts)};" for parts in named))


def detached(context: LintContext, command: Command) -> str:
    """DETACH PARTITION CONCURRENTLY, without the CHECK that it leaves on the partition."""
    parent, part = command.statement.tree.relation, getattr(command.node, "def").partition_cmd.name
    text = f"{with_only(command.statement, command.node)} CONCURRENTLY;"
    if not (key := context.history.partition_keys.get(plain(parent))):
        return alone(text, f"-- drop the CHECK that this leaves on {table_of(part)}")
    check = spelled(object_name(part.relname, key.columns if len(key.columns) == 1 else [], "check"))
    return alone(text, f"ALTER TABLE {table_of(part)} DROP CONSTRAINT {check};")


def moved_index(command: Command) -> str:
    """REINDEX CONCURRENTLY into another tablespace."""
    index = table_of(command.statement.tree.relation)
    return alone(f"REINDEX (TABLESPACE {spelled(command.node.name)}, CONCURRENTLY) INDEX {index};")


def with_policy(command: Command) -> str:
    """Row security with a policy that admits every row, as before."""
    relation = command.statement.tree.relation
    policy = spelled(object_name(relation.relname, [], "as_before"))
    return lines(
        f"CREATE POLICY {policy} ON {table_of(relation)} USING (true);",
        f"{with_only(command.statement, command.node)};",
        "-- narrow the policy when the running release names what it may see",
    )


def refreshed(history: SchemaHistory, statement: Statement) -> str:
    """REFRESH CONCURRENTLY, for which the view needs a unique index."""
    name, view = plain(statement.tree.relation), table_of(statement.tree.relation)
    text = f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view};"
    if any(index.table == name and index.unique for index in history.index_columns.values()):
        return text
    return lines(f"-- needs a unique index on columns of {view}, without a condition, built by an earlier file", text)


def reindexed(statement: Statement) -> str:
    """REINDEX CONCURRENTLY."""
    import postgast

    parsed = postgast.parse(statement.text)
    parsed.stmts[0].stmt.reindex_stmt.params.add().def_elem.defname = "concurrently"
    return alone(f"{deparsed(parsed)};")


def expression(node: Any) -> str:
    """An expression as spelled in SQL."""
    import postgast

    parsed = postgast.parse("SELECT 1")
    parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return deparsed(parsed).removeprefix("SELECT ")
