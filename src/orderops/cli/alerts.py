"""orderops alerts: the rules that page, and whether they would."""

from __future__ import annotations

from typing import Any

import typer

from orderops.cli.command_tree import options_below
from orderops.cli.options import Json, grouped
from orderops.operations.options import EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Alarms: their rules, states and routes; whether they would page.")


@commands.command("list")
@grouped()
def list_(where: EnvironmentOptions, as_json: Json = False) -> None:
    """Show each rule with its priority, state, since when, threshold, and who is notified."""
    from orderops.operations.alerts import list_alerts
    from orderops.operations.workspace import open_workspace

    list_alerts(open_workspace(where.env, where.environments), as_json=as_json)


@commands.command()
@grouped()
def check(where: EnvironmentOptions, context: typer.Context, as_json: Json = False) -> None:
    """Find rules, alarms and routes that would page nobody, or in vain. Exit code 1 if there are any."""
    from orderops.operations.alerts import check_alerts
    from orderops.operations.workspace import open_workspace

    root = context.find_root().command
    check_alerts(open_workspace(where.env, where.environments), lambda text: exists(root, text), as_json=as_json)


def exists(root: Any, text: str) -> bool:
    """Whether a line such as `orderops status --env dev` is a command of this program with options that it has."""
    from orderops.pipelines.commands import commands_in, unknown_part

    known = dict(options_below(root))
    found = list(commands_in(iter([text]), known))
    return bool(found) and not any(unknown_part(command, known) for command in found)
