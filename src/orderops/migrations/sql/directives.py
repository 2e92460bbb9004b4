"""The head comments of a migration: the only directives there are, `-- orderops: …` before the first statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches

from orderops.errors import UsageError

DIRECTIVE = re.compile(r"--\s*orderops\s*:[ \t]*(?P<said>.*?)\s*", re.IGNORECASE)
WITHOUT_COLON = re.compile(
    r"--\s*orderops\s+(no-transaction|lock-timeout|statement-timeout|owner|batch)\b.*", re.IGNORECASE
)
IN_A_BLOCK = re.compile(r"/\*[\s*]*orderops\s*:(?s:.*)", re.IGNORECASE)
SPACE = re.compile(r"[ \t\n\f\v\r]+")
BLOCK_EDGE = re.compile(r"/\*|\*/")
WORDS = re.compile(r"(?P<name>[a-z_-]+)\s*(?P<value>.*)", re.IGNORECASE)
BATCH = re.compile(r"(?P<size>\d{1,9})\s+by\s+(?P<key>\"[^\"]+\"|[a-z_][a-z0-9_$]*)", re.IGNORECASE)
DURATION = re.compile(r"(?P<count>\d{1,9})\s*(?P<unit>ms|s|min|m|h)", re.IGNORECASE)
MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000}
LONGEST = 2**31 - 1
"""Milliseconds that PostgreSQL takes at most: 24 days."""
ROLE = re.compile(r"\"[^\"]+\"|[a-z_][a-z0-9_$]*", re.IGNORECASE)
NO_ROLE = ("none", '"none"')
"""What SET ROLE takes for the end of all roles."""
KNOWN = {
    "no-transaction": "no-transaction",
    "lock-timeout": "lock-timeout 2s",
    "statement-timeout": "statement-timeout 10min",
    "owner": "owner ROLE",
    "batch": "batch 5000 by id",
}


@dataclass(frozen=True)
class Batch:
    """How a statement over many rows is cut into pieces."""

    size: int
    """Rows of the table that one piece passes at most."""
    key: str
    """Column by which the rows are passed in order, as SQL spells it."""

    @property
    def name(self) -> str:
        """The column's name, as the catalogue has it."""
        return self.key[1:-1] if self.key.startswith('"') else self.key.lower()


@dataclass(frozen=True)
class Head:
    """What a migration asks for in its head."""

    no_transaction: bool = False
    lock_timeout: timedelta | None = None
    """How long one try may wait for a lock."""
    statement_timeout: timedelta | None = None
    """How long one statement may take."""
    owner: str | None = None
    """Role that runs the statements, as SQL spells it."""
    batch: Batch | None = None


def head_of(name: str, text: str) -> Head:
    """Read the directives of a file; raises UsageError for an unknown one, a wrong value, or the same one twice."""
    head = Head()
    lines: dict[str, int] = {}
    for line, said in _directives(name, text):
        directive, head = _with(head, said, f"{name}:{line}")
        if directive in lines:
            raise UsageError(f"{name}:{line}: {directive} is said in line {lines[directive]} already", "take one out")
        lines[directive] = line
    if head.batch and head.no_transaction:
        raise UsageError(f"{name}: batch runs without a transaction by itself", "take out no-transaction")
    return head


def is_directive(comment: str) -> bool:
    """Whether a comment is meant for us."""
    return bool(DIRECTIVE.fullmatch(comment) or WITHOUT_COLON.fullmatch(comment))


def first_word(text: str, start: int = 0) -> int:
    """Where what follows a place begins, without space and comments; the end of the text where nothing does."""
    return max((end for _, end in _passed_over(text, start)), default=start)


def _directives(name: str, text: str) -> Iterator[tuple[int, str]]:
    line, counted = 1, 0
    for begin, end in _passed_over(text, 0):
        comment = text[begin:end].strip()
        line += text.count("\n", counted, begin)
        counted = begin
        if said := DIRECTIVE.fullmatch(comment):
            yield line, said["said"]
        elif WITHOUT_COLON.fullmatch(comment) or IN_A_BLOCK.fullmatch(comment):
            raise UsageError(
                f"{name}:{line}: '{comment.splitlines()[0]}' is no directive", "the form is -- orderops: no-transaction"
            )


def _passed_over(text: str, at: int) -> Iterator[tuple[int, int]]:
    """The stretches of space and the comments from a place on, up to the first word."""
    while at < len(text):
        if space := SPACE.match(text, at):
            end = space.end()
        elif text.startswith("--", at):
            end = _found(text.find("\n", at), text)
        elif text.startswith("/*", at):
            end = _end_of_block(text, at)
        else:
            return
        yield at, end
        at = end


def _end_of_block(text: str, start: int) -> int:
    """Comments nest in PostgreSQL."""
    depth = 0
    for edge in BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _found(place: int, text: str) -> int:
    return place if place >= 0 else len(text)


def _with(head: Head, said: str, place: str) -> tuple[str, Head]:
    words = WORDS.fullmatch(said)
    directive = words["name"].lower() if words else ""
    value = words["value"] if words else ""
    match directive:
        case "no-transaction" if not value:
            return directive, replace(head, no_transaction=True)
        case "lock-timeout" if told := _duration(value):
            return directive, replace(head, lock_timeout=told)
        case "statement-timeout" if told := _duration(value):
            return directive, replace(head, statement_timeout=told)
        case "owner" if ROLE.fullmatch(value) and value.lower() not in NO_ROLE:
            return directive, replace(head, owner=value)
        case "batch" if (cut := BATCH.fullmatch(value)) and int(cut["size"]) > 0:
            return directive, replace(head, batch=Batch(int(cut["size"]), cut["key"]))
    if directive in KNOWN:
        raise UsageError(f"{place}: '{said}' is no {directive}", f"the form is -- orderops: {KNOWN[directive]}")
    alike = get_close_matches(directive, KNOWN, n=1)
    hint = f"did you mean {KNOWN[alike[0]]}?" if alike else f"there are: {', '.join(KNOWN.values())}"
    raise UsageError(f"{place}: orderops knows no '{said}'", hint)


def _duration(text: str) -> timedelta | None:
    """A time that is none, for no limit at all, is not to be had."""
    told = DURATION.fullmatch(text)
    milliseconds = int(told["count"]) * MILLISECONDS[told["unit"].lower()] if told else 0
    return timedelta(milliseconds=milliseconds) if 0 < milliseconds <= LONGEST else None
