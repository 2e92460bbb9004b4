"""What went wrong in a migration: its place in the file, the server's words, how the database stands, what to type."""

from __future__ import annotations

import re
from typing import Any

from orderops.errors import OrderopsError
from orderops.migrations.sql.files import SqlFile, places
from orderops.migrations.sql.parser import Statement

HINTS = {
    "53100": "the server's disk is full: free space, or raise storage_gb of [database]; then the same command",
    "53200": "the server is out of memory; try again when less runs, or cut the statement into batches",
    "53300": "the server has no connection left; end some, then the same command",
    "57014": "if it was its time that ran out: -- orderops: statement-timeout 1h in the head, or in batches",
    "42501": "connect as the owner, or name the role: -- orderops: owner ROLE",
    "25006": "this server takes no writes: is it a replica, or in recovery?",
    "2D000": "a file runs in transactions that a body cannot end; many rows in pieces: -- orderops: batch 5000 by id",
    "55P04": "the new value is there from the next file on; or -- orderops: no-transaction in the head",
    "25001": "this runs in no transaction: -- orderops: no-transaction in the head",
    "42P07": "if it was there before orderops was: orderops migrate baseline --version N",
    "58P01": "an extension that the server does not have? RDS has more of them than the laptop",
}
LOST = ("08", "57P")
"""The server went away, or the way to it."""
ROW_OF_DATA = re.compile(r"COPY .+, line (?P<number>\d+)")
CONTEXT = 3
"""Lines of the server's context that are told: the innermost."""


def lost(error: Any) -> bool:
    """Whether nobody answers any more."""
    import psycopg

    state = error.sqlstate
    return state.startswith(LOST) if state else isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def broken(file: SqlFile, statement: Statement | None, error: Any, stands: str) -> OrderopsError:
    """The refusal for an error of the server in a statement, or none for its end; `stands` says what is done."""
    diagnosis = error.diag
    said = diagnosis.message_primary or " ".join(str(error).split()) or "no answer"
    lines = [f"{_place(file, statement, diagnosis)}: {said}; {stands}"]
    if statement:
        lines.append(f"in: {statement.begins}")
    lines += [f"detail: {diagnosis.message_detail}"] if diagnosis.message_detail else []
    lines += [f"query: {' '.join(diagnosis.internal_query.split())}"] if diagnosis.internal_query else []
    lines += [f"where: {line}" for line in (diagnosis.context or "").splitlines()[:CONTEXT]]
    lines += [f"server's hint: {diagnosis.message_hint}"] if diagnosis.message_hint else []
    return OrderopsError("\n".join(lines), _hint(file, error, said))


def unreachable(file: SqlFile, error: Any, stands: str) -> OrderopsError:
    """The refusal for a connection that was lost on the way."""
    said = " ".join(str(error).split())
    return OrderopsError(
        f"{file.name}: the connection was lost: {said}\n{stands}",
        "how it stands: orderops migrate info; the same command goes on from there",
    )


def edited(file: SqlFile, number: int) -> OrderopsError:
    """The refusal for a file that was done in part, and whose part that is done is another one now."""
    return OrderopsError(
        f"{file.name} was cut after a part, and its statement {number}, which is done, was edited since",
        f"put it back as it was, or say how the migration stands, pending or applied: {start_again(file)}",
    )


def start_again(file: SqlFile) -> str:
    """The command after which a file that was done in part begins at its first statement."""
    version = file.name[1:].partition("__")[0].lstrip("0")
    return f"orderops migrate repair --version {version} --as {'applied' if file.name.startswith('U') else 'pending'}"


def _place(file: SqlFile, statement: Statement | None, diagnosis: Any) -> str:
    if statement is None:
        return f"{file.name}, at its end"
    line, column = statement.line, statement.column
    row = ROW_OF_DATA.match(diagnosis.context or "")
    if statement.data is not None and row:
        begins = file.text.index("\n", statement.position + len(statement.text)) + 1
        line, column = places(file.text, begins)[0] + int(row["number"]) - 1, 1
    elif diagnosis.statement_position and not file.head.batch:  # a batch is not sent as it is written
        line, column = places(file.text, statement.position + int(diagnosis.statement_position) - 1)
    return f"{file.name}:{line}:{column}"


def _hint(file: SqlFile, error: Any, said: str) -> str:
    owner = file.head.owner
    named = owner and (owner if owner.startswith('"') else f'"{owner.lower()}"')
    if named and f"role {named}" in said:
        return f"-- orderops: owner {owner} is who runs this file: is the role there, and is this user a member of it?"
    return HINTS.get(error.sqlstate or "") or f"mend {file.path}, then the same command again"
