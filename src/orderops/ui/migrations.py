"""Migrations on the terminal: status, history, statements of a dry run, and findings of the linter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orderops.database.schema_owner import OWNER
from orderops.migrations.ledger.status import MigrationStatus, Status
from orderops.migrations.ledger.table import Attempt, AttemptState, History
from orderops.migrations.lint.finding import Finding, Level
from orderops.text.durations import measured
from orderops.text.lists import counted, joined
from orderops.text.outside import plain
from orderops.ui.console import data, info, info_folded, out, out_cut, out_folded
from orderops.ui.escaping import escape

if TYPE_CHECKING:
    from orderops.database.schema_owner import SchemaOwnership
    from orderops.migrations.migrator import Overview, Repair
    from orderops.migrations.sql.locks import Lock
    from orderops.migrations.sql.parser import Statement

COLOURS = {
    Status.APPLIED: "green",
    Status.PENDING: "yellow",
    Status.RUNNING: "cyan",
    Status.PARTLY: "red",
    Status.PARTLY_UNDONE: "red",
    Status.CHANGED: "red",
    Status.MISSING: "red",
    Status.OUT_OF_ORDER: "red",
}
ENDS: Mapping[str, str] = {AttemptState.DONE: "green", AttemptState.RUNNING: "cyan", AttemptState.FAILED: "red"}
LEVEL_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "cyan"}
FIX = "    fix: "
WIDEST = 34
"""Characters of a description that are shown, so that a line with its status and time fits 80 columns."""
MAX_OWNED = 5
LONGEST = 400
"""Characters of a list of tables."""
ATTEMPT = (
    "action",
    "outcome",
    "who",
    "host",
    "tool_version",
    "started",
    "finished",
    "duration_seconds",
    "lock_tries",
    "lock_waited_seconds",
    "statements",
    "statements_done",
    "rows_changed",
    "applied_checksum",
    "note",
    "predicted_seconds",
    "receipt",
)
"""Keys of an attempt in JSON; without an attempt each is null."""


def show_overview(overview: Overview, options: str) -> None:
    """Show a line for each version, a summary, and the next command."""
    for line in overview.statuses:
        more = f"  -> {line.next}" if line.next else f"  {_when(line.applied)}"
        description = f"{escape(_cut(line.description)):{WIDEST}}"
        out.print(
            f"V{line.version:03}  {description}  [{COLOURS[line.status]}]{line.status:14}[/]{escape(more)}".rstrip()
        )
    for foreign in overview.foreign:
        info_folded(f"{foreign.tool} has migrated this database: {len(foreign.applied)} applied, in {foreign.table}")
    if overview.held_by:
        info_folded(f"being migrated by {overview.held_by}")
    counts = Counter(line.status for line in overview.statuses)
    parts = [f"{counts[status]} {status}" for status in Status if counts[status]]
    info(f"{counted(len(overview.statuses), 'migration')}: {', '.join(parts)}")
    if step := _next(overview, counts):
        info(f"next: orderops migrate {step} {options}".rstrip())


def show_owners(owned: SchemaOwnership, then: str) -> None:
    """Say what does not belong to the owner of the schema; `then` is the command that hands it over."""
    if not owned.handed_over:
        info_folded(f"the schema belongs to {plain(owned.login)}, and not to a role of its own")
        info(f"then: {then}")
    elif owned.others:
        info_folded(f"not owned by {OWNER}: {plain(joined(owned.others, MAX_OWNED), LONGEST)}")
        if owned.hands_over and then:
            info(f"then: {then}")


def overview_json(overview: Overview) -> dict[str, Any]:
    """Return the status of a database as JSON. Keys are stable."""
    return {
        "migrations": [
            {
                "version": line.version,
                "description": line.description,
                "state": str(line.status),
                "file": line.migration.name if line.migration else None,
                "next": line.next or None,
                "checksum": line.migration.checksum if line.migration else None,
                **_attempt(_shown(line)),
            }
            for line in overview.statuses
        ],
        "held_by": overview.held_by or None,
        "foreign": [
            {"tool": foreign.tool, "table": foreign.table, "applied": len(foreign.applied)}
            for foreign in overview.foreign
        ],
    }


def show_attempts(attempts: Iterable[Attempt]) -> None:
    """Show each attempt: its time, outcome and duration, then who ran it and what it waited for."""
    for attempt in attempts:
        colour = ENDS.get(attempt.state, "white")
        took = f"  {took}" if (took := _took(attempt)) else ""
        state, action = escape(f"{attempt.state:7}"), escape(f"{attempt.action:8}")
        out.print(
            f"{_when(attempt)}  [{colour}]{state}[/]  {action}  V{attempt.version:03} "
            f"{escape(_cut(attempt.description))}{took}"
        )
        out_folded(f"    [dim]{escape(', '.join(_circumstances(attempt)))}[/]", indent=6)
        if attempt.receipt:
            out.print(f"    [dim]{escape(attempt.receipt)}[/]")
        if attempt.note:
            colour = "red" if attempt.state == AttemptState.FAILED else "dim"
            out_folded(f"    [{colour}]{escape(attempt.note)}[/]", indent=6)


def _circumstances(attempt: Attempt) -> Iterator[str]:
    yield f"{attempt.who} on {attempt.host}" if attempt.host else attempt.who
    yield f"orderops {attempt.tool_version}"
    if attempt.state != AttemptState.DONE:
        yield f"{attempt.statements_done} of {attempt.statements} statements"
    if attempt.rows_changed is not None:
        yield counted(attempt.rows_changed, "row")
    if attempt.lock_tries:
        yield f"{attempt.lock_tries} tries without a lock"
    if attempt.lock_waited >= timedelta(seconds=0.1):
        yield f"waited {_seconds(attempt.lock_waited)} for locks"


def attempts_json(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """Return the attempts as JSON. Keys are stable."""
    return [
        {"version": attempt.version, "description": attempt.description, **_attempt(attempt)} for attempt in attempts
    ]


def show_statements(name: str, statements: Iterable[tuple[Statement, Sequence[Lock], str]], action: str) -> None:
    """Show what a file would do, statement by statement, with the locks that each takes."""
    data(f"+ {action} {name}")
    for statement, locks, transaction in statements:
        out_cut(f"    {statement.line:>4}  {escape(statement.begins)}")
        for lock in locks:
            blocks = f", blocks {lock.mode.stops}" if lock.mode.stops else ""
            out_folded(f"          [dim]{lock.mode} on {escape(lock.relation)}{blocks}[/]", indent=12)
        if transaction:
            out_folded(f"          [dim]{escape(transaction)}[/]", indent=12)


def show_repairs(repairs: Sequence[Repair]) -> None:
    """Show what repair would write to the ledger."""
    for repair in repairs:
        data(f"~ {repair.why}")


def attempts_of(histories: Mapping[int, History], last: int | None) -> list[Attempt]:
    """Return the last attempts, or all, newest first."""
    attempts = sorted(
        (attempt for history in histories.values() for attempt in history.attempts), key=lambda attempt: -attempt.id
    )
    return attempts[:last] if last else attempts


def show_findings(findings: Sequence[Finding]) -> None:
    """Show where each finding is and what the statement does, then how to rewrite it."""
    for finding in findings:
        # Editors open the file at this place, which is the form of compilers.
        place = f"{finding.file}:{finding.line}:{finding.column}:"
        out_folded(
            f"[bold]{escape(place)}[/] [{LEVEL_COLOURS[finding.level]}]{finding.level}[/] "
            f"[cyan]{escape(finding.rule)}[/]: {escape(finding.message)}"
        )
        for number, line in enumerate(finding.rewrite.splitlines()):
            out.print(f"[dim]{' ' * len(FIX) if number else FIX}[/]{escape(line)}")


def show_lint_summary(findings: Sequence[Finding], migrations: int, proven: int | None = None) -> None:
    """Show the counts, and what to do next; `proven` counts the undos that a scratch database has proven right."""
    levels = Counter(finding.level for finding in findings)
    shown = [level for level in Level if level is not Level.NOTE or levels[level]]
    counts = ", ".join(counted(levels[level], level) for level in shown)
    executed = "" if proven is None else f" ({counted(proven, 'undo')} proven right by execution)"
    info(f"{counted(migrations, 'migration')}{executed}: {counts}")
    if not levels[Level.ERROR] and not levels[Level.WARNING]:
        info("next: orderops migrate apply --dry-run")
    elif any(finding.level is Level.ERROR for finding in findings):
        info("to accept a finding, write above its statement: -- squawk-ignore RULE")


def _next(overview: Overview, counts: Counter[Status]) -> str:
    if overview.foreign:
        # First of all: apply would create tables that the other tool has created.
        return f"baseline --from {overview.foreign[0].tool}"
    if counts[Status.CHANGED] or counts[Status.MISSING] or counts[Status.OUT_OF_ORDER]:
        # It shows the error of each of these states with its hint, and changes nothing.
        return "apply --dry-run"
    if counts[Status.PARTLY_UNDONE]:
        return "undo"
    return "apply" if counts[Status.PENDING] or counts[Status.PARTLY] else ""


def _shown(line: MigrationStatus) -> Attempt | None:
    """The attempt that explains the status: a partial one, else the one that applied it, else the last."""
    # A partial attempt decides what happens next, also if a later one failed.
    partial = line.history.partial if line.history else None
    return partial or line.applied or line.latest


def _attempt(attempt: Attempt | None) -> dict[str, Any]:
    if attempt is None:
        return dict.fromkeys(ATTEMPT)
    return {
        "action": attempt.action,
        "outcome": attempt.state,
        "who": attempt.who,
        "host": attempt.host,
        "tool_version": attempt.tool_version,
        "started": attempt.started.astimezone(UTC).isoformat(),
        "finished": attempt.finished.astimezone(UTC).isoformat() if attempt.finished else None,
        "duration_seconds": (attempt.finished - attempt.started).total_seconds() if attempt.finished else None,
        "lock_tries": attempt.lock_tries,
        "lock_waited_seconds": attempt.lock_waited.total_seconds(),
        "statements": attempt.statements,
        "statements_done": attempt.statements_done,
        "rows_changed": attempt.rows_changed,
        "applied_checksum": attempt.checksum,
        "note": attempt.note,
        "predicted_seconds": attempt.predicted.total_seconds() if attempt.predicted is not None else None,
        "receipt": attempt.receipt,
    }


def _when(attempt: Attempt | None) -> str:
    return f"{_utc(attempt.finished or attempt.started):%Y-%m-%d %H:%M:%S}Z" if attempt else ""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _took(attempt: Attempt) -> str:
    """The duration, and the one that a rehearsal predicted."""
    took = _seconds(attempt.finished - attempt.started) if attempt.finished else ""
    return f"{took}, predicted {_seconds(attempt.predicted)}" if took and attempt.predicted is not None else took


def _seconds(duration: timedelta) -> str:
    return measured(duration.total_seconds())


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
