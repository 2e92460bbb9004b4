"""Directives of a migration file: comments `-- orderops: …` before the first statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches

from orderops.errors import UsageError
from orderops.frozen import Frozen, replace

DIRECTIVE = re.compile(r"--\s*orderops\s*:[ \t]*(?P<body>.*?)\s*", re.IGNORECASE)
# Near misses are errors: a directive that is silently ignored changes how the file runs.
WITHOUT_COLON = re.compile(
    r"--\s*orderops\s+(no-transaction|lock-timeout|statement-timeout|owner|batch)\b.*", re.IGNORECASE
)
IN_A_BLOCK = re.compile(r"/\*[\s*]*orderops\s*:(?s:.*)", re.IGNORECASE)
SPACE = re.compile(r"[ \t\n\f\v\r]+")
# PostgreSQL ends a comment at a lone carriage return too.
LINE_END = re.compile(r"[\r\n]")
BLOCK_EDGE = re.compile(r"/\*|\*/")
WORDS = re.compile(r"(?P<name>[a-z_-]+)\s*(?P<value>.*)", re.IGNORECASE)
BATCH = re.compile(r"(?P<size>\d{1,9})\s+by\s+(?P<key>\"[^\"]+\"|[a-z_][a-z0-9_$]*)", re.IGNORECASE)
DURATION = re.compile(r"(?P<count>\d{1,9})\s*(?P<unit>ms|s|min|m|h)", re.IGNORECASE)
MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000}
LONGEST = 2**31 - 1
# PostgreSQL's timeouts are 32-bit integers in milliseconds: 24 days at most.
ROLE = re.compile(r"\"[^\"]+\"|[a-z_][a-z0-9_$]*", re.IGNORECASE)
NO_ROLE = ("none", '"none"')
# SET ROLE NONE resets the role, so "none" cannot be an owner.
LOGIN = "session_user"
"""PostgreSQL's word for the user that the session logged in as; no role can have it as its name without quotes."""
AS_LOGIN = "-- orderops: owner session_user"
"""The line for a file that the owner of the schema may not run."""
KNOWN = {
    "no-transaction": "no-transaction [repeatable]",
    "lock-timeout": "lock-timeout 2s",
    "statement-timeout": "statement-timeout 10min",
    "owner": "owner ROLE",
    "batch": "batch 5000 by id",
}


class Batch(Frozen):
    """Batch size and column."""

    size: int
    """Most rows of one batch."""
    key: str
    """Column whose order the batches follow, as spelled in SQL."""

    @property
    def name(self) -> str:
        """The column's name in the catalogue."""
        return self.key[1:-1] if self.key.startswith('"') else self.key.lower()


class Head(Frozen):
    """The directives of a migration file."""

    no_transaction: bool = False
    repeatable: bool = False
    """Whether DO and CALL run outside of a transaction, since they commit, and again after an interruption."""
    lock_timeout: timedelta | None = None
    """Longest wait of one try for a lock."""
    statement_timeout: timedelta | None = None
    """Longest duration of one statement."""
    owner: str | None = None
    """Role that runs the statements, as spelled in SQL."""
    as_login: bool = False
    """Whether the statements run as the user that logs in, who may do more than the owner of the schema."""
    batch: Batch | None = None


def head_of(name: str, text: str) -> Head:
    """Read the directives of a file; raises UsageError for unknown or repeated directives and wrong values."""
    head = Head()
    lines: dict[str, int] = {}
    for line, body in _directives(name, text):
        directive, head = _with(head, body, f"{name}:{line}")
        if directive in lines:
            raise UsageError(
                f"{name}:{line}: {directive} is already set in line {lines[directive]}", "remove one of them"
            )
        lines[directive] = line
    if head.batch and head.no_transaction:
        raise UsageError(f"{name}: batch already runs without a transaction", "remove no-transaction")
    return head


def is_directive(comment: str) -> bool:
    """Whether a comment is a directive, with or without its colon."""
    return bool(DIRECTIVE.fullmatch(comment) or WITHOUT_COLON.fullmatch(comment))


def first_word(text: str, start: int = 0) -> int:
    """Position of the first word from `start` on, after space and comments; the end of the text if there is none."""
    return max((end for _, end in _spaces_and_comments(text, start)), default=start)


def _directives(name: str, text: str) -> Iterator[tuple[int, str]]:
    line, counted = 1, 0
    for begin, end in _spaces_and_comments(text, 0):
        comment = text[begin:end].strip()
        line += text.count("\n", counted, begin)
        counted = begin
        if directive := DIRECTIVE.fullmatch(comment):
            yield line, directive["body"]
        elif WITHOUT_COLON.fullmatch(comment) or IN_A_BLOCK.fullmatch(comment):
            raise UsageError(
                f"{name}:{line}: '{comment.splitlines()[0]}' is not a directive",
                "the form is -- orderops: no-transaction",
            )


def _spaces_and_comments(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each stretch of space and each comment, up to the first word."""
    while at < len(text):
        if space := SPACE.match(text, at):
            end = space.end()
        elif text.startswith("--", at):
            end = found.start() if (found := LINE_END.search(text, at)) else len(text)
        elif text.startswith("/*", at):
            end = _end_of_block(text, at)
        else:
            return
        yield at, end
        at = end


def _end_of_block(text: str, start: int) -> int:
    # Block comments nest in PostgreSQL, unlike in C.
    depth = 0
    for edge in BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _with(head: Head, body: str, place: str) -> tuple[str, Head]:
    words = WORDS.fullmatch(body)
    directive = words["name"].lower() if words else ""
    value = words["value"] if words else ""
    match directive:
        case "no-transaction" if value.lower() in ("", "repeatable"):
            return directive, replace(head, no_transaction=True, repeatable=bool(value))
        case "lock-timeout" if duration := _duration(value):
            return directive, replace(head, lock_timeout=duration)
        case "statement-timeout" if duration := _duration(value):
            return directive, replace(head, statement_timeout=duration)
        case "owner" if value.lower() == LOGIN:
            return directive, replace(head, as_login=True)
        case "owner" if ROLE.fullmatch(value) and value.lower() not in NO_ROLE:
            return directive, replace(head, owner=value)
        case "batch" if (cut := BATCH.fullmatch(value)) and int(cut["size"]) > 0:
            return directive, replace(head, batch=Batch(int(cut["size"]), cut["key"]))
    if directive in KNOWN:
        raise UsageError(
            f"{place}: '{body}' is not a valid {directive}", f"the form is -- orderops: {KNOWN[directive]}"
        )
    alike = get_close_matches(directive, KNOWN, n=1)
    hint = f"did you mean {KNOWN[alike[0]]}?" if alike else f"directives: {', '.join(KNOWN.values())}"
    raise UsageError(f"{place}: orderops has no directive '{body}'", hint)


def _duration(text: str) -> timedelta | None:
    # 0 would turn the limit off, so it is no valid duration.
    duration = DURATION.fullmatch(text)
    milliseconds = int(duration["count"]) * MILLISECONDS[duration["unit"].lower()] if duration else 0
    return timedelta(milliseconds=milliseconds) if 0 < milliseconds <= LONGEST else None
