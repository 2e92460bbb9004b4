"""No rewrite without a case that a server has run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from orderops.migrations.lint import column_steps, partitions, rewrites
from orderops.migrations.lint.catalog import ERRORS, WARNINGS
from support.rewrite_cases import CASES, found_in

NONE = "it has no rewrite"
NO_SQL = {
    "syntax-error": "the file cannot be read",
    "wrong-directive": "the head cannot be read",
    "cannot-be-applied": "comments with the hint of apply",
    "version-gap": "names of files",
    "undo-named-otherwise": "names of files",
    "version-digits": "names of files",
    "version-empty": "there is nothing to rewrite",
    "undo-empty": "in test_rewrites_on_a_server, UNDONE",
    "undo-incomplete": "of the same parts as undo-empty",
    "undo-removes-more": "comments",
    "undo-fails": "a message of the server",
    "apply-fails": "a message of the server",
    "unreadable-statement": NONE,
    "identifier-too-long": NONE,
    "ban-duplicate-column-assignments": NONE,
    "ban-create-domain-with-constraint": NONE,
    "ban-alter-domain-with-add-constraint": NONE,
    "unused-ignore": NONE,
}
"""Rules without a case, and why."""


def test_every_rule_with_a_rewrite_has_a_case(tmp_path: Path) -> None:
    proven = set()
    for number, case in enumerate(CASES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        proven |= {finding.rule for finding in found_in(folder, case)}

    assert ERRORS.keys() | WARNINGS.keys() == proven | NO_SQL.keys()


@pytest.mark.parametrize("module", [rewrites, column_steps, partitions], ids=lambda module: module.__name__)
def test_the_cases_run_every_line_that_writes_a_rewrite(module: ModuleType, tmp_path: Path) -> None:
    assert module.__file__
    written = {
        line
        for code in codes_of(compile(Path(module.__file__).read_text(), module.__file__, "exec"))
        for line in lines_of(code)
    }
    with traced(module.__file__) as run:
        for number, case in enumerate(CASES.values()):
            folder = tmp_path / str(number)
            folder.mkdir()
            found_in(folder, case)

    assert sorted(written - run) == []


def codes_of(whole: CodeType) -> Iterator[CodeType]:
    """The functions of a module."""
    for constant in whole.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_of(constant)


def lines_of(code: CodeType) -> set[int]:
    return {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}


@contextmanager
def traced(path: str) -> Iterator[set[int]]:
    """The lines of a module that are run meanwhile."""
    run: set[int] = set()

    def within(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            run.add(frame.f_lineno)
        return within

    before = sys.gettrace()
    sys.settrace(lambda frame, _event, _argument: within if frame.f_code.co_filename == path else None)
    try:
        yield run
    finally:
        sys.settrace(before)
