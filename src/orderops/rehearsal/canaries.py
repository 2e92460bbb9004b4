"""`canaries.sql`: the service's own queries, which stand beside the migrations.

A statement of it is a query, and the comments before it say what it is: `-- canary: NAME`, `-- values: SELECT …` for
what its $1, $2 … may be, and `-- rate: 20` for how often a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orderops.errors import UsageError
from orderops.migrations.sql.files import CANARIES, SqlFile
from orderops.migrations.sql.parser import Statement, read_script
from orderops.rehearsal.queries import Query, QueryOrigin, read_query

HEAD = re.compile(r"\s*--\s*(?P<word>canary|values|rate)\s*:\s*(?P<said>.*)", re.IGNORECASE)
COMMENT = re.compile(r"\s*--\s?(?P<said>.*)")
FASTEST = 200.0
FORM = "the form is: -- canary: an order by its id"


def read_canaries(folder: Path) -> list[Query]:
    """The queries of a folder of migrations; none where it has no such file. Raises UsageError for what is wrong."""
    path = folder / CANARIES
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "it is SQL in UTF-8") from None
    file = SqlFile(path, text.replace("\r\n", "\n"))
    queries: list[Query] = []
    ended = 0
    for statement in read_script(file):
        queries.append(_query(file, statement, file.text[ended : statement.position]))
        ended = statement.position + len(statement.text)
    names = [query.name for query in queries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: {names.count(name)} canaries are called {name!r}", "give each its own name")
    return queries


def _query(file: SqlFile, statement: Statement, before: str) -> Query:
    place = f"{file.path}:{statement.line}"
    said = _heads(before.splitlines())
    if not said.get("canary"):
        raise UsageError(f"{place}: a canary without a name", FORM)
    query = read_query(said["canary"], statement.text, QueryOrigin.CANARY)
    if query is None:
        raise UsageError(
            f"{place}: {statement.begins}\na canary reads or writes rows", "SELECT, INSERT, UPDATE, DELETE or MERGE"
        )
    values = said.get("values", "").rstrip("; ")
    if bool(values) != bool(query.parameters):
        why = "says nothing of where its $1 comes from" if not values else "draws values and has no $1"
        raise UsageError(f"{place}: the canary {query.name!r} {why}", "-- values: SELECT id FROM orders LIMIT 500")
    drawn = read_query("", values, QueryOrigin.CANARY) if values else None
    if values and (drawn is None or drawn.writes):
        raise UsageError(f"{place}: the values of {query.name!r} are drawn by one SELECT, not by: {values}", FORM)
    return replace(query, values=values, rate=_rate(said.get("rate"), place))


def _heads(lines: Sequence[str]) -> dict[str, str]:
    """What the comments say; the values may go on over more than one."""
    said: dict[str, str] = {}
    word = ""
    for line in lines:
        if head := HEAD.fullmatch(line):
            word = head["word"].lower()
            said[word] = head["said"].strip()
        elif word == "values" and (more := COMMENT.fullmatch(line)):
            said[word] += f" {more['said'].strip()}"
        else:
            word = ""
    return said


def _rate(said: str | None, place: str) -> float | None:
    if said is None:
        return None
    try:
        rate = float(said.split()[0])
    except (ValueError, IndexError):
        rate = 0.0
    if not 0 < rate <= FASTEST:
        raise UsageError(f"{place}: a rate of {said!r}", f"calls a second, up to {FASTEST:.0f}: -- rate: 20")
    return rate
