"""A schema as text lines, read from the catalogue: equal for equal schemas on servers of one major version.

Object ids are replaced by names and the lines are sorted, so the order of creation does not matter. The ledger and
objects of extensions are left out. The order of columns counts, since INSERT without column names depends on it.
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
    """List the objects of the schema as sorted lines; changes nothing."""
    # Default privileges of the owner of the schema and of the user that reads are one line where they are equal.
    lines: set[str] = set()
    with connection.transaction(force_rollback=True):
        connection.execute(SETTINGS)
        for kind, query in SCHEMA_QUERIES.items():
            lines |= {_line(kind, row) for row in connection.execute(query)}
    return sorted(lines)


def schema_digest(connection: Connection) -> str:
    """SHA-256 of the schema, in hexadecimal; independent of the server and of the order of creation."""
    return digest_of(schema_lines(connection))


def digest_of(lines: Sequence[str]) -> str:
    """Hash the lines of `schema_lines`."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def differences(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Lines only in `before`, marked with -, and only in `after`, marked with +; a changed object has both."""
    gone, new = set(before) - set(after), set(after) - set(before)
    marked = [(thing_of(line), line, "-") for line in gone] + [(thing_of(line), line, "+") for line in new]
    return [f"{mark} {line}" for _, line, mark in sorted(marked, key=lambda entry: (entry[0], entry[2] == "+"))]


def thing_of(line: str) -> str:
    """The object of a line with or without its mark, such as `column public.users.name`."""
    return line.removeprefix("- ").removeprefix("+ ").partition(": ")[0]


def _line(kind: str, row: Sequence[object]) -> str:
    name, *properties = row
    return f"{kind} {name}: {json.dumps(properties, default=str, sort_keys=True, ensure_ascii=False)}"
