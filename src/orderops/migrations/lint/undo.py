"""Whether the way back undoes the way forwards: what one makes the other removes, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.effects import Effects, Made, SchemaObject, effects, goes_with
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import ALONE, closed, lines, spelled, table_of
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

HOLDS_DATA = ("table", "column", "schema", "materialized view")
LOOSE = ("view", "materialized view", "trigger", "constraint", "policy", "rule", "function")
"""What may go with a DROP … CASCADE that names something else."""
OF_A_TABLE = ("trigger", "policy", "rule")

Origins = Mapping[SchemaObject, Statement]
"""The statements of earlier migrations that made things."""


def undo_rules(forwards: LintContext, back: LintContext, origins: Origins) -> Iterator[Finding]:
    """What the way back leaves, forgets to bring back, or takes away beyond its own."""
    if not back.statements:
        if forwards.statements:
            why = f"it says nothing: undo would only forget that {forwards.file.name} was applied"
            yield back.finding("undo-empty", Spot(), why, _whole_undo(forwards, origins))
        return
    there, here = effects(forwards.statements, names="last"), effects(back.statements, names="first")
    if here.opaque:
        return
    for message, rewrite in _missing(forwards, there, here, origins):
        yield back.finding("undo-incomplete", back.statements[-1], message, rewrite)
    if there.opaque:
        return
    for thing, removed in here.removed.items():
        if thing.kind in HOLDS_DATA and thing not in there.made and thing not in there.remade:
            why = f"{thing} is not made by {forwards.file.name}: undo would take away what was there before"
            what = f"-- take it out, or undo the version that made {thing}"
            yield back.finding("undo-removes-more", removed.statement, why, what)


def _missing(forwards: LintContext, there: Effects, here: Effects, origins: Origins) -> Iterator[tuple[str, str]]:
    name = forwards.file.name
    for thing, made in there.made.items():
        if _dropped_instead(thing, made, here):
            told = f"gives {thing} its name, and this drops it with what it holds"
            yield f"{name}:{made.statement.line} {told}", removing(thing, made.statement)
        elif not _is_gone(thing, made, here):
            told = f"makes {thing}, and this leaves it"
            if made.statement.kind == "rename_stmt":
                told = f"gives {thing} its name, and this does not take it back"
            yield f"{name}:{made.statement.line} {told}", removing(thing, made.statement)
    for thing, made in there.removed.items():
        if thing not in here.made and thing not in here.remade and made.statement.kind != "rename_stmt":
            told = bringing_back(thing, forwards, origins)
            yield f"{name}:{made.statement.line} removes {thing}, and this does not bring it back", told
    for thing, made in there.remade.items():
        if not any(thing in things for things in (here.made, here.removed, here.remade)):
            told = bringing_back(thing, forwards, origins)
            yield f"{name}:{made.statement.line} replaces {thing}, and this does not bring the former one back", told


def _dropped_instead(thing: SchemaObject, made: Made, here: Effects) -> bool:
    """Whether what was renamed is dropped, with what it holds, and not renamed back."""
    if made.statement.kind != "rename_stmt" or thing.kind not in HOLDS_DATA or thing not in here.removed:
        return False
    return here.removed[thing].statement.kind != "rename_stmt"


def _is_gone(thing: SchemaObject, made: Made, here: Effects) -> bool:
    if thing in here.removed or any(goes_with(thing, made, whole) for whole in here.removed):
        return True
    return here.cascades and thing.kind in LOOSE


def _whole_undo(forwards: LintContext, origins: Origins) -> str:
    there = effects(forwards.statements, names="last")
    whole = [made for made in there.made if not any(goes_with(made, there.made[made], other) for other in there.made)]
    drops = [removing(thing, there.made[thing].statement) for thing in reversed(whole)]
    returns = [bringing_back(thing, forwards, origins) for thing in there.removed]
    plain = [drop for drop in drops if not drop.startswith(ALONE)]
    alone = [drop.removeprefix(ALONE).strip() for drop in drops if drop.startswith(ALONE)]
    if alone:
        return rewrites.alone(*alone, *plain, *returns)
    return lines(*plain, *returns)


def removing(thing: SchemaObject, statement: Statement) -> str:
    """What takes a thing away again."""
    if statement.kind == "rename_stmt":
        return _renaming_back(statement.tree)
    named, table = _sql(thing.name), _sql(thing.table)
    match thing.kind:
        case "column" | "constraint":
            return f"ALTER TABLE {table} DROP {thing.kind.upper()} {spelled(thing.name)};"
        case "index":
            return rewrites.alone(f"DROP INDEX CONCURRENTLY {named};")
        case kind if kind in OF_A_TABLE:
            return f"DROP {kind.upper()} {spelled(thing.name)} ON {table};"
    return f"DROP {thing.kind.upper()} {named};"


def bringing_back(thing: SchemaObject, forwards: LintContext, origins: Origins) -> str:
    """What makes a thing again, as far as earlier migrations tell."""
    told = forwards.history.types.get((thing.table, thing.name))
    if thing.kind == "column" and told:
        return f"ALTER TABLE {_sql(thing.table)} ADD COLUMN {spelled(thing.name)} {told};"
    origin = origins.get(thing)
    if origin and thing.kind == "index":
        return rewrites.alone(rewrites.concurrently(origin))
    if origin and thing.kind not in ("column", "constraint") and origin.kind != "rename_stmt":
        return closed(origin.text)
    return f"-- make {thing} again, as it was"


def _renaming_back(tree: Any) -> str:
    kind = enum_name(tree, "rename_type")
    if kind == "OBJECT_TABLE":
        renamed = spelled(tree.relation.schemaname, tree.newname)
        return f"ALTER TABLE {renamed} RENAME TO {spelled(tree.relation.relname)};"
    if kind == "OBJECT_COLUMN":
        new, old = spelled(tree.newname), spelled(tree.subname)
        return f"ALTER TABLE {table_of(tree.relation)} RENAME COLUMN {new} TO {old};"
    return f"-- rename {tree.newname} back"


def _sql(plain: str) -> str:
    schema, _, name = plain.rpartition(".")
    return spelled(schema, name) if name else ""
