"""The statements of a file, as PostgreSQL's own parser reads them, each with its place.

What psql understands and the server does not (meta-commands) is refused; data after COPY … FROM STDIN is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from orderops.errors import UsageError
from orderops.migrations.files import File, places

COPY_BLOCK = re.compile(
    r"^[ \t]*COPY\b[^;]*\bFROM\s+STDIN\b[^;]*;[ \t]*\n(?P<data>(?:.*\n)*?)\\\.[ \t]*(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
META = re.compile(r"\\\S+")
COMMENTS = ("SQL_COMMENT", "C_COMMENT")


@dataclass(frozen=True)
class Statement:
    """One statement of a file."""

    text: str
    position: int
    """Characters of the file before it."""
    line: int
    column: int
    node: Any
    """The parser's tree: a protobuf message of libpg_query."""
    data: str | None = None
    """The lines after COPY … FROM STDIN, without the last one."""

    @property
    def kind(self) -> str:
        """The parser's word for what it is, such as alter_table_stmt."""
        return str(self.node.WhichOneof("node"))

    @property
    def tree(self) -> Any:
        """What the parser made of it, without the wrapping."""
        return getattr(self.node, self.kind)

    @cached_property
    def digest(self) -> str:
        """What tells it from another statement, wherever it stands."""
        return hashlib.sha256(f"{self.text}\0{self.data or ''}".encode()).hexdigest()[:16]

    @property
    def begins(self) -> str:
        """Its first words, to be recognised by."""
        line = " ".join(self.text.split())
        return line if len(line) <= 72 else line[:71] + "…"


def read_script(file: File) -> list[Statement]:
    """The statements of a file; raises UsageError with line and column where it does not parse."""
    import postgast

    text, blocks = _without_data(file.text)
    try:
        parsed = postgast.parse(text)
    except postgast.PgQueryError as error:
        raise _unreadable(file, text, error) from None
    at = _places_of_bytes(text)
    length = len(text.encode())
    return [
        _statement(
            text,
            at(each.stmt_location),
            at(each.stmt_location + each.stmt_len if each.stmt_len else length),
            each.stmt,
            blocks,
        )
        for each in parsed.stmts
    ]


def tokens(text: str) -> list[tuple[str, int, int]]:
    """The words of a statement: each in capitals, with the characters where it begins and ends."""
    import postgast

    at = _places_of_bytes(text)
    return [
        (text[at(each.start) : at(each.end)].upper(), at(each.start), at(each.end))
        for each in postgast.scan(text).tokens
    ]


def masked(text: str) -> str:
    """A statement of somebody's, in one short line and without the values in it."""
    import postgast

    try:
        told = postgast.normalize(text)
    except postgast.PgQueryError:  # cut off by the server, or not SQL
        told = re.sub(r"'[^']*'?|\b\d+(\.\d+)?\b", "?", text)
    line = " ".join(told.split())
    return line if len(line) <= 80 else line[:79] + "…"


def identifier(schema: str, name: str) -> str:
    """A name as SQL spells it, with its schema where one is given."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name) if part)


def _places_of_bytes(text: str) -> Callable[[int], int]:
    """The parser counts bytes of UTF-8; answers the characters before one."""
    if text.isascii():
        return lambda byte: byte
    raw = text.encode()
    return lambda byte: len(raw[:byte].decode())


def _statement(text: str, start: int, end: int, node: Any, blocks: Sequence[tuple[int, str]]) -> Statement:
    """Without the space and the comments before it, and with the data behind it."""
    position = start + _first_word(text[start:end])
    line, column = places(text, position)
    data = next((data for place, data in blocks if place >= end and not text[end:place].strip(" \t\n;")), None)
    return Statement(text[position:end].rstrip(), position, line, column, node, data)


def _first_word(text: str) -> int:
    import postgast

    first = next((each for each in postgast.scan(text).tokens if _token_name(each) not in COMMENTS), None)
    return _places_of_bytes(text)(first.start) if first else 0


def _token_name(token: Any) -> str:
    return str(token.DESCRIPTOR.fields_by_name["token"].enum_type.values_by_number[token.token].name)


def _without_data(text: str) -> tuple[str, list[tuple[int, str]]]:
    """The text with COPY's data blanked out, so that every place stays, and the data by where it begins."""
    blocks = [(block.start("data"), block["data"]) for block in COPY_BLOCK.finditer(text)]
    pieces = [
        0,
        *(place for block in COPY_BLOCK.finditer(text) for place in (block.start("data"), block.end())),
        len(text),
    ]
    kept = "".join(
        text[start:end] if number % 2 == 0 else re.sub(r"[^\n]", " ", text[start:end])
        for number, (start, end) in enumerate(pairwise(pieces))
    )
    return kept, blocks


def _unreadable(file: File, text: str, error: Any) -> UsageError:
    position = max(0, (error.cursorpos or 1) - 1)
    line, column = places(text, position)
    place = f"{file.path}:{line}:{column}"
    if meta := META.match(text, position):
        return UsageError(f"{place}: {meta[0]} is a command of psql, not SQL", "take it out: a migration is plain SQL")
    shown = text.splitlines()[line - 1].strip() if text.splitlines() else ""
    return UsageError(f"{place}: {error.message}\n{shown}", f"mend {file.path}; nothing of it was applied")


def words_at_top(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a statement that stand in no parentheses."""
    depth = 0
    for word, start, end in tokens(text):
        depth -= word in (")", "]")
        if depth == 0:
            yield word, start, end
        depth += word in ("(", "[")
