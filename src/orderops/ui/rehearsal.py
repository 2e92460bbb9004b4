"""The report of a rehearsal: the verdict on each migration with what matters below it, then the verdict on all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from orderops.rehearsal.markdown import size, waits
from orderops.rehearsal.report import Impact, MigrationReport, Report, Stall, StatementReport
from orderops.rehearsal.verdict import MAX_BROKEN_QUERIES as NAMED
from orderops.rehearsal.verdict import NOTICED_FROM
from orderops.text.durations import measured
from orderops.ui.console import data, info, out
from orderops.ui.escaping import escape

COLOURS = {
    Impact.SAFE: "green",
    Impact.UNSEEN: "yellow",
    Impact.BLOCKS: "yellow",
    Impact.STOPS: "red",
    Impact.BREAKS: "bold red",
    Impact.FAILS: "bold red",
}
WIDTH = 80
LONG = 1.0
"""Seconds from which a statement is shown even if it blocked no query."""
MUCH = 10_000_000
"""Bytes of WAL from which a statement is shown, since replicas have to receive them."""
FEW = 4
"""Names that are listed one by one."""


def show(report: Report) -> None:
    """Show each migration, then the verdict on all of them."""
    for migration in report.migrations:
        _show_migration(migration)
    for note in report.notes:
        info(f"note: {note}")
    if report.dump:
        info(f"pg_dump before and after all undos: {report.dump}")
    colour = COLOURS[report.verdict.impact]
    for line in _folded(report.verdict.sentence):
        out.print(f"[{colour}]{escape(line)}[/]")


def next_step(report: Report, options: str) -> str:
    """Return what to type next; `options` lead to the same environment and files."""
    if report.file_to_fix:
        return f"next: fix {report.file_to_fix}, then run: orderops migrate rehearsal {options}"
    return f"next: orderops migrate apply {options}"


def _show_migration(report: MigrationReport) -> None:
    colour = COLOURS[report.verdict.impact]
    out.print(f"{escape(report.file)}  [dim]{measured(report.seconds)}[/]")
    for line in _folded(report.verdict.sentence, "  ", lead="  "):
        out.print(f"[{colour}]{escape(line)}[/]")
    for detail in _details(report):
        for line in _folded(detail, "      ", lead="    "):
            data(line)
    if report.advice and report.verdict.holds_up:
        out.print("    [bold]safe alternative:[/]")
        for line in report.advice.splitlines():
            data(f"      {line}")


def _details(report: MigrationReport) -> Iterator[str]:
    """The lines below the verdict."""
    for statement in report.statements:
        yield from _statement_details(statement)
    # The verdict above has named the first ones.
    yield from (f"also breaks {broken.query!r}: {broken.error}" for broken in report.broken[NAMED:])
    # The first line is part of the verdict.
    yield from report.failed.splitlines()[1:]
    undo, worst = report.undo, report.worst_case
    if undo is None:
        yield "undo: not tried"
    elif undo.failed:
        yield f"undo: {undo.failed.splitlines()[0]}"
    elif undo.differences:
        yield f"undo: leaves the schema different, {len(undo.differences)} differences"
        yield from (f"  {difference}" for difference in undo.differences[:FEW])
    else:
        noted = _noted(undo.stalls)[:1]
        waited = f"; {waits(noted)}" if noted else ""
        yield f"undo: {measured(undo.seconds)}, the schema is as before{waited}"
    if undo:
        yield from (f"undo: {loss}" for loss in undo.lost[:FEW])
    if worst and worst.failed:
        yield f"behind an open transaction: {worst.failed.splitlines()[0]}"
    elif worst and worst.held:
        noted = _noted(worst.stalls)[:2]
        waited = f"; {waits(noted)}" if noted else ""
        after = f"done {measured(worst.after)} after its end"
        yield f"behind a transaction open for {measured(worst.held)}: {after}{waited}"


def _statement_details(statement: StatementReport) -> Iterator[str]:
    """The line of a statement that blocked queries, rewrote a table, took long or wrote much WAL."""
    # Locks held for less than a user notices are left out.
    strong = [lock for lock in statement.locks if lock.seconds >= NOTICED_FROM]
    stalls = _noted(statement.stalls)
    if not (stalls or statement.rewritten or statement.seconds >= LONG or statement.wal_bytes >= MUCH):
        return
    parts = [f"line {statement.line}, {measured(statement.seconds)}: {statement.begins}"]
    parts += [f"{lock.mode} on {lock.relation} for {measured(lock.seconds)}" for lock in strong]
    parts += [f"rewrites {', '.join(statement.rewritten[:FEW])}"] if statement.rewritten else []
    parts += [f"{size(statement.wal_bytes)} of WAL"] if statement.wal_bytes >= MUCH else []
    parts += [f"waits: {waits(stalls)}"] if stalls else []
    yield "; ".join(parts)


def _noted(stalls: Sequence[Stall]) -> list[Stall]:
    """The stalls that are long enough for a user to notice."""
    return [stall for stall in stalls if stall.seconds >= NOTICED_FROM]


def _folded(text: str, indent: str = "", *, lead: str = "") -> list[str]:
    fold = textwrap.TextWrapper(WIDTH, lead, indent, break_long_words=False, break_on_hyphens=False)
    return fold.wrap(text)
