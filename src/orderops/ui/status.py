"""How an environment is, for human eyes: verdict, cause, next command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from rich.markup import escape
from rich.table import Table

from orderops.text.durations import in_words
from orderops.ui.console import out

STATE_COLOURS = {
    "ok": "green",
    "healthy": "green",
    "degraded": "yellow",
    "starting": "yellow",
    "down": "red",
    "absent": "dim",
}


def show_status(told: Mapping[str, Any]) -> None:
    """The health table: verdict, cause, next command."""
    colour = STATE_COLOURS.get(told["verdict"], "white")
    out.print(f"[bold]{escape(told['environment'])}[/] is [bold {colour}]{told['verdict']}[/]")
    _show_components(told["components"])
    if told["cause"]:
        out.print(f"cause: {escape(told['cause'])}")
    for name, url in told["urls"].items():
        out.print(f"{name}: {escape(url)}")
    if told["verdict"] != "absent":
        out.print(f"[dim]{escape(_proven(told['proven_restore'], told['environment']))}[/]")
    if told["next"]:
        out.print(f"next:  [bold]{escape(told['next'])}[/]")


def _proven(drill: Mapping[str, Any] | None, environment: str) -> str:
    """How old the last proof is that the database can be restored."""
    if drill is None:
        return f"no restore drill yet; run: orderops restore drill --env {environment}"
    age = datetime.now(UTC) - datetime.fromisoformat(drill["started"])
    return f"last proven restore {in_words(age)} ago, in {in_words(drill['recovery_seconds'])}"


def _show_components(components: Sequence[Mapping[str, str]]) -> None:
    """A table that fits the terminal; where there is none, a line for each, whole."""
    if not out.is_terminal:
        names = max(len(each["name"]) for each in components)
        states = max(len(each["state"]) for each in components)
        for each in components:
            out.print(escape(f"{each['name']:{names}}  {each['state']:{states}}  {each['detail']}".rstrip()))
        return
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in components:
        colour = STATE_COLOURS.get(each["state"], "white")
        table.add_row(escape(each["name"]), f"[{colour}]{each['state']}[/]", escape(each["detail"]))
    out.print(table, soft_wrap=False, width=min(out.width, 80))


def watch_status(look: Callable[[], Mapping[str, Any]], *, every: float = 2.0) -> NoReturn:
    """The health table again and again, until Ctrl+C."""
    while True:
        told = look()
        if out.is_terminal:
            out.clear()
        show_status(told)
        time.sleep(every)
