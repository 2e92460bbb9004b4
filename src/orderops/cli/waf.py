"""orderops waf: the firewall in front of the load balancer."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from orderops.cli.options import Json, duration, grouped
from orderops.operations.options import EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Firewall: what it blocked, and what it would block.")


@commands.callback()
def _about() -> None:
    """Keep `report` a command of its own, though it is the only one."""


@commands.command()
@grouped()
def report(
    where: EnvironmentOptions,
    since: Annotated[
        timedelta,
        typer.Option("--since", help="How far back, such as 30m, 24h or 7d.", metavar="DURATION", parser=duration),
    ] = timedelta(hours=24),
    as_json: Json = False,
) -> None:
    """Show what each rule blocked, or would have blocked, by path and address, and what to write into the file."""
    from orderops.operations.firewall import report_firewall
    from orderops.operations.workspace import open_workspace

    report_firewall(open_workspace(where.env, where.environments), since, as_json=as_json)
