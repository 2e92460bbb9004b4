"""Restored instances and the moments to go back to, for human eyes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from orderops.aws.ownership import ENVIRONMENT
from orderops.resources.rds_description import PRIMARY
from orderops.restore.instances import PROMOTED_BY, Instance, Instances
from orderops.restore.points import RestorePoint
from orderops.restore.timestamps import utc_and_local
from orderops.restore.window import RestoreWindow
from orderops.text.durations import in_words
from orderops.ui.console import info, out


def show_copies(copies: Instances) -> None:
    """The primary first, then what stands beside it."""
    if not copies.primary and not copies.others:
        info(f"{copies.environment} has no database")
        return
    for copy in copies.all:
        out.print(f"[bold]{copy.name}[/]")
        out.print(f"  {_about(copy)}", highlight=False)
        if copy.moment:
            took = f", in {in_words(copy.duration)}" if copy.duration else ""
            out.print(f"  as of {utc_and_local(copy.moment)} of {copy.tag('orderops:source')}{took}", highlight=False)


def show_points(window: RestoreWindow, points: Sequence[RestorePoint], name: str, env: str) -> None:
    """The window, and in it what was done when; what lies outside stands dimmed below."""
    info(f"{name} can be restored")
    info(f"  from {utc_and_local(window.earliest)}")
    info(f"  to   {utc_and_local(window.latest)}")
    if points:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("began", "what", "to come out before it"):
            table.add_column(heading, overflow="fold")
        for point in points:
            began = point.began.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            way = f"--at {point.at}" if point.in_window else "out of the window"
            table.add_row(began, point.what, way, style="" if point.in_window else "dim")
        out.print(table)
    info(f"next: orderops restore --at MOMENT --env {env}")


def _about(copy: Instance) -> str:
    told = copy.observed.properties
    created: datetime | None = told["InstanceCreateTime"]
    age = f", {in_words(datetime.now(UTC) - created)} old" if created else ""
    ready = "" if copy.ready or not copy.moment else ", not restored to the end"
    command = f"orderops restore {copy.tag(PROMOTED_BY)} --env {copy.tag(ENVIRONMENT)}"
    cut = "" if copy.settled or copy.role != PRIMARY else f", not everything followed it: {command}"
    size = f"{told['DBInstanceClass']}, {told['AllocatedStorageNow']} GB"
    return f"{copy.role}, {copy.observed.status}{ready}{cut}, {size}{age}"
