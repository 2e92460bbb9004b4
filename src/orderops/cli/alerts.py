"""orderops alerts: the rules that page, and whether they would."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from orderops.cli.command_tree import options_below, whole_tree
from orderops.cli.options import Json, duration, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Alarms: their rules, states and routes; whether they would page.")


class DrillPriority(StrEnum):
    """The priorities that notify at once; P3 is a report."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"


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

    root = whole_tree(context)
    check_alerts(open_workspace(where.env, where.environments), lambda text: exists(root, text), as_json=as_json)


@commands.command("fire-drill")
@grouped()
def fire_drill(
    where: EnvironmentOptions,
    options: ChangeOptions,
    priority: Annotated[DrillPriority, typer.Option("--priority", help="Whose receivers are tested.")] = (
        DrillPriority.P0
    ),
    delivered: Annotated[
        timedelta,
        typer.Option(
            "--delivered-within",
            help="How long to wait until SNS says that it delivered; default: 5m.",
            metavar="DURATION",
            parser=duration,
            show_default=False,
        ),
    ] = timedelta(minutes=5),
    back: Annotated[bool, typer.Option("--set-back", help="Only set back what an interrupted drill left.")] = False,
    as_json: Json = False,
) -> None:
    """Set an alarm, see whether its message reaches every receiver, and set it back. Pages an operator.

    Refused while an alarm of the priority is raised. An interrupted drill is set back by the next one.
    """
    from orderops.infra.alert_rule import Priority
    from orderops.operations.fire_drill import DrillPatience, end_fire_drills, fire_drill
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    if back:
        end_fire_drills(workspace, options.of("alerts fire-drill --set-back"))
        return
    command = options.of(f"alerts fire-drill --priority {priority}", as_json=as_json)
    fire_drill(workspace, command, Priority(priority), DrillPatience(delivered), as_json=as_json)


def exists(root: Any, text: str) -> bool:
    """Whether a line such as `orderops status --env dev` is a command of this program with options that it has."""
    from orderops.pipelines.commands import commands_in, unknown_part

    known = dict(options_below(root))
    found = list(commands_in(iter([text]), known))
    return bool(found) and not any(unknown_part(command, known) for command in found)
