"""Input of the lint rules: a file with its statements, ALTER TABLE commands, new tables and ignore comments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

from orderops.frozen import Frozen
from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.effects import Effects, effects
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.syntax import plain, walk
from orderops.migrations.sql.directives import Head
from orderops.migrations.sql.files import SqlFile, places
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement, tokens, without_data, words_at_top

IGNORE_WORD = "squawk-ignore"
IGNORE = re.compile(r"(?:--|/\*)\s*squawk-ignore(?P<file>-file)?(?![\w-])[ \t]*:?(?P<rules>[^*\n]*)")


class SourcePosition(Protocol):
    """Anything with a line and a column."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Spot(Frozen):
    """A position in a file."""

    line: int = 1
    column: int = 1


class Command(Frozen):
    """One command of an ALTER TABLE."""

    statement: Statement
    node: Any
    kind: str
    """The parser's name, such as AT_AddColumn."""
    begin: int
    """Position in the file, in characters."""
    end: int
    line: int
    column: int


@dataclass(frozen=True)
class LintContext:
    """A valid file."""

    file: SqlFile
    back: bool
    """Whether it is a U file."""
    head: Head
    statements: Sequence[Statement]
    history: SchemaHistory
    """The schema after the earlier migrations; for a U file after its V file too."""
    within: tuple[LintContext, Statement] | None = None
    """For the statements of a DO block: the file and the block."""
    whole: Sequence[Statement] = ()
    """The statements with the BEGIN and COMMIT of the file's own."""
    _defined: dict[int, list[Any]] = field(default_factory=dict, init=False, compare=False)

    @property
    def in_transaction(self) -> bool:
        """Whether the file runs in one transaction."""
        return not self.head.no_transaction and self.head.batch is None

    @cached_property
    def commands(self) -> list[Command]:
        """The commands of each ALTER TABLE, in order."""
        return [command for statement in self.statements for command in _commands(self.file.text, statement)]

    @cached_property
    def new_tables(self) -> dict[str, int]:
        """Tables that the file creates, with their positions; no client can use them yet."""
        return {
            name: statement.position for statement in reversed(self.statements) for name in tables_made_by(statement)
        }

    @cached_property
    def text_without_data(self) -> str:
        """The text with the data of COPY blanked out, so that positions stay."""
        return without_data(self.file)[0]

    @cached_property
    def text_lines(self) -> list[str]:
        """The lines of the text without data."""
        return self.text_without_data.split("\n")

    @cached_property
    def line_offsets(self) -> list[int]:
        """The position of each line, in characters."""
        return [0, *accumulate(len(line) + 1 for line in self.text_lines)]

    @cached_property
    def effects(self) -> Effects:
        """What the file creates and removes; for a U file by the names that it finds, else by those that it leaves."""
        return effects(self.statements, names="first" if self.back else "last")

    @cached_property
    def ignored(self) -> list[tuple[str, int, int]]:
        """Silenced rules with their first and last line; * is every rule."""
        if IGNORE_WORD not in self.text_without_data:
            return []
        return [ignored for comment in _comments(self.text_without_data) for ignored in self._silenced(*comment)]

    def columns_defined(self, statement: Statement) -> list[Any]:
        """The definitions of named columns in a statement, in the order of their text."""
        if statement.position not in self._defined:
            columns = (column for name, column in walk(statement.tree) if name == "column_def" and column.colname)
            self._defined[statement.position] = list(columns)
        return self._defined[statement.position]

    def is_new(self, table: str, statement: Statement) -> bool:
        """Whether an earlier statement of this file creates the table."""
        if self.within and self.within[0].is_new(table, self.within[1]):
            return True
        return self.new_tables.get(table, len(self.file.text)) < statement.position

    def is_made_anew(self, table: str, statement: Statement) -> bool:
        """Whether DROP … IF EXISTS is a precaution: no earlier file creates the table, and this one does."""
        if statement.kind != "drop_stmt" or not statement.tree.missing_ok or table not in self.new_tables:
            return False
        return all(known != table for known, _ in self.history.types)

    def ignores(self, finding: Finding) -> bool:
        """Whether a comment silences a finding."""
        return any(name in ("*", finding.rule) and first <= finding.line <= last for name, first, last in self.ignored)

    def finding(self, name: str, at: SourcePosition, message: str, rewrite: str = "") -> Finding:
        """Create a finding in this file, with the level from the catalog."""
        known = rule(name)
        level = known.level if known else Level.WARNING
        return Finding(self.file.path, at.line, at.column, name, level, message, rewrite)

    def _silenced(self, begin: int, end: int) -> list[tuple[str, int, int]]:
        text = self.text_without_data
        match = IGNORE.match(text, begin, end)
        if not match:
            return []
        rules = re.findall(r"[\w-]+", match["rules"]) or ["*"]
        first, last = self._reach(begin, end, whole=bool(match["file"]))
        return [(name, first, last) for name in rules]

    def _reach(self, begin: int, end: int, *, whole: bool) -> tuple[int, int]:
        """First and last line that a comment covers: within a statement two lines, else the statement next to it."""
        text = self.text_without_data
        line, last_line = places(text, begin)[0], places(text, end)[0]
        if whole:
            return 1, text.count("\n") + 1
        for statement in self.statements:
            stop = statement.position + len(statement.text)
            statement_ends = places(text, stop)[0]
            if statement.position < begin < stop:
                return line, last_line + 1
            if begin >= stop and line == statement_ends:
                return statement.line, statement_ends
            if begin < statement.position:
                return line, statement_ends
        return line, last_line


def tables_made_by(statement: Statement) -> list[str]:
    """List the tables that a statement creates, including temporary ones."""
    tree = statement.tree
    match statement.kind:
        case "create_stmt":
            return [plain(tree.relation)]
        case "create_table_as_stmt":
            return [plain(tree.into.rel)]
        case "select_stmt" if tree.HasField("into_clause"):
            return [plain(tree.into_clause.rel)]
    return []


def _commands(text: str, statement: Statement) -> list[Command]:
    if statement.kind != "alter_table_stmt":
        return []
    parts = [cmd.alter_table_cmd for cmd in statement.tree.cmds]
    words = list(words_at_top(statement.text))
    commas = [place for place, (word, _, _) in enumerate(words) if word == ","]
    begins = [words[place + 1][1] for place in commas]
    ends = [words[place][1] for place in commas]
    # A comma outside parentheses that separates no commands: point at the whole statement.
    if len(begins) + 1 != len(parts):
        begins, ends = [0] * (len(parts) - 1), [len(statement.text)] * (len(parts) - 1)
    found = []
    for node, begin, end in zip(parts, [0, *begins], [*ends, len(statement.text)], strict=True):
        line, column = places(text, statement.position + begin)
        start = statement.position + begin
        kind = enum_name(node, "subtype")
        found.append(Command(statement, node, kind, start, statement.position + end, line, column))
    return found


def _comments(text: str) -> list[tuple[int, int]]:
    return [(begin, end) for word, begin, end in tokens(text) if word.startswith(("--", "/*"))]
