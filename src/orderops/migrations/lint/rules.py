"""Statements that hurt by themselves and that squawk does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
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
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import OURS


def statement_rules(reading: LintContext) -> Iterator[Finding]:
    """What each statement does by itself."""
    for statement in reading.statements:
        match statement.kind:
            case "update_stmt" | "delete_stmt":
                yield from _whole_table(reading, statement)
            case "truncate_stmt":
                yield from _truncate(reading, statement)
            case "vacuum_stmt" | "cluster_stmt":
                yield from _written_anew(reading, statement)
            case "lock_stmt":
                yield from _lock(reading, statement)
            case "transaction_stmt":
                yield _transaction_control(reading, statement)
            case "variable_set_stmt" | "select_stmt":
                yield from _timeout(reading, statement)
        if is_non_transactional(statement) and reading.in_transaction:
            yield _needs_no_transaction(reading, statement)
    for command in reading.commands:
        if command.kind == "AT_AddColumn" and not reading.is_new(plain(_relation(command)), command.statement):
            yield from _added_column(reading, command)


def _whole_table(reading: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    table, word = table_of(tree.relation), statement.kind.removesuffix("_stmt")
    if reading.head.batch or _chooses_rows(tree) or reading.is_new(plain(tree.relation), statement):
        return
    why = f"{word.upper()} without WHERE changes every row of {table} in one transaction: whoever wants to change one"
    why += " waits until its end, and nothing can be vacuumed meanwhile"
    yield reading.finding(f"{word}-without-where", statement, why, _piecewise(reading, statement))


def _piecewise(reading: LintContext, statement: Statement) -> str:
    tree = statement.tree
    if tree.HasField("with_clause") or tree.HasField("returning_clause"):
        return "-- without WITH and RETURNING, in a file of its own with -- orderops: batch 5000 by id in its head"
    return rewrites.in_pieces(reading.history, tree.relation, statement.text)


def _chooses_rows(tree: Any) -> bool:
    """Whether the condition looks at a row at all; WHERE true does not."""
    return tree.HasField("where_clause") and any(
        field in ("column_ref", "current_of_expr", "sub_link") for field, _ in walk(tree.where_clause)
    )


def _truncate(reading: LintContext, statement: Statement) -> Iterator[Finding]:
    relations = [relation.range_var for relation in statement.tree.relations]
    if all(reading.is_new(plain(relation), statement) for relation in relations):
        return
    named = ", ".join(map(table_of, relations))
    cascade = enum_name(statement.tree, "behavior") == "DROP_CASCADE"
    more = ", and every table that refers to it" if cascade else ""
    why = f"TRUNCATE takes every row of {named}{more}: no undo brings them back, and nobody reads or writes meanwhile"
    pieces = [
        rewrites.in_pieces(reading.history, relation, f"DELETE FROM {table_of(relation)}") for relation in relations
    ]
    yield reading.finding("truncate", statement, why, files(*pieces))


def _written_anew(reading: LintContext, statement: Statement) -> Iterator[Finding]:
    tree = statement.tree
    if statement.kind == "cluster_stmt":
        named = table_of(tree.relation) if tree.HasField("relation") else "every clustered table"
        why = f"CLUSTER writes {named} anew in another order, and nobody reads or writes it meanwhile"
        rewrite = "-- leave it out: an index in that order serves most queries as well\n"
        rewrite += rewrites.alone(f"VACUUM (ANALYZE) {named};") if tree.HasField("relation") else ""
        yield reading.finding("cluster", statement, why, rewrite.rstrip())
    elif "full" in (option.def_elem.defname for option in tree.options):
        relations = [rel.vacuum_relation.relation for rel in tree.rels]
        named = ", ".join(map(table_of, relations))
        why = f"VACUUM FULL writes {named or 'every table'} anew, and nobody reads or writes it meanwhile"
        rewrite = rewrites.alone(f"VACUUM (ANALYZE) {named};".replace(" ;", ";"))
        yield reading.finding("vacuum-full", statement, why, rewrite)


def _lock(reading: LintContext, statement: Statement) -> Iterator[Finding]:
    for lock in locks_of(statement)[:1]:
        if lock.mode.stops:
            why = f"LOCK TABLE keeps out {lock.mode.stops} of {lock.relation} until the file is done"
            what = "-- leave it out: each statement takes the lock that it needs, and orderops waits for it"
            yield reading.finding("lock-table", statement, why, what)


def _transaction_control(reading: LintContext, statement: Statement) -> Finding:
    word = statement.text.split()[0].rstrip(";").upper()
    why = f"{word} in a file ends the transaction in which orderops runs it: a failure behind it leaves half of it done"
    what = "-- take it out; for one transaction a statement, in the head:"
    return reading.finding("transaction-control", statement, why, lines(what, ALONE))


def _timeout(reading: LintContext, statement: Statement) -> Iterator[Finding]:
    name = _setting(statement)
    if name not in OURS:
        return
    directive = "lock-timeout 200ms" if name == "lock_timeout" else "statement-timeout 30min"
    why = f"{name} is set by orderops for every statement: a wait without limit stops those behind it"
    what = "-- take it out; another limit than the usual one stands in the head:"
    yield reading.finding("timeout-in-file", statement, why, lines(what, f"-- orderops: {directive}"))


def _setting(statement: Statement) -> str:
    if statement.kind == "variable_set_stmt":
        return str(statement.tree.name).lower()
    for field, each in walk(statement.tree):
        if field == "func_call" and strings(each.funcname)[-1:] == ["set_config"] and each.args:
            return str(each.args[0].a_const.sval.sval).lower()
    return ""


def _needs_no_transaction(reading: LintContext, statement: Statement) -> Finding:
    words = " ".join(statement.text.split()[:3])
    why = f"PostgreSQL runs {words} … in no transaction, and this file runs in one: it fails when it is applied"
    text = rewrites.concurrently(statement) if statement.kind == "index_stmt" else closed(statement.text)
    return reading.finding("needs-no-transaction", statement, why, rewrites.alone(text))


def _added_column(reading: LintContext, command: Command) -> Iterator[Finding]:
    column = getattr(command.node, "def").column_def
    table, name = table_of(_relation(command)), spelled(column.colname)
    serial = strings(column.type_name.names)[-1] in rewrites.SERIAL
    kinds = {kind_of(constraint.constraint) for constraint in column.constraints}
    if serial:
        told = column_definition(column, rewrites.COSTLY)
        why = f"{told} draws a number for every row: {table} is written anew, and nobody reads or writes it meanwhile"
        yield reading.finding("volatile-default", command, why, rewrites.column_in_steps(reading, command))
    elif "CONSTR_CHECK" in kinds:
        why = f"the CHECK of {name} reads every row of {table}, and nobody else reads or writes it meanwhile"
        yield reading.finding("adding-field-with-check", command, why, rewrites.column_in_steps(reading, command))


def _relation(command: Command) -> Any:
    return command.statement.tree.relation
