"""Drift on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from difflib import unified_diff
from itertools import groupby
from typing import Any, Protocol

from orderops.drift.report import EXISTS
from orderops.engine.resource import Effect
from orderops.ui.commands import completed
from orderops.ui.console import data, info, out, out_folded, value_text
from orderops.ui.escaping import escape

FILE = "file"


class ShownAnswer(Protocol):
    """What CloudTrail knows of a change."""

    @property
    def words(self) -> str: ...


class ShownIgnore(Protocol):
    """Why a difference is left alone, and until when."""

    @property
    def reason(self) -> str: ...
    @property
    def until(self) -> date: ...


class ShownDrift(Protocol):
    """One difference."""

    @property
    def address(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def declared(self) -> Any: ...
    @property
    def found(self) -> Any: ...
    @property
    def effect(self) -> Effect: ...
    @property
    def moved(self) -> str: ...
    @property
    def mover(self) -> ShownAnswer: ...
    @property
    def run(self) -> str: ...
    @property
    def refused(self) -> str: ...
    @property
    def ignored(self) -> ShownIgnore | None: ...
    @property
    def expired(self) -> bool: ...


def show_drift(differences: Sequence[ShownDrift], ways: Mapping[str, Sequence[str]]) -> None:
    """Show the differences of each resource, and below them the ways on for it."""
    for address, of_resource in groupby(differences, key=lambda difference: difference.address):
        shown = list(of_resource)
        out_folded(f"[bold]{escape(address)}[/]")
        for difference in shown:
            _show(difference)
        if refused := shown[0].refused:
            out_folded(f"    a revert is refused: {escape(refused)}", indent=6)
        for way in ways.get(address, ()):
            out.print(f"    {escape(completed(way))}")


def _show(difference: ShownDrift) -> None:
    declared, found = value_text(difference.declared), value_text(difference.found)
    if difference.key == EXISTS:
        out_folded("    [yellow]does not exist[/]; the file declares it", indent=6)
    else:
        out_folded(
            f"    {escape(difference.key)}: file [green]{escape(declared)}[/], account [yellow]{escape(found)}[/]",
            indent=6,
        )
    if difference.moved == FILE:
        run = f"run {difference.run}" if difference.run else "a run"
        out_folded(
            f"    the file was changed since {escape(run)} of orderops: no drift, but a change to apply", indent=6
        )
    else:
        since = f", since run {difference.run} of orderops" if difference.run else ""
        out_folded(f"    moved by: {escape(difference.mover.words)}{escape(since)}", indent=6)
    if ignored := difference.ignored:
        word = "no longer ignored, since" if difference.expired else "ignored until"
        out_folded(f"    {escape(word)} {escape(str(ignored.until))}: {escape(ignored.reason)}", indent=6)


def show_file_change(name: str, before: str, after: str) -> None:
    """Show the changed lines of a file."""
    lines = unified_diff(before.splitlines(), after.splitlines(), name, name, n=1, lineterm="")
    for line in lines:
        data(line)


def show_key_note(key: str, also: Sequence[str]) -> None:
    """Show what else a key sets, which will then differ from the account."""
    if also:
        info(f"{key} also sets {', '.join(also)}: shown by orderops infra plan afterwards")
