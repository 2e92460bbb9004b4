"""Errors of a migration: position in the file, server message, state of the database, and a hint."""

from __future__ import annotations

import re
from typing import Any

from orderops.database.read_only import READ_ONLY, UNKNOWN
from orderops.database.schema_owner import OWNER
from orderops.errors import OrderopsError
from orderops.migrations.sql.directives import AS_LOGIN
from orderops.migrations.sql.files import SqlFile, places
from orderops.migrations.sql.parser import Statement

FORBIDDEN = "42501"
HINTS = {
    "53100": "the server's disk is full: free space or raise storage_gb of [database], then re-run this command",
    "53200": "the server is out of memory: re-run this command under less load, or run the statement in batches",
    "53300": "the server has no free connection: close some, then re-run this command",
    "57014": "if the statement timed out, add to the head: -- orderops: statement-timeout 1h, or run it in batches",
    "42501": "connect as the owner, or name the role in the head: -- orderops: owner ROLE",
    READ_ONLY: UNKNOWN,
    "2D000": "a body cannot end the file's transaction; to change many rows in batches: -- orderops: batch 5000 by id\n"
    "or, if it may run again after an interruption, add to the head: -- orderops: no-transaction repeatable",
    "55P04": "use the new value in the next file, or add to the head: -- orderops: no-transaction",
    "25001": "this cannot run in a transaction, add to the head: -- orderops: no-transaction",
    "42P07": "if it existed before orderops was used: orderops migrate baseline --version N",
    "58P01": "is the extension installed on this server? RDS has more extensions than the laptop",
}
# 08 is a connection exception, 57P a server that shuts down or terminates the session.
LOST = ("08", "57P")
"""SQLSTATE classes of a lost connection or a server that shut down."""
ROW_OF_DATA = re.compile(r"COPY .+, line (?P<number>\d+)")
CONTEXT = 3
# The innermost lines of the server's context name the function that failed; the outer ones repeat the call stack.


class StatementFailed(OrderopsError):
    """The server refused a statement, or the commit of a file."""

    def __init__(self, message: str, hint: str, *, sqlstate: str, reason: str, line: int, column: int) -> None:
        super().__init__(message, hint)
        self.sqlstate = sqlstate
        self.reason = reason
        """The server's message."""
        self.line = line
        """From 1, as the column."""
        self.column = column


def lost(error: Any) -> bool:
    """Whether the error means that the connection is lost."""
    import psycopg

    state = error.sqlstate
    return state.startswith(LOST) if state else isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def broken(
    file: SqlFile, statement: Statement | None, error: Any, state: str, *, role: str | None = None
) -> StatementFailed:
    """Error for a failed statement, or for the commit if it is None; `state` says which part is applied.

    `role` is the one that ran it; None for the user that logs in.
    """
    diagnosis = error.diag
    message = diagnosis.message_primary or " ".join(str(error).split()) or "no answer"
    line, column = _place(file, statement, diagnosis) if statement else places(file.text, len(file.text.rstrip()))
    place = f"{file.name}:{line}:{column}" if statement else f"{file.name}, at its end"
    lines = [f"{place}: {message}; {state}"]
    if statement:
        lines.append(f"in: {statement.begins}")
    lines += [f"detail: {diagnosis.message_detail}"] if diagnosis.message_detail else []
    lines += [f"query: {' '.join(diagnosis.internal_query.split())}"] if diagnosis.internal_query else []
    lines += [f"where: {line}" for line in (diagnosis.context or "").splitlines()[:CONTEXT]]
    lines += [f"server's hint: {diagnosis.message_hint}"] if diagnosis.message_hint else []
    hint = _hint(file, error, message, role)
    return StatementFailed(
        "\n".join(lines), hint, sqlstate=error.sqlstate or "", reason=message, line=line, column=column
    )


def unreachable(file: SqlFile, error: Any, state: str) -> OrderopsError:
    """Error for a lost connection."""
    message = " ".join(str(error).split())
    return OrderopsError(
        f"{file.name}: the connection was lost: {message}\n{state}",
        "show the status: orderops migrate info; re-running this command continues from there",
    )


def edited(file: SqlFile, number: int) -> OrderopsError:
    """Error: a partially applied file whose applied statements have since changed."""
    return OrderopsError(
        f"{file.name} is partially applied, and its statement {number}, which is applied, was edited since then",
        f"undo the edit, or set the true status, pending or applied: {start_again(file)}",
    )


def start_again(file: SqlFile) -> str:
    """The command after which a partially applied file starts from its first statement."""
    version = file.name[1:].partition("__")[0].lstrip("0")
    return f"orderops migrate repair --version {version} --as {'applied' if file.name.startswith('U') else 'pending'}"


def _place(file: SqlFile, statement: Statement, diagnosis: Any) -> tuple[int, int]:
    """Line and column of an error in a statement."""
    line, column = statement.line, statement.column
    row = ROW_OF_DATA.match(diagnosis.context or "")
    if statement.data is not None and row:
        begins = file.text.index("\n", statement.position + len(statement.text)) + 1
        line, column = places(file.text, begins)[0] + int(row["number"]) - 1, 1
    elif diagnosis.statement_position and not file.head.batch:  # a batch is not sent as it is written
        line, column = places(file.text, statement.position + int(diagnosis.statement_position) - 1)
    return line, column


def _hint(file: SqlFile, error: Any, message: str, role: str | None) -> str:
    if role == OWNER and error.sqlstate == FORBIDDEN:
        if f'set role "{OWNER}"' in message:
            return f'let this user become the owner of the schema: GRANT {OWNER} TO "USER"'
        needs = f"{OWNER} ran this file; if it needs the rights of the user that logs in, add to its head: {AS_LOGIN}"
        return f"{needs}\nwhere the file is applied already, accept the edit: orderops migrate repair"
    owner = file.head.owner
    named = owner and (owner if owner.startswith('"') else f'"{owner.lower()}"')
    if named and f"role {named}" in message:
        return f"-- orderops: owner {owner} runs this file: does the role exist, and is this user a member of it?"
    return HINTS.get(error.sqlstate or "") or f"fix {file.path}, then re-run this command"
