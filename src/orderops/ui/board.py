"""Incidents, and what a board could not read, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from orderops.board.incidents import Incident
from orderops.ui import console
from orderops.ui.console import out
from orderops.ui.escaping import escape


def show_incidents(incidents: Iterable[Incident]) -> None:
    """Show each incident on a line, with its texts below."""
    for incident in incidents:
        state = "[dim]closed[/]" if incident.closed else "[yellow]open  [/]"
        until = f" to {incident.closed}" if incident.closed else ""
        what = f"{incident.affects}: {incident.title}"
        out.print(f"{escape(incident.id)}  {state}  {escape(what)}")
        out.print(f"    [dim]{escape(incident.opened + until)}[/]")
        for update in incident.updates:
            text = " ".join(update.text.split())
            out.print(f"    {escape(update.at)}  {escape(text)}  [dim]{escape(update.who)}[/]")


def show_problems(problems: Iterable[str]) -> None:
    """Show on stderr what is missing on a page."""
    for problem in problems:
        console.info(f"not on the page: {problem}")
