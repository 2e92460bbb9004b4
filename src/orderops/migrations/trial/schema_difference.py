"""What an undo left of a schema: the objects that differ from those before its V file, and which file is to blame."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from orderops.migrations.lint.executed import Difference
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


def difference_between(before: Schema, applied: Schema, after: Schema) -> Difference:
    """Compare the schema before a V file with those after it and after its undo."""
    was, had, has = (_by_thing(lines) for lines in (before, applied, after))
    left = [line for thing in has if thing not in was for line in has[thing]]
    gone = [thing for thing in was if thing not in has]
    others = [thing for thing in was if thing in has and was[thing] != has[thing]]
    untouched = {thing for thing in was if had.get(thing) == was[thing]}
    return Difference(
        left=_whole(left),
        missing=_whole(line for thing in gone if thing not in untouched for line in was[thing]),
        changed=[_change(thing, was[thing], has[thing]) for thing in others if thing not in untouched],
        taken=_whole(line for thing in [*gone, *others] if thing in untouched for line in was[thing]),
    )


def _by_thing(lines: Schema) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        found[thing_of(line)].append(line)
    return found


def _whole(lines: Iterable[str]) -> list[str]:
    """The objects of these lines without the parts of tables that are among them."""
    listed = sorted(lines)
    tables = [thing_of(line).partition(" ")[2] for line in listed if line.startswith("relation ")]
    constraints = {thing_of(line).rpartition(".")[2] for line in listed if line.startswith("constraint ")}
    things = (
        thing_of(line)
        for line in listed
        if not (
            _is_part(line, tables) or (line.startswith("index ") and thing_of(line).rpartition(".")[2] in constraints)
        )
    )
    return list(dict.fromkeys(things))


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
