"""Text reaches the terminal by one way, which escapes it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import orderops
from support.syntax_trees import nodes

SOURCE = Path(orderops.__file__).parent
MODULES = {
    ".".join(file.relative_to(SOURCE).with_suffix("").parts): file
    for file in sorted(SOURCE.rglob("*.py"))
    if "service" not in file.relative_to(SOURCE).parts[:1]
}
# Who may use these names, and why.
ALLOWED = {
    ("ui.console", "Terminal"): "the two consoles",
    ("ui.console", ".file.write"): "documents for other programs, and escaped lines without Rich's layout",
    ("ui.background", "sys.stderr"): "hands on what the console has escaped",
    ("ui.escaping", "rich.markup"): "the function that escapes",
    ("cli.__init__", "sys.stdout"): "is flushed, so that an error can still be reported",
    ("cli.__init__", "sys.stderr"): "is closed when its reader has ended",
    ("cli.remote_entrypoint", "sys.__stdout__"): "the log of a task, whose lines are escaped where they are shown",
    ("rehearsal.load_client", "sys.stdout"): "a pipe to the process that started it",
}
STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
PRINTERS = ("echo", "secho", "echo_via_pager")


def ways_out(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the places that could write to the terminal past the console, each with its name."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="print" | "input" as name)) if not (name == "input" and not node.args):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id="Console" | "Terminal" as name)):
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="sys"), attr=attr) if attr in STREAMS:
                yield node.lineno, f"sys.{attr}"
            case ast.Attribute(value=ast.Name(id="os"), attr="write" | "writev" | "system" as attr):
                yield node.lineno, f"os.{attr}"
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in PRINTERS:
                yield node.lineno, attr
            case ast.Attribute(value=ast.Attribute(attr="file"), attr="write"):
                yield node.lineno, ".file.write"
            case ast.ImportFrom(module="rich.markup") | ast.ImportFrom(module="rich", names=[ast.alias(name="markup")]):
                yield node.lineno, "rich.markup"
            case ast.ImportFrom(module="rich", names=names) if any(alias.name == "print" for alias in names):
                yield node.lineno, "rich.print"


@cache
def all_ways_out() -> list[tuple[str, int, str]]:
    """The module, line and name of each place in our source."""
    return [(name, line, way) for name, file in MODULES.items() for line, way in ways_out(nodes(file))]


def test_nothing_is_printed_past_the_console() -> None:
    assert [(name, line, way) for name, line, way in all_ways_out() if (name, way) not in ALLOWED] == []


def test_every_exception_is_still_used() -> None:
    assert set(ALLOWED) <= {(name, way) for name, _, way in all_ways_out()}


@pytest.mark.parametrize(
    "line",
    [
        "print('a')",
        "sys.stdout.write(name)",
        "typer.echo(name)",
        "click.secho(name)",
        "out.file.write(name)",
        "rich.console.Console(); Console()",
        "os.write(1, name)",
        "from rich.markup import escape",
        "from rich import markup",
        "from rich import print",
        "input(name)",
    ],
)
def test_each_way_past_the_console_is_found(line: str) -> None:
    assert list(ways_out(ast.walk(ast.parse(line))))


# Of the calls that take Rich's markup, what an f-string may hold besides escaped text: values of our own.
MARKUP = ("print", "out_folded", "out_cut", "add_row")
OURS = {
    "' ' * len(FIX) if number else FIX", "', '.join(counts)", "COLOURS[line.status]", "COLOURS[where]",
    "DONE[step.action]", "FIX", "LEVEL_COLOURS[finding.level]", "_effect_text(change.effect)", "_when(attempt)",
    "action", "attempt.version", "blocked", "blocks", "change", "colour", "counted(len(error.failures), 'step')",
    "description", "effect", "finding.level", "item.where", "lag", "lead", "ledger", "line.status", "line.version",
    "lock.mode", "measured(report.seconds)", "moment", "no", "note", "outcome", "policy['for']", "rest", "rows",
    "run['started'][:19]", "sequence.lag", "server", "side", "sign", "size", "state", "statement.line",
    "status['verdict']", "step.action", "took", "totals", "utc_and_local(instance.moment)", "where", "word", "yes",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("ui.")])
def test_text_in_markup_is_escaped_or_our_own(name: str) -> None:
    found = [
        (node.lineno, ast.unparse(value.value))
        for node in nodes(MODULES[name])
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in MARKUP
        for argument in node.args
        for value in (argument.values if isinstance(argument, ast.JoinedStr) else ())
        if isinstance(value, ast.FormattedValue) and not ast.unparse(value.value).startswith("escape(")
    ]

    assert [place for place in found if place[1] not in OURS] == []
