"""What went wrong in a migration: its place in the file, the server's words, how the database stands, what to type."""

from __future__ import annotations

from typing import Any

from orderops.errors import OrderopsError
from orderops.migrations.files import File, places
from orderops.migrations.script import Statement

HINTS = {
    "53100": "the server's disk is full: free space, or raise storage_gb of [database]; then the same command",
    "53200": "the server is out of memory; try again when less runs, or cut the statement into batches",
    "53300": "the server has no connection left; end some, then the same command",
    "57014": "if it was its time that ran out: -- orderops: statement-timeout 1h in the head, or in batches",
    "42501": "connect as the owner, or name the role: -- orderops: owner ROLE",
    "25006": "this server takes no writes: is it a replica, or in recovery?",
    "0A000": "CONCURRENTLY and the like want -- orderops: no-transaction in the head",
    "25001": "this runs in no transaction: -- orderops: no-transaction in the head",
    "42P07": "if it was there before orderops was: orderops migrate baseline --version N",
    "58P01": "an extension that the server does not have? RDS has more of them than the laptop",
}
LOST = ("08", "57P")
"""The server went away, or the way to it."""


def lost(error: Any) -> bool:
    """Whether nobody answers any more."""
    state = error.sqlstate
    return state is None or state.startswith(LOST)


def broken(file: File, statement: Statement | None, error: Any, stands: str) -> OrderopsError:
    """The refusal for an error of the server in a statement; `stands` says what is done and what is not."""
    diagnosis = error.diag
    line, column = _place(file, statement, diagnosis)
    said = diagnosis.message_primary or " ".join(str(error).split()) or "no answer"
    lines = [f"{file.name}:{line}:{column}: {said}; {stands}"]
    if statement:
        lines.append(f"in: {statement.begins}")
    lines += [f"detail: {diagnosis.message_detail}"] if diagnosis.message_detail else []
    lines += [f"server's hint: {diagnosis.message_hint}"] if diagnosis.message_hint else []
    known = HINTS.get(error.sqlstate or "")
    return OrderopsError("\n".join(lines), known or f"mend {file.path}, then the same command again")


def unreachable(file: File, error: Any, stands: str) -> OrderopsError:
    """The refusal for a connection that was lost on the way."""
    said = " ".join(str(error).split())
    return OrderopsError(
        f"{file.name}: the connection was lost: {said}\n{stands}",
        "how it stands: orderops migrate info; the same command goes on from there",
    )


def edited(file: File, number: int) -> OrderopsError:
    """The refusal for a file that was done in part, and whose part that is done is another one now."""
    version = file.name[1:].partition("__")[0].lstrip("0")
    return OrderopsError(
        f"{file.name} was cut after a part, and its statement {number}, which is done, was edited since",
        "put it back as it was, or say how the migration stands, pending or applied: "
        f"orderops migrate repair --version {version} --as pending",
    )


def _place(file: File, statement: Statement | None, diagnosis: Any) -> tuple[int, int]:
    if statement is None:
        return 1, 1
    if diagnosis.statement_position:
        return places(file.text, statement.position + int(diagnosis.statement_position) - 1)
    return statement.line, statement.column
