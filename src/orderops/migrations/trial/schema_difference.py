"""What an undo left of a schema: the objects that differ from those before its V file, and which file is to blame."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orderops.migrations.lint.executed import SchemaDifference
from orderops.migrations.schema_snapshot import schema_lines, thing_of

if TYPE_CHECKING:
    from psycopg import Connection

# A column that is dropped and added again comes last. No undo could prevent it.
UNRESTORABLE = "order of columns "
# PostgreSQL 18 names them after the table and column of their creation; the column says whether it is NOT NULL.
NOT_NULL = re.compile(r'constraint [^:]+: \["n", "NOT NULL [^"]*(?<!NO INHERIT)", true, ')
PARTS = ("column", "constraint", "trigger", "policy", "rule", "index", "sequence", "comment", "statistics")
"""Kinds that go and come with their table."""
NAMES_ITS_TABLE = ("index", "sequence", "statistics")
"""Kinds of objects that have the name of their table in their definition only."""
LONGEST_VALUE = 60

Schema = Sequence[str]
"""The lines of a schema that an undo can restore."""


def schema(connection: Connection) -> Schema:
    """The schema of the database as an undo has to leave it."""
    lines = schema_lines(connection)
    return [line for line in lines if not (line.startswith(UNRESTORABLE) or NOT_NULL.match(line))]


def difference_between(before: Schema, applied: Schema, after: Schema) -> SchemaDifference:
    """Compare the schema before a V file with those after it and after its undo."""
    was, had, has = (_by_thing(lines) for lines in (before, applied, after))
    differing = [thing for thing in was if was[thing] != has.get(thing)]
    # The U file is to blame for what the V file has not changed, and else for not changing it back.
    taken = [thing for thing in differing if had.get(thing) == was[thing]]
    to_restore = [thing for thing in differing if thing not in taken]
    return SchemaDifference(
        left=_whole(has, [thing for thing in has if thing not in was]),
        missing=_whole(was, [thing for thing in to_restore if thing not in has]),
        changed=[_change(thing, was[thing], has[thing]) for thing in to_restore if thing in has],
        taken=_whole(was, taken),
    )


def _by_thing(lines: Schema) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        found[thing_of(line)].append(line)
    return found


def _whole(schema: Mapping[str, Sequence[str]], things: Sequence[str]) -> list[str]:
    """These objects without the parts of tables that are among them."""
    tables = [thing.partition(" ")[2] for thing in things if thing.startswith("relation ")]
    constraints = {thing.rpartition(".")[2] for thing in things if thing.startswith("constraint ")}
    return [
        thing
        for thing in sorted(things)
        if not any(_is_part(line, tables) for line in schema[thing])
        and not (thing.startswith("index ") and thing.rpartition(".")[2] in constraints)
    ]


def _is_part(line: str, tables: Collection[str]) -> bool:
    kind = line.partition(" ")[0]
    text = line if kind in NAMES_ITS_TABLE else thing_of(line)
    return kind in PARTS and any(re.search(rf'(?<![\w."]){re.escape(table)}(?![\w"])', text) for table in tables)


def _change(thing: str, before: Sequence[str], after: Sequence[str]) -> str:
    """An object with the properties that differ."""
    if len(before) != 1 or len(after) != 1:
        return thing
    old, new = (json.loads(lines[0].removeprefix(f"{thing}: ")) for lines in (before, after))
    pairs = [_cut_alike(_text(one), _text(other)) for one, other in zip(old, new, strict=False) if one != other]
    return f"{thing} ({'; '.join(f'was {one}, is {other}' for one, other in pairs)})"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _cut_alike(one: str, other: str) -> tuple[str, str]:
    """Both texts, of long ones only the part in which they begin to differ."""
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    begin = max(0, same - LONGEST_VALUE // 2) if max(len(one), len(other)) > LONGEST_VALUE else 0
    return _cut(one, begin), _cut(other, begin)


def _cut(text: str, begin: int) -> str:
    end = begin + LONGEST_VALUE
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")
