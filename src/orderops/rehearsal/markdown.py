"""A rehearsal report as Markdown, to be stored or attached to a review."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from orderops.errors import OrderopsError, UsageError
from orderops.rehearsal.report import MigrationReport, Report, Stall, StatementReport
from orderops.text.durations import measured
from orderops.text.lists import counted, joined

MAX_WAITS = 4


def markdown(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def check_writable(path: Path) -> None:
    """Raise UsageError if no report could be written there, before minutes are spent on it."""
    hint = "name a file in an existing folder: --markdown rehearsal.md"
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file", hint)
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist, so {path.name} cannot be written there", hint)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} is not writable", hint)


def write(path: Path, report: Report, receipt: str) -> None:
    """Write the report to a file. Raises OrderopsError that names the receipt, which holds the same report."""
    try:
        path.write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        raise OrderopsError(
            f"the report could not be written to {path}: {error.strerror}",
            f"the report is shown above and stored as receipt {receipt}",
        ) from None


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.verdict.sentence)}"
    yield ""
    yield f"Rehearsed {report.started:%Y-%m-%d %H:%M:%S}Z in {measured(report.seconds)} on a copy under PostgreSQL"
    yield f"{report.server_version}, by orderops {report.tool_version}. Schema before: `{report.schema_before[:16]}`."
    yield ""
    yield "| migration | verdict | duration | undo | behind an open transaction |"
    yield "| --- | --- | --- | --- | --- |"
    for migration in report.migrations:
        cells = [
            f"`{migration.file}`",
            _plain(migration.verdict.sentence),
            measured(migration.seconds),
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
        yield "| line | statement | duration | locks, held for | rewritten | WAL | growth | waits |"
        yield "| --: | --- | --: | --- | --- | --: | --: | --- |"
        for statement in report.statements:
            yield f"| {' | '.join(_cell(cell) for cell in _cells(statement))} |"
    for broken in report.broken:
        yield from ("", f"- breaks `{broken.query}`: {broken.error}")
    if report.undo and report.undo.differences:
        yield from ("", "The undo leaves the schema different:", "", "```diff", *report.undo.differences, "```")
    if report.undo and report.undo.lost:
        yield from ("", *(f"- undo: {table}" for table in report.undo.lost))
    if report.advice:
        yield from ("", "A safer way:", "", "```sql", report.advice, "```")


def _cells(statement: StatementReport) -> list[str]:
    return [
        str(statement.line),
        f"`{statement.begins}`",
        measured(statement.seconds) + (f", {statement.tries} tries" if statement.tries > 1 else ""),
        ", ".join(f"{lock.mode} on {lock.relation} {measured(lock.seconds)}" for lock in statement.locks),
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
    return (
        f"leaves {counted(len(undo.differences), 'difference')}"
        if undo.differences
        else f"proven, {measured(undo.seconds)}"
    )


def _worst_case(report: MigrationReport) -> str:
    worst = report.worst_case
    if worst is None:
        return "not tried"
    if worst.failed:
        return worst.failed.splitlines()[0]
    if not worst.held:
        return "touches no existing table"
    waited = f"; {waits(worst.stalls[:1])}" if worst.stalls else ""
    return f"done {measured(worst.after)} after it ended{waited}"


def _families(report: Report) -> Iterator[str]:
    yield from ("", "## Queries", "", "| query group | a second | slowest without a migration | from |")
    yield "| --- | --: | --: | --- |"
    for group in report.families:
        yield f"| {_cell(group.name)} | {group.rate:.0f} | {measured(group.calm_worst)} | {group.origin} |"


def _notes(report: Report) -> Iterator[str]:
    dump = [f"pg_dump before and after all undos: {report.dump}"] if report.dump else []
    yield from ("", "## Notes", "")
    yield "- WAL excludes what the queries wrote, estimated from their rate without a migration."
    yield from (f"- {note}" for note in [*dump, *report.notes])


def waits(stalls: Sequence[Stall]) -> str:
    """The waits of query groups in one line, longest first."""
    texts = [f"{stall.family} {measured(stall.seconds)}{'' if stall.for_lock else ' (no lock)'}" for stall in stalls]
    return joined(texts, MAX_WAITS)


def size(count: int) -> str:
    """Bytes in MB or GB; "" below 0.1 MB, which is noise."""
    if abs(count) < 100_000:
        return ""
    return f"{count / 1e6:.1f} MB" if abs(count) < 1e9 else f"{count / 1e9:.1f} GB"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(text: str) -> str:
    return " ".join(text.split())
