"""The head comments of a migration: the only directives there are, `-- orderops: …` before the first statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches

from orderops.errors import UsageError

LINE = re.compile(r"--\s*orderops:[ \t]*(?P<said>.*?)\s*")
WORDS = re.compile(r"(?P<name>[a-z-]+)\s*(?P<value>.*)", re.IGNORECASE)
BATCH = re.compile(r"(?P<size>\d{1,9}) by (?P<key>\"[^\"]+\"|[a-z_][a-z0-9_$]*)", re.IGNORECASE)
DURATION = re.compile(r"(?P<count>\d{1,9})\s*(?P<unit>ms|s|min|h)")
MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}
ROLE = re.compile(r"\"[^\"]+\"|[a-z_][a-z0-9_$]*", re.IGNORECASE)
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
    """Read the directives of a file; raises UsageError for an unknown one, a wrong value, or one outside the head."""
    head = Head()
    for number, said in _directives(name, text):
        head = _with(head, said, f"{name}:{number}")
    if head.batch and head.no_transaction:
        raise UsageError(f"{name}: batch runs without a transaction by itself", "take out no-transaction")
    return head


def _directives(name: str, text: str) -> Iterator[tuple[int, str]]:
    in_head, in_comment = True, False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        said = LINE.fullmatch(stripped)
        if said and not in_comment:
            if not in_head:
                raise UsageError(
                    f"{name}:{number}: '{stripped}' stands after the first statement",
                    "put it into the head of the file",
                )
            yield number, said["said"]
        elif in_head and not in_comment:
            in_comment = stripped.startswith("/*") and "*/" not in stripped
            in_head = not stripped or stripped.startswith(("--", "/*"))
        elif in_comment:
            in_comment = "*/" not in stripped


def _with(head: Head, said: str, place: str) -> Head:
    words = WORDS.fullmatch(said)
    directive = words["name"].lower() if words else ""
    value = words["value"] if words else ""
    match directive:
        case "no-transaction" if not value:
            return replace(head, no_transaction=True)
        case "lock-timeout" if told := _duration(value):
            return replace(head, lock_timeout=told)
        case "statement-timeout" if told := _duration(value):
            return replace(head, statement_timeout=told)
        case "owner" if ROLE.fullmatch(value):
            return replace(head, owner=value)
        case "batch" if (cut := BATCH.fullmatch(value)) and int(cut["size"]) > 0:
            return replace(head, batch=Batch(int(cut["size"]), cut["key"]))
    if directive in KNOWN:
        raise UsageError(f"{place}: '{said}' is no {directive}", f"the form is -- orderops: {KNOWN[directive]}")
    alike = get_close_matches(directive, KNOWN, n=1)
    hint = f"did you mean {KNOWN[alike[0]]}?" if alike else f"there are: {', '.join(KNOWN.values())}"
    raise UsageError(f"{place}: orderops knows no '{said}'", hint)


def _duration(text: str) -> timedelta | None:
    told = DURATION.fullmatch(text)
    return timedelta(milliseconds=int(told["count"]) * MILLISECONDS[told["unit"]]) if told else None
