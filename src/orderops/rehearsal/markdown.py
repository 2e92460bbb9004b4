"""A report as Markdown: to be kept, attached to a review, or read where nobody has a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from orderops.errors import OrderopsError, UsageError
from orderops.rehearsal.report import MigrationReport, Report, Stall, StatementReport
from orderops.rehearsal.verdict import span

SLOWEST = 4
"""Families whose waits are told."""


def markdown(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def check_writable(path: Path) -> None:
    """Raise UsageError where no report could be written, before minutes are spent on it."""
    hint = "name a file in a folder that is there: --markdown rehearsal.md"
    if path.is_dir():
        raise UsageError(f"{path} is a folder, and no file for a report", hint)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for {path.name}", hint)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written to", hint)


def write(path: Path, report: Report, receipt: str) -> None:
    """Keep it there too; where that fails after all, its receipt has it."""
    try:
        path.write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        raise OrderopsError(
            f"the report could not be written to {path}: {error.strerror}",
            f"it is told above, and kept as the receipt {receipt}",
        ) from None


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.verdict.sentence)}"
    yield ""
    yield f"Rehearsed {report.started:%Y-%m-%d %H:%M:%S}Z in {span(report.seconds)} on a copy under PostgreSQL"
    yield f"{report.server_version}, by orderops {report.tool_version}. Schema before: `{report.schema_before[:16]}`."
    yield ""
    yield "| migration | verdict | took | undo | behind an open transaction |"
    yield "| --- | --- | --- | --- | --- |"
    for migration in report.migrations:
        cells = [
            f"`{migration.file}`",
            _plain(migration.verdict.sentence),
            span(migration.seconds),
            _undo(migration),
            _worst_case(migration),
        ]
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    for migration in report.migrations:
        yield from _migration(migration)
    yield from _families(report)
    yield from _notes(report)


def _migration(report: MigrationReport) -> Iterator[str]:
    yield ""
    yield f"## {report.file}"
    yield ""
    yield f"{_plain(report.verdict.sentence)}"
    if report.failed:
        yield from ("", "```", report.failed, "```")
    if report.statements:
        yield ""
        yield "| line | statement | took | locks, held for | written anew | WAL | grown by | waits |"
        yield "| --: | --- | --: | --- | --- | --: | --: | --- |"
        for statement in report.statements:
            yield f"| {' | '.join(_cell(cell) for cell in _cells(statement))} |"
    for broken in report.broken:
        yield from ("", f"- breaks `{broken.query}`: {broken.error}")
    if report.undo and report.undo.differences:
        yield from ("", "The undo leaves the schema otherwise:", "", "```diff", *report.undo.differences, "```")
    if report.undo and report.undo.lost:
        yield from ("", *(f"- undo: {each}" for each in report.undo.lost))
    if report.advice:
        yield from ("", "The safe way:", "", "```sql", report.advice, "```")


def _cells(statement: StatementReport) -> list[str]:
    return [
        str(statement.line),
        f"`{statement.begins}`",
        span(statement.seconds) + (f", {statement.tries} tries" if statement.tries > 1 else ""),
        ", ".join(f"{lock.mode} on {lock.relation} {span(lock.seconds)}" for lock in statement.locks),
        ", ".join(statement.rewritten),
        size(statement.wal_bytes),
        size(statement.growth_bytes),
        waits(statement.stalls),
    ]


def _undo(report: MigrationReport) -> str:
    undo = report.undo
    if undo is None:
        return "not tried"
    if undo.failed:
        return undo.failed.splitlines()[0]
    return f"leaves {len(undo.differences)} differences" if undo.differences else f"proven, {span(undo.seconds)}"


def _worst_case(report: MigrationReport) -> str:
    worst = report.worst_case
    if worst is None:
        return "not tried"
    if worst.failed:
        return worst.failed.splitlines()[0]
    if not worst.held:
        return "touches nothing that was there"
    waited = f"; {waits(worst.stalls[:1])}" if worst.stalls else ""
    return f"done {span(worst.after)} after it ended{waited}"


def _families(report: Report) -> Iterator[str]:
    yield from ("", "## The queries that went on", "", "| family | a second | slowest in calm | from |")
    yield "| --- | --: | --: | --- |"
    for group in report.families:
        yield f"| {_cell(group.name)} | {group.rate:.0f} | {span(group.calm_worst)} | {group.origin} |"


def _notes(report: Report) -> Iterator[str]:
    told = [f"pg_dump before and after all undos: {report.dump}"] if report.dump else []
    yield from ("", "## Notes", "")
    yield "- WAL is told without what the queries beside it wrote, as far as their rate in calm tells that."
    yield from (f"- {each}" for each in [*told, *report.notes])


def waits(stalls: Sequence[Stall]) -> str:
    """Who waited how long, in a line."""
    told = [
        f"{stall.family} {span(stall.seconds)}{'' if stall.for_lock else ' (no lock)'}" for stall in stalls[:SLOWEST]
    ]
    return ", ".join(told) + (f" and {len(stalls) - SLOWEST} more" if len(stalls) > SLOWEST else "")


def size(count: int) -> str:
    """Bytes as an operator reads them; nothing for next to none."""
    if abs(count) < 100_000:
        return ""
    return f"{count / 1e6:.1f} MB" if abs(count) < 1e9 else f"{count / 1e9:.1f} GB"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(text: str) -> str:
    return " ".join(text.split())
