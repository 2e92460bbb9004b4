"""`canaries.sql`: the service's own queries, in the folder of the migrations.

Each statement is a query, described by the comments before it: `-- canary: NAME`, `-- values: SELECT …` for the values
of $1, $2 …, and `-- rate: 20` for queries a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from orderops.errors import UsageError
from orderops.frozen import replace
from orderops.migrations.sql.files import CANARIES, SqlFile
from orderops.migrations.sql.parser import Statement, read_script
from orderops.rehearsal.queries import Query, QueryOrigin, read_query

DIRECTIVE = re.compile(r"\s*--\s*(?P<word>canary|values|rate)\s*:\s*(?P<text>.*)", re.IGNORECASE)
COMMENT = re.compile(r"\s*--\s?(?P<text>.*)")
MAX_RATE = 200.0
EXAMPLE = "the form is: -- canary: an order by its id"


def read_canaries(folder: Path) -> list[Query]:
    """The queries of a folder, empty without the file. Raises UsageError with file and line for a mistake."""
    path = folder / CANARIES
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "the file has to be SQL in UTF-8") from None
    file = SqlFile(path, text.replace("\r\n", "\n"))
    queries: list[Query] = []
    ended = 0
    for statement in read_script(file):
        queries.append(_query(file, statement, file.text[ended : statement.position]))
        ended = statement.position + len(statement.text)
    names = [query.name for query in queries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: {names.count(name)} canaries are named {name!r}", "give each its own name")
    return queries


def _query(file: SqlFile, statement: Statement, before: str) -> Query:
    place = f"{file.path}:{statement.line}"
    directives = _directives(before.splitlines())
    if not directives.get("canary"):
        raise UsageError(f"{place}: a canary without a name", EXAMPLE)
    query = read_query(directives["canary"], statement.text, QueryOrigin.CANARY)
    if query is None:
        raise UsageError(
            f"{place}: {statement.begins}\na canary has to read or write rows",
            "use SELECT, INSERT, UPDATE, DELETE or MERGE",
        )
    values = directives.get("values", "").rstrip("; ")
    if bool(values) != bool(query.parameters):
        why = "has parameters and no values" if not values else "has values and no parameters"
        raise UsageError(
            f"{place}: the canary {query.name!r} {why}", "for example: -- values: SELECT id FROM orders LIMIT 500"
        )
    drawn = read_query("", values, QueryOrigin.CANARY) if values else None
    if values and (drawn is None or drawn.writes):
        raise UsageError(
            f"{place}: the values of {query.name!r} have to come from one SELECT, not from: {values}", EXAMPLE
        )
    return replace(query, values=values, rate=_rate(directives.get("rate"), place))


def _directives(lines: Sequence[str]) -> dict[str, str]:
    """Directives of the comments; `values` may continue over several lines."""
    directives: dict[str, str] = {}
    word = ""
    for line in lines:
        if head := DIRECTIVE.fullmatch(line):
            word = head["word"].lower()
            directives[word] = head["text"].strip()
        elif word == "values" and (more := COMMENT.fullmatch(line)):
            directives[word] += f" {more['text'].strip()}"
        else:
            word = ""
    return directives


def _rate(text: str | None, place: str) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text.split()[0])
    except (ValueError, IndexError):
        rate = 0.0
    if not 0 < rate <= MAX_RATE:
        raise UsageError(f"{place}: invalid rate {text!r}", f"queries a second, up to {MAX_RATE:.0f}: -- rate: 20")
    return rate
