"""Findings of `migrate lint`: one a line, whole when piped, and the safe way below it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from orderops.migrations.lint.finding import Finding, Level
from orderops.ui.console import info, out

COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow"}
FIX = "    fix: "


def show_findings(findings: Sequence[Finding]) -> None:
    """Each place with what it does, then what to write instead."""
    for each in findings:
        place = f"{each.file}:{each.line}:{each.column}:"
        out.print(
            f"[bold]{escape(place)}[/] [{COLOURS[each.level]}]{each.level}[/] [cyan]{each.rule}[/]:"
            f" {escape(each.message)}"
        )
        for number, line in enumerate(each.rewrite.splitlines()):
            out.print(f"[dim]{' ' * len(FIX) if number else FIX}[/]{escape(line)}")


def say_summary(findings: Sequence[Finding], migrations: int) -> None:
    """The counts in a line, and what comes next."""
    counts = [(level, sum(each.level is level for each in findings)) for level in Level]
    told = ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts)
    info(f"{migrations} migration{'' if migrations == 1 else 's'}: {told}")
    if not findings:
        info("next: orderops migrate apply --dry-run")
    elif any(each.level is Level.ERROR for each in findings):
        info("where one has been seen to, a comment above the statement says so: -- squawk-ignore RULE")
