"""Rules about undos: the U file has to remove what the V file creates, and create what it removes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.effects import Effects, Made, SchemaObject, goes_with
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import ALONE, closed, dotted, lines, plain, spelled, table_of
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

HOLDS_DATA = ("table", "column", "schema", "materialized view")
LOOSE = ("view", "materialized view", "trigger", "constraint", "policy", "rule", "function")
"""Kinds of objects that a DROP … CASCADE of another object may drop."""
OF_A_TABLE = ("trigger", "policy", "rule")

Origins = Mapping[SchemaObject, Statement]
"""Statements of earlier migrations that created the objects."""


def undo_rules(forwards: LintContext, back: LintContext, origins: Origins) -> Iterator[Finding]:
    """Yield findings about what the U file leaves behind, does not restore, or removes beyond its V file."""
    if not back.statements:
        if forwards.statements:
            why = f"the file is empty: undo would only forget that {forwards.file.name} was applied"
            yield back.finding("undo-empty", Spot(), why, _whole_undo(forwards, origins))
        return
    forward_effects, undo_effects = forwards.effects, back.effects
    if undo_effects.opaque:
        return
    for message, rewrite in _missing(forwards, forward_effects, undo_effects, origins):
        yield back.finding("undo-incomplete", back.statements[-1], message, rewrite)
    if forward_effects.opaque:
        return
    for item, removed in undo_effects.removed.items():
        # What the undo itself creates, or what need not exist, is no older object.
        own = SchemaObject("table", item.table) in _new(undo_effects) or _never_made(item, removed, origins)
        if item.kind in HOLDS_DATA and not own and not _of_this_version(item, forward_effects):
            why = f"{item} is not created by {forwards.file.name}: undo would remove an older object"
            what = f"-- remove it, or undo the version that created {item}"
            yield back.finding("undo-removes-more", removed.statement, why, what)


def _of_this_version(item: SchemaObject, forward_effects: Effects) -> bool:
    """Whether the V file creates the object, or the table that it is a part of, such as by CREATE TABLE AS."""
    made = {*forward_effects.made, *forward_effects.remade}
    return item in made or SchemaObject("table", item.table) in made


def _missing(
    forwards: LintContext, forward_effects: Effects, undo_effects: Effects, origins: Origins
) -> Iterator[tuple[str, str]]:
    anew = _tables_made_anew(forward_effects, undo_effects)
    yield from _left(forwards, forward_effects, undo_effects, anew)
    yield from _not_restored(forwards, forward_effects, undo_effects, origins, anew)
    for item, made in forward_effects.remade.items():
        if item not in origins and _is_gone(item, made, forward_effects, undo_effects):
            continue
        if not any(item in things for things in (undo_effects.made, undo_effects.removed, undo_effects.remade)):
            text = bringing_back(item, forwards, origins)
            place = f"{forwards.file.name}:{made.statement.line}"
            yield f"{place} replaces {item}, and this does not restore the former one", text


def _left(
    forwards: LintContext, forward_effects: Effects, undo_effects: Effects, anew: set[str]
) -> Iterator[tuple[str, str]]:
    """What the V file creates and the undo leaves, or drops instead of renaming it back."""
    for item, made in forward_effects.made.items():
        place = f"{forwards.file.name}:{made.statement.line}"
        renamed = made.statement.kind == "rename_stmt"
        if renamed and _belongs_to(item, made, anew, forwards):
            continue
        if _dropped_instead(item, made, undo_effects):
            text = f"gives {item} its name, and this drops it with its data"
            yield f"{place} {text}", removing(item, made.statement)
        elif not _is_gone(item, made, forward_effects, undo_effects):
            text = f"creates {item}, and this leaves it"
            if renamed:
                text = f"gives {item} its name, and this does not rename it back"
            yield f"{place} {text}", removing(item, made.statement)


def _not_restored(
    forwards: LintContext, forward_effects: Effects, undo_effects: Effects, origins: Origins, anew: set[str]
) -> Iterator[tuple[str, str]]:
    """What the V file removes and the undo does not create."""
    restored = _new(undo_effects)
    for item, made in forward_effects.removed.items():
        if item in restored or made.statement.kind == "rename_stmt":
            continue
        if item.table in anew or made.table in anew or _never_made(item, made, origins):
            continue
        place = f"{forwards.file.name}:{made.statement.line}"
        yield f"{place} removes {item}, and this does not restore it", bringing_back(item, forwards, origins)


def _new(found: Effects) -> set[SchemaObject]:
    return {*found.made, *found.remade}


def _never_made(item: SchemaObject, removed: Made, origins: Origins) -> bool:
    """Whether DROP … IF EXISTS names what no earlier file has created."""
    return removed.statement.kind == "drop_stmt" and removed.statement.tree.missing_ok and item not in origins


def _tables_made_anew(forward_effects: Effects, undo_effects: Effects) -> set[str]:
    """Tables that the undo creates with all of their parts, by their names before and after the V file."""
    made = {item.name for item in _new(undo_effects) if item.kind == "table"}
    renamed = {
        dotted([tree.relation.schemaname, tree.newname]): plain(tree.relation)
        for tree in (entry.statement.tree for entry in forward_effects.made.values() if _renames_a_table(entry))
    }
    return made | {new for new, old in renamed.items() if old in made}


def _renames_a_table(made: Made) -> bool:
    return made.statement.kind == "rename_stmt" and enum_name(made.statement.tree, "rename_type") == "OBJECT_TABLE"


def _belongs_to(item: SchemaObject, made: Made, tables: set[str], forwards: LintContext) -> bool:
    """Whether a renamed object is one of these tables, or a part of one."""
    tree = made.statement.tree
    former = plain(tree.relation) if tree.HasField("relation") else ""
    if item.name in tables or item.table in tables or forwards.history.indexes.get(former) in tables:
        return True
    # The history knows neither the sequence of a serial column nor the index of a constraint; both are named so.
    return item.kind in ("sequence", "index") and any(item.name.startswith(f"{table}_") for table in tables)


def _dropped_instead(item: SchemaObject, made: Made, undo_effects: Effects) -> bool:
    """Whether a renamed object is dropped with its data instead of renamed back."""
    if made.statement.kind != "rename_stmt" or item.kind not in HOLDS_DATA or item not in undo_effects.removed:
        return False
    return undo_effects.removed[item].statement.kind != "rename_stmt"


def _is_gone(item: SchemaObject, made: Made, forward_effects: Effects, undo_effects: Effects) -> bool:
    # A table that is dropped and made again has lost what it had; CREATE OR REPLACE keeps it.
    anew = [whole for whole in undo_effects.remade if whole.kind in ("table", "materialized view")]
    if item in undo_effects.removed or any(goes_with(item, made, whole) for whole in [*undo_effects.removed, *anew]):
        return True
    if not undo_effects.cascades:
        return False
    # What CASCADE drops takes its own parts along, such as a materialized view its indexes.
    return item.kind in LOOSE or any(
        whole.kind in LOOSE and goes_with(item, made, whole) for whole in forward_effects.made
    )


def _whole_undo(forwards: LintContext, origins: Origins) -> str:
    forward_effects = forwards.effects
    whole = [
        made
        for made in forward_effects.made
        if not any(goes_with(made, forward_effects.made[made], other) for other in forward_effects.made)
    ]
    drops = [removing(item, forward_effects.made[item].statement) for item in reversed(whole)]
    returns = [
        bringing_back(item, forwards, origins)
        for item, made in forward_effects.removed.items()
        if made.statement.kind != "rename_stmt"
    ]
    rest = [drop for drop in drops if not drop.startswith(ALONE)]
    alone = [drop.removeprefix(ALONE).strip() for drop in drops if drop.startswith(ALONE)]
    if alone:
        return rewrites.alone(*alone, *rest, *returns)
    return lines(*rest, *returns)


def removing(item: SchemaObject, statement: Statement) -> str:
    """SQL that removes an object."""
    if statement.kind == "rename_stmt":
        return _renaming_back(statement.tree)
    named, table = _sql(item.name), _sql(item.table)
    match item.kind:
        case "column" | "constraint":
            return f"ALTER TABLE {table} DROP {item.kind.upper()} {spelled(item.name)};"
        case "index":
            return rewrites.alone(f"DROP INDEX CONCURRENTLY {named};")
        case kind if kind in OF_A_TABLE:
            return f"DROP {kind.upper()} {spelled(item.name)} ON {table};"
    return f"DROP {item.kind.upper()} {named};"


def bringing_back(item: SchemaObject, forwards: LintContext, origins: Origins) -> str:
    """SQL that creates an object again, as far as earlier migrations define it."""
    text = forwards.history.types.get((item.table, item.name))
    if item.kind == "column" and text:
        return f"ALTER TABLE {_sql(item.table)} ADD COLUMN {spelled(item.name)} {text};"
    origin = origins.get(item)
    if origin and item.kind == "index":
        return rewrites.alone(rewrites.concurrently(origin))
    if origin and item.kind not in ("column", "constraint") and origin.kind != "rename_stmt":
        return closed(origin.text)
    return f"-- create {item} again, as it was"


def _renaming_back(tree: Any) -> str:
    kind = enum_name(tree, "rename_type")
    if kind == "OBJECT_TABLE":
        renamed = spelled(tree.relation.schemaname, tree.newname)
        return f"ALTER TABLE {renamed} RENAME TO {spelled(tree.relation.relname)};"
    if kind == "OBJECT_COLUMN":
        new, old = spelled(tree.newname), spelled(tree.subname)
        return f"ALTER TABLE {table_of(tree.relation)} RENAME COLUMN {new} TO {old};"
    return f"-- rename {tree.newname} back"


def _sql(dotted_name: str) -> str:
    schema, _, name = dotted_name.rpartition(".")
    return spelled(schema, name) if name else ""
