"""Rules for alarms on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from orderops.ui.console import out
from orderops.ui.escaping import escape


class ShownFinding(Protocol):
    """What is wrong with an alarm."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def next(self) -> str: ...


def show_rules(rows: Sequence[Mapping[str, Any]]) -> None:
    """Show a line for each rule: priority, state, since when, threshold, name and route."""
    width = max((len(str(row["alarm"])) for row in rows), default=0)
    for row in rows:
        since, route = row["since"] or "-", ", ".join(row["route"]) or "no receiver"
        state = f"{row['state']:17}  {since:20}  {row['threshold']:>6g}"
        out.print(escape(f"{row['priority']}  {row['alarm']:{width}}  {state}  {route}"))


def show_findings(found: Iterable[ShownFinding]) -> None:
    """Show each finding and its next step."""
    for finding in found:
        out.print(f"[bold]{escape(finding.name)}[/]: {escape(finding.what)}")
        out.print(escape(f"  next: {finding.next}"))
