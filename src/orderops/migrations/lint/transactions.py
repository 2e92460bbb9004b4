"""Rules about whole files: which statements share a transaction, and whether they should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.errors import UsageError
from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import closed, dotted, files, lines, plain, table_of, walk
from orderops.migrations.sql.batches import check_batch
from orderops.migrations.sql.locks import ExecutionMode, execution_mode, locks_of
from orderops.migrations.sql.parser import Statement

SOURCES = ("range_var", "range_function")
"""Nodes that make an INSERT … SELECT insert many rows."""
BY_HAND = ("truncate_stmt", "lock_stmt", "cluster_stmt")
"""Statements with lock rules of their own."""
CHANGES = ("update_stmt", "delete_stmt", "merge_stmt", "insert_stmt")


def file_rules(context: LintContext) -> Iterator[Finding]:
    """Yield findings about the file as a whole."""
    if context.head.batch:
        yield from _batch(context)
    elif not context.statements:
        if not context.back:
            yield context.finding("version-empty", Spot(), "the file holds no statement: its version changes nothing")
    elif context.in_transaction:
        yield from _mixed(context)
        yield from _piled_up(context)
    else:
        yield from _needless(context)


def strong_locks(context: LintContext, statement: Statement) -> dict[str, str]:
    """Existing tables that a statement locks against clients, each with the blocked operations."""
    found: dict[str, str] = {}
    for lock in locks_of(statement):
        name = dotted([lock.schema, lock.name])
        table = context.history.indexes.get(name, name)
        if lock.mode.stops and not context.is_new(table, statement) and not context.is_made_anew(table, statement):
            found[table] = lock.mode.stops
    return found


def _batch(context: LintContext) -> Iterator[Finding]:
    try:
        check_batch(context.file, context.statements)
    except UsageError as error:
        at = context.statements[0] if context.statements else Spot()
        why = error.message.partition(": ")[2] or error.message
        apart = _batch_alone(context) if len(context.statements) > 1 else ""
        yield context.finding("batch-impossible", at, why, apart or f"-- {error.hint}")


def _batch_alone(context: LintContext) -> str:
    """The file split: each UPDATE and DELETE in a file of its own; empty if that is not possible."""
    alone = [
        statement
        for statement in context.statements
        if statement.kind in ("update_stmt", "delete_stmt") and _can_be_cut(statement)
    ]
    if not alone or any(statement.kind in CHANGES and statement not in alone for statement in context.statements):
        return ""
    rest = [closed(statement.text) for statement in context.statements if statement not in alone]
    cut = [rewrites.in_pieces(context.history, statement.tree.relation, statement.text) for statement in alone]
    return files(*([lines(*rest)] if rest else []), *cut)


def _mixed(context: LintContext) -> Iterator[Finding]:
    """Find row changes that run while the same transaction holds a strong lock."""
    schema = [statement for statement in context.statements if statement.kind not in BY_HAND]
    locked = [(statement, *found) for statement in schema for found in strong_locks(context, statement).items()]
    if not locked:
        return
    for statement in context.statements:
        changed = _changed(statement)
        if changed is None or context.is_new(plain(changed), statement):
            continue
        by, table, stops = locked[0]
        lead = f"{' '.join(by.text.split()[:3])} (line {by.line})"
        why = f"{lead} blocks {stops} of {table}, also while the same transaction changes {table_of(changed)}"
        if by.position > statement.position:
            why = f"{lead} waits for {table} while the changed rows of {table_of(changed)} stay locked, and each try"
            why += " changes them again"
        yield context.finding("schema-and-data-mixed", statement, why, _apart(context, statement, changed))


def _apart(context: LintContext, statement: Statement, changed: Any) -> str:
    rest = lines(*rewrites.others([statement for statement in context.statements if _changed(statement) is None]))
    if not _can_be_cut(statement):
        return files(rest, lines("-- the rows, in a file of their own:", closed(statement.text)))
    return files(rest, rewrites.in_pieces(context.history, changed, statement.text))


def _can_be_cut(statement: Statement) -> bool:
    tree = statement.tree
    if statement.kind not in ("update_stmt", "delete_stmt") or tree.HasField("with_clause"):
        return False
    return not tree.HasField("returning_clause")


def _changed(statement: Statement) -> Any:
    """The table of a statement that may change many rows; else None."""
    if statement.kind not in CHANGES:
        return None
    if statement.kind == "insert_stmt" and not any(field in SOURCES for field, _ in walk(statement.tree.select_stmt)):
        return None
    relation = statement.tree.relation
    # The system catalogues have few rows, and no client changes them.
    return None if relation.schemaname == "pg_catalog" or relation.relname.startswith("pg_") else relation


def _piled_up(context: LintContext) -> Iterator[Finding]:
    held: dict[str, str] = {}
    for statement in context.statements:
        if context.back and statement.kind == "drop_stmt":
            continue  # an undo drops what its V file created
        locked = strong_locks(context, statement)
        more = [table for table in locked if table not in held]
        if held and more:
            first, stops = next(iter(held.items()))
            why = f"while this waits for {more[0]}, {stops} of {first} stay blocked"
            yield context.finding("locks-pile-up", statement, why, rewrites.same_alone(context))
            return
        held |= locked
        if statement.kind == "rename_stmt" and statement.tree.HasField("relation") and locked:
            held[dotted([statement.tree.relation.schemaname, statement.tree.newname])] = next(iter(locked.values()))


def _needless(context: LintContext) -> Iterator[Finding]:
    if not context.statements or _needs_no_transaction(context):
        return
    tables = {table for statement in context.statements for table in strong_locks(context, statement)}
    changes = [statement for statement in context.statements if _changed(statement) is not None]
    if len(tables) > 1 or len(changes) > 1 or (tables and changes):
        return
    why = "no statement needs no-transaction, and a failure in the middle leaves the file partly applied"
    rest = rewrites.others(context.statements)
    yield context.finding("needless-no-transaction", Spot(_directive(context)), why, lines(*rest))


def _needs_no_transaction(context: LintContext) -> bool:
    """Whether a statement cannot run in the file's transaction, or better does not."""
    if any(command.kind == "AT_ValidateConstraint" for command in context.commands):
        return True
    outside = (ExecutionMode.NON_TRANSACTIONAL, ExecutionMode.COMMITS)
    return any(
        execution_mode(statement, repeatable=context.head.repeatable) in outside
        or statement.kind in ("alter_enum_stmt", "refresh_mat_view_stmt")
        for statement in context.statements
    )


def _directive(context: LintContext) -> int:
    texts = context.file.text.split("\n")
    return next((number for number, line in enumerate(texts, 1) if "no-transaction" in line), 1)
