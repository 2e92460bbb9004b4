"""What the execution of a pair in a scratch database says, as findings; it overrules what the rules read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orderops.frozen import Frozen, replace
from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.lint.syntax import lines

READ = ("undo-empty", "undo-incomplete", "undo-removes-more")
"""Rules that compare a U file with its V file by reading both."""
WRITES_ROWS = (
    "insert_stmt",
    "update_stmt",
    "delete_stmt",
    "merge_stmt",
    "truncate_stmt",
    "copy_stmt",
    "select_stmt",
    "do_stmt",
    "call_stmt",
)
"""Kinds of statements whose effect a comparison of schemas may miss."""
MOST_NAMED = 6
"""Objects that a message names."""


class NotExecuted(Frozen):
    """A file that was not run, and why."""

    file: Path
    reason: str


class Failure(Frozen):
    """A statement that the server refused."""

    file: Path
    line: int
    column: int
    message: str
    again: bool = False
    """Whether the V file was applied again, after its undo."""


@dataclass(frozen=True)
class SchemaDifference:
    """What differs after an undo from the schema before its V file."""

    left: Sequence[str] = ()
    """Objects that the V file made, or changed, and the U file leaves."""
    missing: Sequence[str] = ()
    """Objects that the V file removed, and the U file does not restore."""
    changed: Sequence[str] = ()
    """Objects that are not as they were before the V file, with both definitions."""
    taken: Sequence[str] = ()
    """Objects that were the same before and after the V file, and that the U file removes or changes."""


class Execution(Frozen):
    """What a scratch database has shown about the pair of one version."""

    not_executed: NotExecuted | None = None
    failure: Failure | None = None
    difference: SchemaDifference | None = None
    """None if there is none, or if the U file did not run to its end."""
    undone: bool = False
    """Whether the U file ran to its end."""

    @property
    def proven(self) -> bool:
        """Whether the undo leaves the schema as it was, and the V file can be applied again."""
        return self.undone and not (self.difference or self.failure or self.not_executed)


def with_executed(
    forwards: LintContext, back: LintContext, suspected: Sequence[Finding], execution: Execution
) -> list[Finding]:
    """The findings about a pair's undo: those that were read, unless the execution knows better, and its own."""
    if not back.statements:
        # The file does nothing. That the schema is as before proves it right where the V file writes no rows.
        right = execution.proven and not any(statement.kind in WRITES_ROWS for statement in forwards.statements)
        return [] if right else list(suspected)
    found = list(_of_difference(back, execution.difference)) if execution.difference else []
    if not execution.undone:
        return list(suspected)
    rewrites = {name: lines(*(other.rewrite for other in suspected if other.rule == name)) for name in READ}
    return [replace(finding, rewrite=rewrites[finding.rule], executed=True) for finding in found]


def run_findings(execution: Execution) -> Iterator[Finding]:
    """Yield what failed, or was not executed."""
    if failure := execution.failure:
        name = "undo-fails" if failure.file.name.startswith("U") else "apply-fails"
        after = "after its undo, it cannot be applied again: " if failure.again else "executed, the server refuses it: "
        yield _finding(name, failure.file, Spot(failure.line, failure.column), after + failure.message, executed=True)
    if left_out := execution.not_executed:
        yield _finding("not-executed", left_out.file, Spot(), left_out.reason, executed=False)


def _of_difference(back: LintContext, difference: SchemaDifference) -> Iterator[Finding]:
    last = back.statements[-1]
    parts = [
        ("leaves", difference.left),
        ("does not restore", difference.missing),
        ("does not leave as it was:", difference.changed),
    ]
    if incomplete := [f"{verb} {_named(things)}" for verb, things in parts if things]:
        yield back.finding("undo-incomplete", last, "executed, this " + "; ".join(incomplete))
    if difference.taken:
        what = "executed, this removes or changes what was the same before and after the V file: "
        what += _named(difference.taken)
        yield back.finding("undo-removes-more", last, what)


def _named(things: Sequence[str]) -> str:
    more = f" and {len(things) - MOST_NAMED} more" if len(things) > MOST_NAMED else ""
    return ", ".join(things[:MOST_NAMED]) + more


def _finding(name: str, file: Path, at: Spot, message: str, *, executed: bool) -> Finding:
    known = rule(name)
    return Finding(file, at.line, at.column, name, known.level if known else Level.ERROR, message, "", executed)
