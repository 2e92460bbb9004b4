"""Rules about single statements that squawk does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.column_steps import COSTLY, column_in_steps, is_serial, with_attributes
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import (
    ALONE,
    closed,
    column_definition,
    files,
    kind_of,
    lines,
    plain,
    spelled,
    strings,
    table_of,
    walk,
)
from orderops.migrations.sql.locks import enum_name, is_non_transactional, locks_of
from orderops.migrations.sql.parser import MANAGED_SETTINGS, Statement


def statement_rules(context: LintContext) -> Iterator[Finding]:
    """Yield findings about single statements."""
    for statement in context.statements:
        match statement.kind:
            case "update_stmt" | "delete_stmt":
                yield from _whole_table(context, statement)
            case "truncate_stmt":
                yield from _truncate(context, statement)
            case "vacuum_stmt" | "cluster_stmt":
                yield from _written_anew(context, statement)
            case "lock_stmt":
                yield from _lock(context, statement)
            case "transaction_stmt":
                yield _transaction_control(context, statement)
            case "variable_set_stmt" | "select_stmt":
                yield from _timeout(context, statement)
        if is_non_transactional(statement) and context.in_transaction:
            yield _needs_no_transaction(context, statement)
    for command in context.commands:
        if command.kind == "AT_AddColumn" and not context.is_new(plain(_relation(command)), command.statement):
            yield from _added_column(context, command)


def _whole_table(context: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    table, word = table_of(tree.relation), statement.kind.removesuffix("_stmt")
    if context.head.batch or _chooses_rows(tree) or context.is_new(plain(tree.relation), statement):
        return
    why = f"{word.upper()} without WHERE changes every row of {table} in one transaction: other writers of a row"
    why += " wait until its end, and VACUUM removes nothing meanwhile"
    yield context.finding(f"{word}-without-where", statement, why, _piecewise(context, statement))


def _piecewise(context: LintContext, statement: Statement) -> str:
    tree = statement.tree
    if tree.HasField("with_clause") or tree.HasField("returning_clause"):
        return "-- without WITH and RETURNING, in a file of its own with -- orderops: batch 5000 by id in its head"
    return rewrites.in_pieces(context.history, tree.relation, statement.text)


def _chooses_rows(tree: Any) -> bool:
    """Whether the condition depends on the row; WHERE true does not."""
    return tree.HasField("where_clause") and any(
        field in ("column_ref", "current_of_expr", "sub_link") for field, _ in walk(tree.where_clause)
    )


def _truncate(context: LintContext, statement: Statement) -> Iterator[Finding]:
    relations = [relation.range_var for relation in statement.tree.relations]
    if all(context.is_new(plain(relation), statement) for relation in relations):
        return
    named = ", ".join(map(table_of, relations))
    cascade = enum_name(statement.tree, "behavior") == "DROP_CASCADE"
    more = ", and every table that refers to it" if cascade else ""
    why = f"TRUNCATE takes every row of {named}{more}: no undo restores them, and reads and writes wait meanwhile"
    pieces = [
        rewrites.in_pieces(context.history, relation, f"DELETE FROM {table_of(relation)}") for relation in relations
    ]
    yield context.finding("truncate", statement, why, files(*pieces))


def _written_anew(context: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    if statement.kind == "cluster_stmt":
        named = table_of(tree.relation) if tree.HasField("relation") else "every clustered table"
        why = f"CLUSTER rewrites {named} in another order, and reads and writes wait meanwhile"
        rewrite = "-- remove it: an index in that order serves most queries as well\n"
        rewrite += rewrites.alone(f"VACUUM (ANALYZE) {named};") if tree.HasField("relation") else ""
        yield context.finding("cluster", statement, why, rewrite.rstrip())
    elif "full" in (option.def_elem.defname for option in tree.options):
        relations = [rel.vacuum_relation.relation for rel in tree.rels]
        named = ", ".join(map(table_of, relations))
        why = f"VACUUM FULL rewrites {named or 'every table'}, and reads and writes wait meanwhile"
        rewrite = rewrites.alone(f"VACUUM (ANALYZE) {named};".replace(" ;", ";"))
        yield context.finding("vacuum-full", statement, why, rewrite)


def _lock(context: LintContext, statement: Statement) -> Iterator[Finding]:
    for lock in locks_of(statement)[:1]:
        if lock.mode.stops:
            why = f"LOCK TABLE blocks {lock.mode.stops} of {lock.relation} until the file is done"
            what = "-- remove it: each statement takes the lock that it needs, and orderops waits for it"
            yield context.finding("lock-table", statement, why, what)


def _transaction_control(context: LintContext, statement: Statement) -> Finding:
    word = statement.text.split()[0].rstrip(";").upper()
    why = f"{word} in a file ends the transaction of orderops: a later failure leaves the file partly applied"
    what = "-- remove it; for one transaction per statement, add to the head:"
    return context.finding("transaction-control", statement, why, lines(what, ALONE))


def _timeout(context: LintContext, statement: Statement) -> Iterator[Finding]:
    name = _setting(statement)
    if name not in MANAGED_SETTINGS:
        return
    directive = "lock-timeout 200ms" if name == "lock_timeout" else "statement-timeout 30min"
    why = f"{name} is set by orderops for every statement: a longer wait would block the queries behind it"
    what = "-- remove it; to set another timeout, add to the head:"
    yield context.finding("timeout-in-file", statement, why, lines(what, f"-- orderops: {directive}"))


def _setting(statement: Statement) -> str:
    if statement.kind == "variable_set_stmt":
        return str(statement.tree.name).lower()
    for field, call in walk(statement.tree):
        if field == "func_call" and strings(call.funcname)[-1:] == ["set_config"] and call.args:
            return str(call.args[0].a_const.sval.sval).lower()
    return ""


def _needs_no_transaction(context: LintContext, statement: Statement) -> Finding:
    words = " ".join(statement.text.split()[:3])
    why = f"PostgreSQL cannot run {words} … in a transaction, and this file runs in one, so apply rejects it"
    text = rewrites.concurrently(statement) if statement.kind == "index_stmt" else closed(statement.text)
    return context.finding("needs-no-transaction", statement, why, rewrites.alone(text))


def _added_column(context: LintContext, command: Command) -> Iterator[Finding]:
    column = getattr(command.node, "def").column_def
    table, name = table_of(_relation(command)), spelled(column.colname)
    serial = is_serial(column)
    checked = with_attributes(column).constraints
    if serial:
        definition = column_definition(column, COSTLY)
        why = f"{definition} takes a value for every row: {table} is rewritten, and reads and writes wait"
        yield context.finding("volatile-default", command, why, column_in_steps(context, command))
    elif any(kind_of(node.constraint) == "CONSTR_CHECK" and node.constraint.is_enforced for node in checked):
        why = f"the CHECK of {name} reads every row of {table}, and other reads and writes wait meanwhile"
        yield context.finding("adding-field-with-check", command, why, column_in_steps(context, command))


def _relation(command: Command) -> Any:
    return command.statement.tree.relation
