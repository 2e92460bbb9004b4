"""What a file does as a whole: what stands in one transaction, and whether it has to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.errors import UsageError
from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import closed, dotted, files, lines, plain, table_of, walk
from orderops.migrations.sql.batches import check_batch
from orderops.migrations.sql.locks import is_non_transactional, locks_of
from orderops.migrations.sql.parser import Statement

SOURCES = ("range_var", "range_function")
"""Where an INSERT … SELECT has many rows from."""
BY_HAND = ("truncate_stmt", "lock_stmt", "cluster_stmt")
"""Statements whose locks have rules of their own."""
CHANGES = ("update_stmt", "delete_stmt", "merge_stmt", "insert_stmt")


def file_rules(reading: LintContext) -> Iterator[Finding]:
    """What a file does as a whole."""
    if reading.head.batch:
        yield from _batch(reading)
    elif reading.in_transaction:
        yield from _mixed(reading)
        yield from _piled_up(reading)
    else:
        yield from _needless(reading)


def strong_locks(reading: LintContext, statement: Statement) -> dict[str, str]:
    """The tables that are not new here and that a statement keeps others out of, with what it keeps out."""
    found: dict[str, str] = {}
    for lock in locks_of(statement):
        name = dotted([lock.schema, lock.name])
        table = reading.history.indexes.get(name, name)
        if lock.mode.stops and not reading.is_new(table, statement):
            found[table] = lock.mode.stops
    return found


def _batch(reading: LintContext) -> Iterator[Finding]:
    try:
        check_batch(reading.file, reading.statements)
    except UsageError as error:
        at = reading.statements[0] if reading.statements else Spot()
        why = error.message.partition(": ")[2] or error.message
        apart = _batch_alone(reading) if len(reading.statements) > 1 else ""
        yield reading.finding("batch-impossible", at, why, apart or f"-- {error.hint}")


def _batch_alone(reading: LintContext) -> str:
    """The rest in one file and each UPDATE and DELETE in one of its own, where that can be told."""
    alone = [
        statement
        for statement in reading.statements
        if statement.kind in ("update_stmt", "delete_stmt") and _can_be_cut(statement)
    ]
    if not alone or any(statement.kind in CHANGES and statement not in alone for statement in reading.statements):
        return ""
    rest = [closed(statement.text) for statement in reading.statements if statement not in alone]
    cut = [rewrites.in_pieces(reading.history, each.tree.relation, each.text) for each in alone]
    return files(*([lines(*rest)] if rest else []), *cut)


def _mixed(reading: LintContext) -> Iterator[Finding]:
    """Rows that are changed while a lock on some table is held."""
    schema = [statement for statement in reading.statements if statement.kind not in BY_HAND]
    locked = [(each, *found) for each in schema for found in strong_locks(reading, each).items()]
    if not locked:
        return
    by, table, stops = locked[0]
    for statement in reading.statements:
        changed = _changed(statement)
        if changed is None or reading.is_new(plain(changed), statement):
            continue
        held = f"{' '.join(by.text.split()[:3])} (line {by.line}) keeps out {stops} of {table}"
        why = f"{held}, and while {table_of(changed)} is changed in the same transaction that goes on"
        yield reading.finding("schema-and-data-mixed", statement, why, _apart(reading, statement, changed))


def _apart(reading: LintContext, statement: Statement, changed: Any) -> str:
    rest = lines(*rewrites.others([statement for statement in reading.statements if _changed(statement) is None]))
    if not _can_be_cut(statement):
        return files(rest, lines("-- the rows, in a file of their own:", closed(statement.text)))
    return files(rest, rewrites.in_pieces(reading.history, changed, statement.text))


def _can_be_cut(statement: Statement) -> bool:
    tree = statement.tree
    if statement.kind not in ("update_stmt", "delete_stmt") or tree.HasField("with_clause"):
        return False
    return not tree.HasField("returning_clause")


def _changed(statement: Statement) -> Any:
    """The table of which many rows may be changed; None where it is a handful, or none."""
    if statement.kind not in CHANGES:
        return None
    if statement.kind == "insert_stmt" and not any(field in SOURCES for field, _ in walk(statement.tree.select_stmt)):
        return None
    return statement.tree.relation


def _piled_up(reading: LintContext) -> Iterator[Finding]:
    held: dict[str, str] = {}
    for statement in reading.statements:
        if reading.back and statement.kind == "drop_stmt":
            continue  # a way back drops what its way forwards made
        locked = strong_locks(reading, statement)
        more = [table for table in locked if table not in held]
        if held and more:
            first, stops = next(iter(held.items()))
            why = f"while this waits for {more[0]}, {stops} of {first} stay kept out"
            yield reading.finding("locks-pile-up", statement, why, rewrites.same_alone(reading))
            return
        held |= locked
        if statement.kind == "rename_stmt" and statement.tree.HasField("relation") and locked:
            held[dotted([statement.tree.relation.schemaname, statement.tree.newname])] = next(iter(locked.values()))


def _needless(reading: LintContext) -> Iterator[Finding]:
    if not reading.statements or any(map(is_non_transactional, reading.statements)):
        return
    if any(command.kind == "AT_ValidateConstraint" for command in reading.commands):
        return
    if any(statement.kind in ("alter_enum_stmt", "refresh_mat_view_stmt") for statement in reading.statements):
        return
    tables = {table for statement in reading.statements for table in strong_locks(reading, statement)}
    changes = [statement for statement in reading.statements if _changed(statement) is not None]
    if len(tables) > 1 or len(changes) > 1 or (tables and changes):
        return
    why = "no statement here needs to be by itself, and a failure in the middle leaves half of the file done"
    rest = rewrites.others(reading.statements)
    yield reading.finding("needless-no-transaction", Spot(_directive(reading)), why, lines(*rest))


def _directive(reading: LintContext) -> int:
    texts = reading.file.text.split("\n")
    return next((number for number, line in enumerate(texts, 1) if "no-transaction" in line), 1)
