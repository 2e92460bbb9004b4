"""Rules about tables as a whole: statements that write, read or hide all of their rows."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.partitions import attached, reads_rows
from orderops.migrations.lint.syntax import (
    column_definition,
    files,
    lines,
    on_purpose,
    plain,
    spelled,
    strings,
    table_of,
    walk,
    with_only,
)
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

WRITES_ROWS = {
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetLogged": "SET LOGGED",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetExpression": "SET EXPRESSION",
}
"""ALTER TABLE commands that write every row anew."""
OF_PARTITIONED = ("AT_SetAccessMethod", "AT_SetTableSpace")
"""Commands that only set a default for new partitions where the table is partitioned."""
HIDES_ROWS = ("AT_EnableRowSecurity", "AT_ForceRowSecurity")
SILENCES = {
    "AT_DisableTrig": "AT_EnableTrig",
    "AT_DisableTrigAll": "AT_EnableTrigAll",
    "AT_DisableTrigUser": "AT_EnableTrigUser",
    "AT_DisableRule": "AT_EnableRule",
}
"""Commands that stop triggers and rules, and those that let them act again."""


def table_rules(context: LintContext) -> Iterator[Finding]:
    """Yield findings about statements that concern every row of a table."""
    for statement in context.statements:
        match statement.kind:
            case "refresh_mat_view_stmt":
                yield from _refresh(context, statement)
            case "alter_table_move_all_stmt":
                why = "every relation of the tablespace is copied, and reads and writes of it wait meanwhile"
                rewrite = on_purpose("rewriting-table", statement.text, rewrites.QUIET)
                yield context.finding("rewriting-table", statement, why, rewrite)
            case "alter_enum_stmt" if context.in_transaction:
                yield from _enum_value(context, statement)
    for command in context.commands:
        table = plain(command.statement.tree.relation)
        if not context.is_new(table, command.statement):
            yield from _of_command(context, command, table)


def _of_command(context: LintContext, command: Command, table: str) -> Iterator[Finding]:
    if command.kind in WRITES_ROWS and not (command.kind in OF_PARTITIONED and table in context.history.partition_keys):
        yield _written(context, command)
    elif command.kind == "AT_AttachPartition":
        yield from _attached(context, command)
    elif command.kind in HIDES_ROWS and table not in _with_policies(context):
        yield _hidden(context, command)
    elif command.kind in SILENCES and not _enabled_again(context, command):
        yield _silenced(context, command)
    elif command.kind == "AT_AddColumn":
        yield from _without_equality(context, command)


def _written(context: LintContext, command: Command) -> Finding:
    name, words = table_of(command.statement.tree.relation), WRITES_ROWS[command.kind]
    if enum_name(command.statement.tree, "objtype") == "OBJECT_INDEX":
        why = f"{words} copies the index {name}, and reads and writes of its table wait meanwhile"
        return context.finding("rewriting-table", command, why, rewrites.moved_index(command))
    why = f"{words} writes every row of {name} anew, and reads and writes wait meanwhile"
    if command.kind == "AT_SetUnLogged":
        why += "; after a crash, and in every restore, the table is empty"
    text = on_purpose("rewriting-table", with_only(command.statement, command.node), rewrites.QUIET)
    return context.finding("rewriting-table", command, why, text)


def _attached(context: LintContext, command: Command) -> Iterator[Finding]:
    part = getattr(command.node, "def").partition_cmd.name
    if context.is_new(plain(part), command.statement):
        return
    if found := reads_rows(context.history, command):
        why = f"{found}, and reads and writes of {table_of(part)} wait meanwhile"
        yield context.finding("attaching-partition", command, why, attached(context.history, command))


def _with_policies(context: LintContext) -> set[str]:
    here = {plain(statement.tree.table) for statement in context.statements if statement.kind == "create_policy_stmt"}
    return context.history.with_policies | here


def _hidden(context: LintContext, command: Command) -> Finding:
    table = table_of(command.statement.tree.relation)
    why = f"no policy of {table} is known: a role that neither owns it nor bypasses row security finds it empty, and"
    why += " its writes are refused"
    return context.finding("enabling-row-security", command, why, rewrites.with_policy(command))


def _enabled_again(context: LintContext, command: Command) -> bool:
    """Whether the same transaction lets the trigger act again; its lock keeps other writers out until then."""
    table = plain(command.statement.tree.relation)
    return context.in_transaction and any(
        other.kind == SILENCES[command.kind]
        and other.begin > command.begin
        and other.node.name == command.node.name
        and plain(other.statement.tree.relation) == table
        for other in context.commands
    )


def _silenced(context: LintContext, command: Command) -> Finding:
    what = f"what {spelled(command.node.name)} does" if command.node.name else "what the triggers do"
    why = f"the running release relies on {what} for {table_of(command.statement.tree.relation)}"
    if command.kind == "AT_DisableTrigAll":
        why += "; foreign keys are not checked either"
    text = with_only(command.statement, command.node)
    comment = "first release a service that does not need it; then silence this rule:"
    return context.finding("disabling-trigger", command, why, on_purpose("disabling-trigger", text, comment))


def _without_equality(context: LintContext, command: Command) -> Iterator[Finding]:
    column = getattr(command.node, "def").column_def
    if strings(column.type_name.names)[-1:] == ["json"] and not column.type_name.array_bounds:
        table, name = table_of(command.statement.tree.relation), spelled(column.colname)
        why = f"json has no equality: SELECT DISTINCT, GROUP BY and UNION of all columns of {table} fail at once"
        rest = column_definition(column, name="c").removeprefix("c ").partition(" ")[2]
        yield context.finding("prefer-jsonb", command, why, f"-- {name} jsonb {rest}".rstrip())


def _refresh(context: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    name = plain(tree.relation)
    if tree.concurrent or context.is_new(name, statement):
        return
    why = f"{table_of(tree.relation)} is written anew, and reads wait meanwhile"
    if tree.skip_data:
        why = f"{table_of(tree.relation)} is emptied, and reads of it fail until the next refresh"
    rewrite = rewrites.refreshed(context.history, statement)
    yield context.finding("refresh-materialized-view", statement, why, rewrite)


def _enum_value(context: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    made = [other for other in context.statements if other.kind == "create_enum_stmt"]
    if tree.old_val or any(strings(other.tree.type_name)[-1] == strings(tree.type_name)[-1] for other in made):
        return
    later = [other for other in context.statements if other.position > statement.position]
    user = next((other for other in later if _uses(other, tree.new_val)), None)
    if user:
        why = f"PostgreSQL refuses the value {tree.new_val!r} before the transaction that adds it is committed"
        before = [other for other in context.statements if other.position < user.position]
        after = [other for other in context.statements if other.position >= user.position]
        rewrite = files(lines(*rewrites.others(before)), lines(*rewrites.others(after)))
        yield context.finding("enum-value-in-transaction", user, why, rewrite)


NAMES_IT = ("alter_enum_stmt", "comment_stmt", "create_function_stmt")
"""Statements in which a text equal to the value does not stand for it, or is not evaluated yet."""


def _uses(statement: Statement, value: str) -> bool:
    if statement.kind in NAMES_IT:
        return False
    texts = (node.sval.sval for field, node in walk(statement.tree) if field == "a_const" and node.HasField("sval"))
    return value in texts or (statement.kind == "do_stmt" and f"'{value}'" in statement.text)
