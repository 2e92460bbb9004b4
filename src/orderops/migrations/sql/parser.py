"""The statements of a file, as PostgreSQL's own parser reads them, each with its place.

What psql understands and the server does not (meta-commands) is refused; data after COPY … FROM STDIN is kept.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from orderops.errors import UsageError
from orderops.migrations.sql.directives import first_word
from orderops.migrations.sql.files import SqlFile, places

STDIN = re.compile(r"\bSTDIN\b", re.IGNORECASE)
REST_OF_LINE = re.compile(r"[ \t]*(?:--[^\n]*)?\n")
END_OF_DATA = re.compile(r"^\\\.$\n?", re.MULTILINE)
META = re.compile(r"\\\S+")
VARIABLE = re.compile(r":(?:[a-z_]\w*|'[^'\n]*'|\"[^\"\n]*\")", re.IGNORECASE)
PASSWORD = re.compile(r"(\bpassword\s+)'[^']*'", re.IGNORECASE)
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

    @cached_property
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
        line = " ".join(PASSWORD.sub(r"\1'…'", self.text).split())
        return line if len(line) <= 72 else line[:71] + "…"


def read_script(file: SqlFile) -> list[Statement]:
    """The statements of a file; raises UsageError with line and column where it does not parse."""
    import postgast

    text, data = without_data(file)
    try:
        parsed = postgast.parse(text)
    except postgast.PgQueryError as error:
        raise _unreadable(file, text, error) from None
    at = _places_of_bytes(text)
    length = len(text.encode())
    script: list[Statement] = []
    line, counted = 1, 0
    for stmt in parsed.stmts:
        start = at(stmt.stmt_location)
        end = at(stmt.stmt_location + stmt.stmt_len if stmt.stmt_len else length)
        position = min(first_word(text, start), end)
        line += text.count("\n", counted, position)
        counted = position
        column = position - text.rfind("\n", 0, position)
        script.append(Statement(text[position:end].rstrip(), position, line, column, stmt.stmt, data.get(end)))
    return script


def comments(file: SqlFile) -> Iterator[tuple[str, int]]:
    """The comments of a file that parses, each with its place."""
    import postgast

    text, _ = without_data(file)
    at = _places_of_bytes(text)
    for token in postgast.scan(text).tokens:
        if _token_name(token) in COMMENTS:
            begin = at(token.start)
            yield text[begin : at(token.end)], begin


def tokens(text: str) -> list[tuple[str, int, int]]:
    """The words of a statement: each in capitals, with the characters where it begins and ends."""
    import postgast

    at = _places_of_bytes(text)
    return [
        (text[at(token.start) : at(token.end)].upper(), at(token.start), at(token.end))
        for token in postgast.scan(text).tokens
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
    """The parser counts bytes of UTF-8; answers the characters before one, quickly where asked from front to back."""
    if text.isascii():
        return lambda byte: byte
    raw = text.encode()
    bytes_before, characters_before = 0, 0

    def characters(byte: int) -> int:
        nonlocal bytes_before, characters_before
        if byte < bytes_before:
            bytes_before, characters_before = 0, 0
        characters_before += len(raw[bytes_before:byte].decode())
        bytes_before = byte
        return characters_before

    return characters


def _token_name(token: Any) -> str:
    return str(token.DESCRIPTOR.fields_by_name["token"].enum_type.values_by_number[token.token].name)


def without_data(file: SqlFile) -> tuple[str, dict[int, str]]:
    """The text with COPY's data blanked out, so that every place stays, and the data by where its statement ends."""
    text = file.text
    data: dict[int, str] = {}
    kept: list[str] = []
    passed = base = 0
    for word in STDIN.finditer(text):
        whole = _statement_around(text, base, word.end()) if word.start() >= base else None
        if whole is None:
            continue
        words, base = whole
        rest = REST_OF_LINE.match(text, base) if _copies(words) else None
        if rest is None:
            continue
        last = END_OF_DATA.search(text, rest.end())
        if last is None:
            line, column = places(text, words[0][1])
            raise UsageError(
                f"{file.path}:{line}:{column}: the data of COPY … FROM STDIN has no end", r"end it with a line \."
            )
        data[base - 1] = text[rest.end() : last.start()]
        kept += [text[passed : rest.end()], re.sub(r"[^\n]", " ", text[rest.end() : last.end()])]
        passed = base = last.end()
    return "".join([*kept, text[passed:]]), data


def _copies(words: Sequence[tuple[str, int]]) -> bool:
    """Whether a statement is COPY … FROM STDIN."""
    names = [name for name, _ in words]
    return names[:1] == ["COPY"] and ("FROM", "STDIN") in pairwise(names)


def _statement_around(text: str, base: int, place: int) -> tuple[list[tuple[str, int]], int] | None:
    """The words of the statement that holds a place, each with where it begins, and the place behind its semicolon.

    `base` is a place between two words. A semicolon within a body, a value or a comment ends no statement: up to there
    the text cannot be scanned, or the semicolon is no word of its own.
    """
    import postgast

    while (place := text.find(";", place) + 1) > 0:
        try:
            found = postgast.scan(text[base:place]).tokens
        except postgast.PgQueryError:
            continue
        at = _places_of_bytes(text[base:place])
        words = [(base + at(each.start), base + at(each.end)) for each in found if _token_name(each) not in COMMENTS]
        if words and words[-1][1] == place:
            said = [(text[begins:ends].upper(), begins) for begins, ends in words]
            before = max((number for number, (word, _) in enumerate(said[:-1], 1) if word == ";"), default=0)
            return said[before:], place
    return None


def _unreadable(file: SqlFile, text: str, error: Any) -> UsageError:
    position = max(0, (error.cursorpos or 1) - 1)
    line, column = places(text, position)
    place = f"{file.path}:{line}:{column}"
    for pattern, what in ((META, "a command"), (VARIABLE, "a variable")):
        if found := pattern.match(text, position):
            return UsageError(
                f"{place}: {found[0]} is {what} of psql, not SQL", "take it out: a migration is plain SQL"
            )
    whole = text.split("\n")[line - 1]
    hidden = next((number for number, each in enumerate(whole, 1) if _is_hidden(each)), None)
    hint = f"mend {file.path}; nothing of it was applied"
    if hidden:
        name = unicodedata.name(whole[hidden - 1], "a character that nobody sees")
        hint = f"take out {name} at column {hidden}: it looks like nothing or like a space, and is neither"
    return UsageError(f"{place}: {error.message}\n{whole.strip()}", hint)


def _is_hidden(character: str) -> bool:
    """Whether a character is a space that SQL does not know, or prints nothing."""
    return character not in " \t" and unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cf", "Cc")


def words_at_top(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a statement that stand in no parentheses."""
    depth = 0
    for word, start, end in tokens(text):
        depth -= word in (")", "]")
        if depth == 0:
            yield word, start, end
        depth += word in ("(", "[")
