"""Lists of restored instances and of points in time to restore to."""

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
from orderops.ui.escaping import escape


def show_instances(instances: Instances) -> None:
    """Show the primary, then every other instance."""
    if not instances.primary and not instances.others:
        info(f"{instances.environment} has no database")
        return
    for instance in instances.all:
        out.print(f"[bold]{escape(instance.name)}[/]")
        out.print(f"  {escape(_about(instance))}", highlight=False)
        if instance.moment:
            took = f", in {in_words(instance.duration)}" if instance.duration else ""
            source = instance.tag("orderops:source")
            out.print(f"  as of {utc_and_local(instance.moment)} of {escape(source)}{took}", highlight=False)


def show_points(window: RestoreWindow, points: Sequence[RestorePoint], name: str, env: str) -> None:
    """Show the restore window, and before which migrations and runs the database can be restored."""
    info(f"{name} can be restored to any time")
    info(f"  from {utc_and_local(window.earliest)}")
    info(f"  to   {utc_and_local(window.latest)}")
    if points:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("began", "what", "to restore to before it"):
            table.add_column(heading, overflow="fold")
        for point in points:
            # UTC, as in logs and in AWS consoles; the window above also shows local time.
            began = point.began.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            option = f"--at {point.at}" if point.in_window else "outside the window"
            table.add_row(began, escape(point.what), escape(option), style="" if point.in_window else "dim")
        out.print(table)
    info(f"next: orderops restore --at TIMESTAMP --env {env}")


def _about(instance: Instance) -> str:
    properties = instance.observed.properties
    # AWS knows the time only once the instance exists.
    created: datetime | None = properties["InstanceCreateTime"]
    age = f", {in_words(datetime.now(UTC) - created)} old" if created else ""
    ready = "" if instance.ready or not instance.moment else ", restore not finished"
    command = f"orderops restore {instance.tag(PROMOTED_BY)} --env {instance.tag(ENVIRONMENT)}"
    unfinished = "" if instance.settled or instance.role != PRIMARY else f", promotion not finished: {command}"
    size = f"{properties['DBInstanceClass']}, {properties['AllocatedStorageNow']} GB"
    return f"{instance.role}, {instance.observed.status}{ready}{unfinished}, {size}{age}"
