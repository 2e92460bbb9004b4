"""The history of an environment on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from orderops.runs.history import RunOutcome
from orderops.text.durations import in_words
from orderops.ui.console import DONE, out
from orderops.ui.escaping import escape

MIGRATED = {"apply": "migrated", "undo": "undone"}
OUTCOME_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow", "killed": "bold red"}


def show_history(runs: Iterable[Mapping[str, Any]]) -> None:
    """Show each run: its command and outcome, then who ran it from where, what was done, and its error."""
    for run in runs:
        outcome = run["outcome"]
        if outcome == RunOutcome.UNREADABLE:
            # One line: neither an operator nor a command is known.
            out.print(f"{run['started'][:19]}Z  [bold red]{outcome:11}[/]  {escape(run['error'])}")
            continue
        took = _took(run)
        colour = OUTCOME_COLOURS.get(outcome, "white")
        out.print(
            f"{run['started'][:19]}Z  [{colour}]{escape(f'{outcome:11}')}[/]  {took:12}  {escape(run['command'])}"
        )
        # Entries of migrations have actions of their own, such as apply, beside those of the plan.
        actions: list[Any] = [step.get("action") or "noted" for step in run["steps"]]
        counts = Counter(MIGRATED.get(action) or DONE.get(action, action) for action in actions)
        done = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing done"
        out.print(f"    [dim]{escape(run['who'])} on {escape(run['host'])}: {escape(done)}[/]")
        if first_line := str(run.get("error", "")).partition("\n")[0]:
            out.print(f"    [red]{escape(first_line)}[/]")


def _took(run: Mapping[str, Any]) -> str:
    # A killed run has no end; it was alive when it last renewed its lease.
    until = run.get("ended") or run.get("last_seen")
    if not until:
        return ""
    seconds = (datetime.fromisoformat(until) - datetime.fromisoformat(run["started"])).total_seconds()
    return in_words(max(0.0, seconds))
