"""The statements of a file with their positions, read by PostgreSQL's own parser.

Meta-commands and variables of psql are errors, since the server does not know them. Data of COPY … FROM STDIN is kept.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from typing import Any

from orderops.errors import UsageError
from orderops.frozen import Frozen
from orderops.migrations.sql.directives import first_word
from orderops.migrations.sql.files import SqlFile, places, unix_lines

# pg_dump writes \restrict since August 2025 (CVE-2025-8714): up to \unrestrict, psql runs no command of its own.
STDIN_OR_RESTRICT = re.compile(
    r"\bSTDIN\b|^\\(?:un)?(?P<restrict>restrict) [a-z0-9]+[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
REST_OF_LINE = re.compile(r"[ \t]*(?:--[^\r\n]*)?\r?\n")
END_OF_DATA = re.compile(r"^\\\.\r?(?:\n|\Z)", re.MULTILINE)
META = re.compile(r"\\\S+")
MANAGED_SETTINGS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
"""Timeouts that orderops sets for every statement."""
# :name, :'name' and :"name" are replaced by psql before the server sees them.
VARIABLE = re.compile(r":(?:[a-z_]\w*|'[^'\n]*'|\"[^\"\n]*\")", re.IGNORECASE)
# CREATE ROLE … PASSWORD 'secret' must not reach a message or a log.
PASSWORD = re.compile(
    r"(\bpassword\s*=?\s*)(?:E'(?:[^'\\]|\\.|'')*'|(?:U&)?'(?:[^']|'')*'|\$(\w*)\$.*?\$\2\$|[^\s';,]+(?=[^';]*'))",
    re.IGNORECASE | re.DOTALL,
)
# The parts of a statement in which values can stand, also where the server has cut it off; and quoted names.
VALUES = re.compile(
    r"""(?P<name>"(?:[^"]|"")*"?)
    | (?P<comment>/\*|--[^\n]*)
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
    | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
    | (?<![\w$.])(?:\d[\w.]*|\.\d\w*)(?:(?<=[eE])[+-]\d+)?""",
    re.VERBOSE | re.DOTALL,
)
NESTED = re.compile(r"/\*|\*/")
SEMICOLON = "ASCII_59"
COMMENTS = ("SQL_COMMENT", "C_COMMENT")


class Statement(Frozen):
    """One statement of a file."""

    text: str
    position: int
    """Position in the file, in characters."""
    line: int
    column: int
    node: Any
    """The parser's tree: a protobuf message of libpg_query."""
    data: str | None = None
    """The data of COPY … FROM STDIN, without the line that ends it."""

    @cached_property
    def kind(self) -> str:
        """The parser's name for its kind, such as alter_table_stmt."""
        return str(self.node.WhichOneof("node"))

    @property
    def tree(self) -> Any:
        """The parse tree of the statement itself."""
        return getattr(self.node, self.kind)

    @cached_property
    def digest(self) -> str:
        """Hash of its text and data, independent of its position and of line ends."""
        return hashlib.sha256(unix_lines(f"{self.text}\0{self.data or ''}").encode()).hexdigest()[:16]

    @property
    def begins(self) -> str:
        """Its first 72 characters in one line, with passwords masked."""
        line = " ".join(PASSWORD.sub(r"\1'…'", self.text).split())
        return line if len(line) <= 72 else line[:71] + "…"


def read_script(file: SqlFile) -> list[Statement]:
    """Parse a file into statements; raises UsageError with line and column if it is invalid."""
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
        # libpg_query counts the comments before a statement as part of it.
        position = min(first_word(text, start), end)
        line += text.count("\n", counted, position)
        counted = position
        column = position - text.rfind("\n", 0, position)
        statement = Statement(text[position:end].rstrip(), position, line, column, stmt.stmt, data.get(end))
        # pg_dump turns the timeouts off at its beginning; a migration keeps those that protect the clients.
        if not (file.is_dump and statement.kind == "variable_set_stmt" and statement.tree.name in MANAGED_SETTINGS):
            script.append(statement)
    return script


def comments(file: SqlFile) -> Iterator[tuple[str, int]]:
    """Yield the comments of a valid file with their positions."""
    import postgast

    text, _ = without_data(file)
    at = _places_of_bytes(text)
    for token in postgast.scan(text).tokens:
        if _token_name(token) in COMMENTS:
            begin = at(token.start)
            yield text[begin : at(token.end)], begin


def tokens(text: str) -> list[tuple[str, int, int]]:
    """The tokens of a statement in upper case, with their begin and end in characters."""
    import postgast

    at = _places_of_bytes(text)
    return [
        (text[at(token.start) : at(token.end)].upper(), at(token.start), at(token.end))
        for token in postgast.scan(text).tokens
    ]


def masked(text: str) -> str:
    """A statement of another session in one short line, with its values replaced and without its comments."""
    import postgast

    with suppress(postgast.PgQueryError):  # cut off by the server, or not SQL
        text = postgast.normalize(text)
    # Also after that: comments stay, and so do the values of statements such as COMMENT, SET and DO.
    line = " ".join(_without_values(text).split())
    return line if len(line) <= 80 else line[:79] + "…"


def without_comments(text: str) -> str:
    """A text with a space in place of each comment: clients put ids and names of their users there."""
    return _without(text, values=False)


def _without_values(text: str) -> str:
    """A text with a question mark in place of each value, and a space in place of each comment."""
    return _without(text, values=True)


def _without(text: str, *, values: bool) -> str:
    kept: list[str] = []
    passed = 0
    while found := VALUES.search(text, passed):
        kept.append(text[passed : found.start()])
        passed = found.end()
        if found["comment"] is not None:
            kept.append(" ")
            passed = _comment_end(text, found) if found[0] == "/*" else passed
        else:
            kept.append("?" if values and found["name"] is None else found[0])
    return "".join([*kept, text[passed:]])


def _comment_end(text: str, begin: re.Match[str]) -> int:
    """The end of a comment, whose inner comments count (PostgreSQL docs, section 4.1.5)."""
    depth = 1
    for mark in NESTED.finditer(text, begin.end()):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)


def identifier(schema: str, name: str) -> str:
    """A quoted name, with its schema if one is given."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name) if part)


def _places_of_bytes(text: str) -> Callable[[int], int]:
    """Return a function from byte offsets to character offsets, fast for ascending offsets."""
    # libpg_query counts bytes of UTF-8, Python characters.
    if text.isascii():
        # The usual case: bytes and characters are the same.
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
    """The text with COPY's data and psql's restrictions blanked out, so that positions stay.

    Also returns the data, by the end of its statement.
    """
    text = file.text
    data: dict[int, str] = {}
    kept: list[str] = []
    passed = base = 0
    for word in STDIN_OR_RESTRICT.finditer(text):
        if word.start() < base:
            continue
        if word["restrict"]:
            if _ends_between_statements(text[base : word.start()]):
                kept += [text[passed : word.start()], " " * len(word[0])]
                passed = base = word.end()
            continue
        whole = _statement_around(text, base, word.end())
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


def _ends_between_statements(text: str) -> bool:
    import postgast

    try:
        found = [token for token in postgast.scan(text).tokens if _token_name(token) not in COMMENTS]
    except postgast.PgQueryError:  # within a value, a body or a comment
        return False
    return not found or _token_name(found[-1]) == SEMICOLON


def _copies(words: Sequence[tuple[str, int]]) -> bool:
    """Whether a statement is COPY … FROM STDIN."""
    names = [name for name, _ in words]
    return names[:1] == ["COPY"] and ("FROM", "STDIN") in pairwise(names)


def _statement_around(text: str, base: int, place: int) -> tuple[list[tuple[str, int]], int] | None:
    """The words of the statement at `place` with their positions, and the position after its semicolon.

    `base` is a position between two words. A semicolon in a body, a value or a comment ends no statement: up to there
    the text cannot be scanned, or the semicolon is not a token.
    """
    import postgast

    while (place := text.find(";", place) + 1) > 0:
        try:
            found = postgast.scan(text[base:place]).tokens
        except postgast.PgQueryError:
            continue
        at = _places_of_bytes(text[base:place])
        words = [
            (base + at(token.start), base + at(token.end)) for token in found if _token_name(token) not in COMMENTS
        ]
        if words and words[-1][1] == place:
            upper_words = [(text[begins:ends].upper(), begins) for begins, ends in words]
            before = max((number for number, (word, _) in enumerate(upper_words[:-1], 1) if word == ";"), default=0)
            return upper_words[before:], place
    return None


def _unreadable(file: SqlFile, text: str, error: Any) -> UsageError:
    position = max(0, (error.cursorpos or 1) - 1)
    line, column = places(text, position)
    place = f"{file.path}:{line}:{column}"
    for pattern, what in ((META, "a command"), (VARIABLE, "a variable")):
        if found := pattern.match(text, position):
            return UsageError(f"{place}: {found[0]} is {what} of psql, not SQL", "remove it: a migration is plain SQL")
    whole = text.split("\n")[line - 1].rstrip("\r")
    hidden = next((number for number, character in enumerate(whole, 1) if _is_hidden(character)), None)
    hint = f"fix {file.path}; nothing of it was applied"
    if hidden:
        name = unicodedata.name(whole[hidden - 1], "an invisible character")
        hint = f"remove {name} at column {hidden}: it is invisible or looks like a space"
    return UsageError(f"{place}: {error.message}\n{whole.strip()}", hint)


def _is_hidden(character: str) -> bool:
    """Whether a character is invisible, or a space that SQL does not accept."""
    return character not in " \t" and unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cf", "Cc")


def words_at_top(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the tokens of a statement outside parentheses."""
    depth = 0
    for word, start, end in tokens(text):
        depth -= word in (")", "]")
        if depth == 0:
            yield word, start, end
        depth += word in ("(", "[")
