"""orderops report: what needs no alarm, and should be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Reports: what needs no alarm, and should be looked at.")


@commands.callback()
def _about() -> None:
    """Keep `weekly` a command of its own, though it is the only one."""


@commands.command()
@grouped()
def weekly(
    where: EnvironmentOptions,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the report to a file.", metavar="FILE", dir_okay=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show drift, log volume, trends, drills, releases and alarms of the last seven days, as Markdown."""
    from orderops.operations.report import report_week
    from orderops.operations.workspace import open_workspace

    report_week(open_workspace(where.env, where.environments), out, as_json=as_json)
