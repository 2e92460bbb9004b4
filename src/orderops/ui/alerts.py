"""Rules for alarms on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from orderops.ui.console import out
from orderops.ui.escaping import escape


class ShownEnd(Protocol):
    """An end of a route, after a fire drill."""

    @property
    def end(self) -> str: ...
    @property
    def confirmed(self) -> bool: ...
    @property
    def accepted_seconds(self) -> float | None: ...
    @property
    def delivered_seconds(self) -> float | None: ...


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
        band = "-" if row["band"] is None else f"band {row['band']:g}"
        threshold = band if row["threshold"] is None else f"{row['threshold']:g}"
        state = f"{row['state']:17}  {since:20}  {threshold:>6}"
        out.print(escape(f"{row['priority']}  {row['alarm']:{width}}  {state}  {route}"))


def show_findings(found: Iterable[ShownFinding]) -> None:
    """Show each finding and its next step."""
    for finding in found:
        out.print(f"[bold]{escape(finding.name)}[/]: {escape(finding.what)}")
        out.print(escape(f"  next: {finding.next}"))


def show_drill(ends: Iterable[ShownEnd]) -> None:
    """Show a line for each end: when SNS took the message, and when it was delivered."""
    for end in ends:
        if not end.confirmed:
            state = "has not confirmed its subscription"
        elif end.accepted_seconds is None:
            state = "SNS did not take the message"
        elif end.delivered_seconds is None:
            state = f"taken by SNS after {end.accepted_seconds:.1f} s, no delivery seen"
        else:
            state = f"taken by SNS after {end.accepted_seconds:.1f} s, delivered within {end.delivered_seconds:.1f} s"
        out.print(escape(f"{end.end}: {state}"))
