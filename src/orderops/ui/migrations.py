"""What the operator sees of the database's changes: how each stands, what was done, what would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.markup import escape

from orderops.migrations.ledger.status import MigrationStatus, Status
from orderops.migrations.ledger.table import Attempt, AttemptState, History
from orderops.migrations.migrator import Overview, Repair
from orderops.migrations.sql.locks import Lock
from orderops.migrations.sql.parser import Statement
from orderops.text.durations import measured
from orderops.ui.console import data, info, out

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
ENDS = {AttemptState.DONE: "green", AttemptState.RUNNING: "cyan", AttemptState.FAILED: "red"}
WIDEST = 34
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
"""What machines are told of an attempt; of none, each is null."""


def show_picture(picture: Overview, words: str) -> None:
    """A line a version, a summary, and the next command."""
    for line in picture.statuses:
        colour = COLOURS[line.status]
        number = f"V{line.version:03}"
        more = f"  -> {line.next}" if line.next else f"  {_when(line.applied)}"
        out.print(
            f"{number}  {escape(_cut(line.description)):{WIDEST}}  [{colour}]{line.status:14}[/]{escape(more)}".rstrip()
        )
    for foreign in picture.foreign:
        info(f"{foreign.tool} has migrated this database: {len(foreign.applied)} applied, in {foreign.table}")
    if picture.held_by:
        info(f"being migrated by {picture.held_by}")
    counts = Counter(line.status for line in picture.statuses)
    info(
        f"{len(picture.statuses)} migrations: " + ", ".join(f"{counts[each]} {each}" for each in Status if counts[each])
    )
    if step := _next(picture, counts):
        info(f"next: orderops migrate {step} {words}".rstrip())


def picture_json(picture: Overview) -> dict[str, Any]:
    """How a database stands, for machines; keys stay as they are."""
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
            for line in picture.statuses
        ],
        "held_by": picture.held_by or None,
        "foreign": [{"tool": each.tool, "table": each.table, "applied": len(each.applied)} for each in picture.foreign],
    }


def show_attempts(attempts: Iterable[Attempt]) -> None:
    """What was done, newest first: when, what, how it ended, by whom, and what it waited for."""
    for each in attempts:
        colour = ENDS.get(AttemptState(each.state), "white")
        took = _took(each)
        out.print(
            f"{_when(each)}  [{colour}]{each.state:7}[/]  {each.action:8}  V{each.version:03} "
            f"{escape(_cut(each.description))}{f'  {took}' if took else ''}"
        )
        waited = (
            f", waited {_seconds(each.lock_waited)} for locks" if each.lock_waited >= timedelta(seconds=0.1) else ""
        )
        tries = f", {each.lock_tries} tries without a lock" if each.lock_tries else ""
        rows = f", {each.rows_changed:,} rows" if each.rows_changed is not None else ""
        part = f", {each.statements_done} of {each.statements} statements" if each.state != AttemptState.DONE else ""
        on = f" on {each.host}" if each.host else ""
        out.print(
            f"    [dim]{escape(each.who)}{escape(on)}, orderops {each.tool_version}{part}{rows}{tries}{waited}[/]"
        )
        if each.receipt:
            out.print(f"    [dim]{escape(each.receipt)}[/]")
        if each.note:
            out.print(f"    [{'red' if each.state == AttemptState.FAILED else 'dim'}]{escape(each.note)}[/]")


def attempts_json(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [{"version": each.version, "description": each.description, **_attempt(each)} for each in attempts]


def show_statements(name: str, statements: Iterable[tuple[Statement, Sequence[Lock], str]], action: str) -> None:
    """What a file would do, statement by statement, with the locks that it asks for."""
    data(f"+ {action} {name}")
    for statement, locks, way in statements:
        out.print(f"    {statement.line:>4}  {escape(statement.begins)}")
        for lock in locks:
            stops = f", stops {lock.mode.stops} for as long as it is held" if lock.mode.stops else ""
            out.print(f"          [dim]{lock.mode} on {escape(lock.relation)}{stops}[/]")
        if way:
            out.print(f"          [dim]{escape(way)}[/]")


def show_repairs(repairs: Sequence[Repair]) -> None:
    """What repair would write."""
    for each in repairs:
        data(f"~ {each.why}")


def attempts_of(standings: Mapping[int, History], last: int | None) -> list[Attempt]:
    """Every attempt, newest first."""
    every = sorted((each for standing in standings.values() for each in standing.attempts), key=lambda each: -each.id)
    return every[:last] if last else every


def _next(picture: Overview, counts: Counter[Status]) -> str:
    if picture.foreign:
        return f"baseline --from {picture.foreign[0].tool}"
    if counts[Status.CHANGED] or counts[Status.MISSING] or counts[Status.OUT_OF_ORDER]:
        return "apply --dry-run"
    if counts[Status.PARTLY_UNDONE]:
        return "undo"
    return "apply" if counts[Status.PENDING] or counts[Status.PARTLY] else ""


def _shown(line: MigrationStatus) -> Attempt | None:
    """The attempt that says how it stands: what was left half-way, else what applied it, else the last."""
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
    """How long, and beside it what a rehearsal had said."""
    took = _seconds(attempt.finished - attempt.started) if attempt.finished else ""
    return f"{took}, predicted {_seconds(attempt.predicted)}" if took and attempt.predicted is not None else took


def _seconds(duration: timedelta) -> str:
    return measured(duration.total_seconds())


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
