"""Releases on the terminal: failure cards and the list of releases."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console

from orderops.releases.card import CauseGroup
from orderops.releases.record import ReleaseRecord
from orderops.releases.verdict import ReleaseOutcome, ReleaseVerdict
from orderops.text.durations import in_words
from orderops.text.outside import plain
from orderops.ui.commands import completed
from orderops.ui.console import err, out, out_cut, out_folded
from orderops.ui.escaping import escape

COLOURS = {ReleaseVerdict.DEPLOYED: "green", ReleaseVerdict.RUNNING: "yellow"}
LONGEST = 300
TASK = 8
"""Characters of a task's id, enough to tell it from others."""


def show_card(outcome: ReleaseOutcome, console: Console = err) -> None:
    """Show why a release failed: each cause with its tasks, their last lines, the fix and the command."""
    colour = COLOURS.get(outcome.verdict, "red")
    verdict = f" {outcome.verdict}" if outcome.verdict is not ReleaseVerdict.RUNNING else ""
    # The first cause is often the reason, and is shown below.
    known = {f"{group.count} x {group.cause.title}" for group in outcome.card.groups}
    reason = f": {outcome.reason}" if outcome.reason and outcome.reason not in known else ""
    console.print(f"[bold]{escape(outcome.service)}[/][bold {colour}]{escape(verdict)}[/]{escape(reason)}")
    for group in outcome.card.groups:
        _show_group(group, console)
    if outcome.card.events and not any(group.tasks for group in outcome.card.groups):
        console.print("  events of the service:")
        for event in outcome.card.events:
            console.print(f"    [dim]{escape(event)}[/]")
    if outcome.runs_now:
        console.print(escape(f"now: {outcome.runs_now}"))


def show_releases(records: Iterable[ReleaseRecord], running: str) -> None:
    """Show each release in two lines: when, verdict, duration and revision; image, who and command."""
    for record in records:
        colour, mark = COLOURS.get(record.verdict, "red"), "*" if record.definition == running else " "
        # Ctrl+C, or a killed process: ECS went on, and nobody watched.
        verdict = "not watched" if record.verdict is ReleaseVerdict.RUNNING else str(record.verdict)
        took = in_words(_seconds(record)) if record.ended else ""
        revision = record.definition.rpartition(":")[2]
        when = f"{mark} {record.started[:19]}Z"
        out.print(
            f"{escape(when)}  [{colour}]{escape(f'{verdict:13}')}[/]  {escape(f'{took:12}  revision {revision}')}"
        )
        out_cut(f"    [bold]{escape(plain(record.image, LONGEST))}[/]")
        out.print(f"    [dim]{escape(plain(record.who, LONGEST))}: {escape(plain(record.command, LONGEST))}[/]")
        if record.reason:
            out_folded(f"    [red]{escape(plain(record.reason, LONGEST))}[/]")
    out.print("[dim]* runs now[/]")


def _seconds(record: ReleaseRecord) -> float:
    return (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()


def _show_group(group: CauseGroup, console: Console) -> None:
    cause = group.cause
    console.print(f"  [bold]{escape(f'{group.count} x {cause.title}')}[/]")
    console.print(f"    {escape(cause.meaning)}")
    if group.reason and group.reason != cause.title:
        console.print(f"    [dim]AWS: {escape(group.reason)}[/]")
    if group.lines:
        console.print(escape(f"    the last lines of task {group.tasks[0][:TASK]}:"))
        for line in group.lines:
            console.print(f"      [dim]|[/] {escape(line)}")
    console.print(f"    fix: {escape(cause.fix)}")
    if cause.command:
        console.print(f"    next: [bold]{escape(completed(cause.command))}[/]")
