"""Statements inside a DO block, and in a function that a file calls: PostgreSQL runs them like the others.

A context of its own holds them, so that all rules read them; their findings point at the lines of the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orderops.errors import UsageError
from orderops.frozen import Frozen, replace
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import dotted, lines, strings
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement, read_script

CHANGES_SCHEMA = re.compile(
    r"\b(ALTER\s+(TABLE|INDEX|TYPE|SCHEMA)|CREATE\s+(UNIQUE\s+)?INDEX|DROP\s+\w+|TRUNCATE|REINDEX|CLUSTER)\b",
    re.IGNORECASE,
)
OUTSIDE = "-- as statements of the file, where the condition of the block allows it:"


class Block(Frozen):
    """The statements of a DO block or of a called function."""

    context: LintContext
    """They as a file of their own."""
    outer_lines: Sequence[int]
    """The line of each statement in the migration."""
    name: str
    """What runs them, in words."""
    unreadable: Sequence[int]
    """Lines in the migration at which EXECUTE runs a statement that is built from parts."""

    def outside(self, finding: Finding) -> Finding:
        """The finding with its position in the migration."""
        places = [statement.line for statement in self.context.statements]
        number = max((number for number, line in enumerate(places) if line <= finding.line), default=0)
        line = self.outer_lines[number] + finding.line - places[number]
        rewrite = lines(OUTSIDE, finding.rewrite) if finding.rewrite else ""
        return replace(finding, line=line, column=1, message=f"in {self.name}: {finding.message}", rewrite=rewrite)

    def unreadable_statements(self) -> Iterator[Finding]:
        """Yield a finding for each EXECUTE that changes the schema and cannot be read."""
        for line in self.unreadable:
            why = f"in {self.name}: EXECUTE builds a statement that changes the schema, and lint cannot read it"
            yield self.context.finding("unreadable-statement", Spot(line), why)


def blocks(context: LintContext) -> Iterator[Block]:
    """Yield the blocks and called functions of a file that hold statements."""
    functions = dict(context.history.functions)
    for statement in context.statements:
        if statement.kind == "create_function_stmt":
            functions[dotted(strings(statement.tree.funcname))] = statement
        elif statement.kind == "do_stmt":
            opening = statement.text.partition("$")[0] if "$" in statement.text else ""
            begin = statement.line + opening.count("\n")
            found = [(text, begin + line - 1, dynamic) for text, line, dynamic in _statements(statement)]
            yield from _block(context, statement, "a DO block", found)
        elif (name := _called(statement)) in functions:
            found = [(text, statement.line, dynamic) for text, _, dynamic in _statements(functions[name])]
            yield from _block(context, statement, f"the function {name}", found)


def _block(context: LintContext, runs: Statement, name: str, found: Sequence[tuple[str, int, bool]]) -> Iterator[Block]:
    readable, places, unreadable = list[str](), list[int](), list[int]()
    for text, line, dynamic in found:
        static = _literal(text) if dynamic else text
        inner = _parsed(context, static)
        if len(inner) == 1:
            readable.append(f"{static.strip()}\n;\n")
            places.append(line)
        elif dynamic and not static and CHANGES_SCHEMA.search(text):
            unreadable.append(line)
    if readable or unreadable:
        file = SqlFile(context.file.path, "".join(readable))
        whole = LintContext(file, context.back, context.head, read_script(file), context.history, (context, runs))
        yield Block(whole, places, name, unreadable)


def _called(statement: Statement) -> str:
    """The function that a SELECT or CALL of nothing else runs."""
    if statement.kind == "call_stmt":
        return dotted(strings(statement.tree.funccall.funcname))
    if statement.kind != "select_stmt" or len(statement.tree.target_list) != 1 or statement.tree.from_clause:
        return ""
    value = statement.tree.target_list[0].res_target.val
    return dotted(strings(value.func_call.funcname)) if value.HasField("func_call") else ""


def _statements(statement: Statement) -> Iterator[tuple[str, int, bool]]:
    """The statements of a body with their lines in it, and whether each is an expression that EXECUTE runs."""
    import postgast

    options = {option.def_elem.defname: option.def_elem.arg for option in _options(statement)}
    language = options["language"].string.sval if "language" in options else "plpgsql"
    if language == "sql" and "as" in options:
        body = SqlFile(Path(), options["as"].list.items[0].string.sval)
        yield from ((inner.text, inner.line, False) for inner in _parsed_file(body))
    elif language == "plpgsql":
        try:
            yield from _of_tree(postgast.parse_plpgsql(statement.text))
        except postgast.PgQueryError:
            return


def _options(statement: Statement) -> Any:
    return statement.tree.args if statement.kind == "do_stmt" else statement.tree.options


def _of_tree(node: Any, line: int = 1) -> Iterator[tuple[str, int, bool]]:
    """Walk the tree of PL/pgSQL in the order of its text."""
    if isinstance(node, list):
        for part in node:
            yield from _of_tree(part, line)
    elif isinstance(node, dict):
        line = node.get("lineno", line)
        for key, part in node.items():
            if key == "PLpgSQL_stmt_execsql":
                yield part["sqlstmt"]["PLpgSQL_expr"]["query"], part.get("lineno", line), False
            elif key == "PLpgSQL_stmt_dynexecute":
                yield part["query"]["PLpgSQL_expr"]["query"], part.get("lineno", line), True
            elif key == "PLpgSQL_stmt_perform":
                continue
            else:
                yield from _of_tree(part, line)


def _literal(expression: str) -> str:
    """The text of an expression that is one literal; empty for others."""
    parsed = _parsed_file(SqlFile(Path(), f"SELECT {expression}"))
    if len(parsed) != 1 or parsed[0].kind != "select_stmt":
        return ""
    return str(parsed[0].tree.target_list[0].res_target.val.a_const.sval.sval)


def _parsed(context: LintContext, text: str) -> list[Statement]:
    return _parsed_file(SqlFile(context.file.path, text)) if text else []


def _parsed_file(file: SqlFile) -> list[Statement]:
    """The statements of a text; none if PostgreSQL's parser cannot read it, such as with variables in odd places."""
    try:
        return read_script(file)
    except UsageError:
        return []
