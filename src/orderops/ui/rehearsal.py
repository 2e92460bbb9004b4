"""What the operator sees of a rehearsal: a verdict a migration, below it only what matters, the whole at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.markup import escape

from orderops.rehearsal.markdown import size, waits
from orderops.rehearsal.report import Impact, MigrationReport, Report, Stall, StatementReport
from orderops.rehearsal.verdict import MAX_BROKEN_QUERIES as NAMED
from orderops.rehearsal.verdict import NOTICED_FROM
from orderops.text.durations import measured
from orderops.ui.console import data, info, out

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
"""Seconds from which a statement is worth a line that held nobody up."""
MUCH = 10_000_000
"""Bytes of WAL, the same."""
FEW = 4


def show(report: Report) -> None:
    """Each migration, then the verdict on all."""
    for each in report.migrations:
        _show_migration(each)
    for note in report.notes:
        info(f"note: {note}")
    if report.dump:
        info(f"pg_dump before and after all undos: {report.dump}")
    colour = COLOURS[report.verdict.impact]
    out.print(f"[{colour}]{escape(_folded(report.verdict.sentence))}[/]")


def next_step(report: Report, lead: str) -> str:
    """What an operator types next; `lead` leads to the same environment and files."""
    if report.file_to_fix:
        return f"next: mend {report.file_to_fix}, then orderops migrate rehearsal {lead}"
    return f"next: orderops migrate apply {lead}"


def _show_migration(report: MigrationReport) -> None:
    colour = COLOURS[report.verdict.impact]
    out.print(f"{escape(report.file)}  [dim]{measured(report.seconds)}[/]")
    out.print(f"  [{colour}]{escape(_folded(report.verdict.sentence, '  '))}[/]")
    for line in _below(report):
        data(_folded(line, "      ", lead="    "))
    if report.advice and report.verdict.holds_up:
        out.print("    [bold]the safe way:[/]")
        for line in report.advice.splitlines():
            data(f"      {line}")


def _below(report: MigrationReport) -> Iterator[str]:
    """What is worth a line."""
    for statement in report.statements:
        yield from _of_statement(statement)
    yield from (f"breaks {each.query!r} too: {each.error}" for each in report.broken[NAMED:])
    yield from report.failed.splitlines()[1:]
    undo, worst = report.undo, report.worst_case
    if undo is None:
        yield "undo: not tried"
    elif undo.failed:
        yield f"undo: {undo.failed.splitlines()[0]}"
    elif undo.differences:
        yield f"undo: leaves the schema different, {len(undo.differences)} differences"
        yield from (f"  {each}" for each in undo.differences[:FEW])
    else:
        noted = _noted(undo.stalls)[:1]
        waited = f"; {waits(noted)}" if noted else ""
        yield f"undo: {measured(undo.seconds)}, the schema is as before{waited}"
    if undo:
        yield from (f"undo: {each}" for each in undo.lost[:FEW])
    if worst and worst.failed:
        yield f"behind an open transaction: {worst.failed.splitlines()[0]}"
    elif worst and worst.held:
        noted = _noted(worst.stalls)[:2]
        waited = f"; {waits(noted)}" if noted else ""
        after = f"done {measured(worst.after)} after its end"
        yield f"behind a transaction open for {measured(worst.held)}: {after}{waited}"


def _of_statement(statement: StatementReport) -> Iterator[str]:
    """One that held somebody up, wrote a table anew, took long or wrote much."""
    strong = [each for each in statement.locks if each.seconds >= NOTICED_FROM]
    stalls = _noted(statement.stalls)
    if not (stalls or statement.rewritten or statement.seconds >= LONG or statement.wal_bytes >= MUCH):
        return
    told = [f"line {statement.line}, {measured(statement.seconds)}: {statement.begins}"]
    told += [f"{each.mode} on {each.relation} for {measured(each.seconds)}" for each in strong]
    told += [f"writes anew {', '.join(statement.rewritten[:FEW])}"] if statement.rewritten else []
    told += [f"{size(statement.wal_bytes)} of WAL"] if statement.wal_bytes >= MUCH else []
    told += [f"waits: {waits(stalls)}"] if stalls else []
    yield "; ".join(told)


def _noted(stalls: Sequence[Stall]) -> list[Stall]:
    """Those that somebody may notice."""
    return [each for each in stalls if each.seconds >= NOTICED_FROM]


def _folded(text: str, indent: str = "", *, lead: str = "") -> str:
    fold = textwrap.TextWrapper(WIDTH, lead, indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(fold.wrap(text))
