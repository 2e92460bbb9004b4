"""What a schema is, read from the catalogue: the same text for the same schema on any server of one major version.

Names stand where the catalogue has numbers, and everything is sorted: neither the order in which things were made, nor
the ledger, nor what an extension brought along shows. The order of columns does, since INSERT without names goes by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orderops.database.catalog import SCHEMA_QUERIES, SETTINGS

if TYPE_CHECKING:
    from psycopg import Connection


def schema_lines(connection: Connection) -> list[str]:
    """Everything that makes the schema, a line a thing, sorted; changes nothing."""
    lines: list[str] = []
    with connection.transaction(force_rollback=True):
        connection.execute(SETTINGS)
        for kind, query in SCHEMA_QUERIES.items():
            lines += [_line(kind, row) for row in connection.execute(query)]
    return sorted(lines)


def schema_digest(connection: Connection) -> str:
    """SHA-256 of the schema, in hexadecimal: equal for equal schemas, wherever and in whatever order they were made."""
    return digest_of(schema_lines(connection))


def digest_of(lines: Sequence[str]) -> str:
    """The digest of what `schema_lines` answered."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def differences(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What is there only before, marked with -, and only after, marked with +; a thing that changed stands twice."""
    gone, new = set(before) - set(after), set(after) - set(before)
    marked = [(thing_of(line), line, "-") for line in gone] + [(thing_of(line), line, "+") for line in new]
    return [f"{mark} {line}" for _, line, mark in sorted(marked, key=lambda each: (each[0], each[2] == "+"))]


def thing_of(line: str) -> str:
    """What a line is about, as `column public.users.name`; marked or not."""
    return line.removeprefix("- ").removeprefix("+ ").partition(": ")[0]


def _line(kind: str, row: Sequence[object]) -> str:
    name, *told = row
    return f"{kind} {name}: {json.dumps(told, default=str, sort_keys=True, ensure_ascii=False)}"
