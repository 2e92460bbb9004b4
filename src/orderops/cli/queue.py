"""orderops queue: what waits, and what was given up."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Queues: what waits, and the dead letters.")
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, send again, delete.")
commands.add_typer(dlq, name="dlq")

Service = Annotated[
    str | None,
    typer.Option("--service", help="Service; optional if there is only one.", metavar="NAME", show_default=False),
]
Schedules = Annotated[
    bool, typer.Option("--schedules", help="Starts of schedules that failed, in place of a service's dead letters.")
]
Ids = Annotated[
    list[str] | None, typer.Argument(help="Ids of messages, as listed.", metavar="[ID]...", show_default=False)
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="All with this reason, as listed.", metavar="REASON", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@commands.command()
@grouped()
def status(where: EnvironmentOptions, service: Service = None, as_json: Json = False) -> None:
    """Show how many messages wait, are worked on, or were given up."""
    from orderops.operations.queue import show_depths
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    names = [one_service(workspace, service)] if service else workspace.environment.entries
    show_depths(workspace, names, as_json=as_json)


@commands.command()
@grouped()
def peek(
    where: EnvironmentOptions,
    service: Service = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Number of messages.", min=1, max=100)] = 10,
    as_json: Json = False,
) -> None:
    """Show some waiting messages, which stay. SQS counts it as one of the attempts of each."""
    from orderops.operations.queue import peek
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    peek(workspace, one_service(workspace, service), count=count, as_json=as_json)


@dlq.command("list")
@grouped()
def list_(
    where: EnvironmentOptions, service: Service = None, schedules: Schedules = False, as_json: Json = False
) -> None:
    """Show the dead letters by reason, the most frequent first."""
    from orderops.operations.queue import dead_letters_of, list_dead_letters
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    list_dead_letters(workspace, dead_letters_of(workspace, service, schedules=schedules), as_json=as_json)


@dlq.command()
@grouped()
def show(
    where: EnvironmentOptions,
    message: Annotated[str, typer.Argument(help="Id of the message, as listed.", show_default=False)],
    service: Service = None,
    schedules: Schedules = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter with its reason and its whole body."""
    from orderops.operations.queue import dead_letters_of, show_dead_letter
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    show_dead_letter(workspace, dead_letters_of(workspace, service, schedules=schedules), message, as_json=as_json)


@dlq.command()
@grouped()
def replay(
    where: EnvironmentOptions,
    options: ChangeOptions,
    ids: Ids = None,
    reason: Reason = None,
    every: All = False,
    service: Service = None,
) -> None:
    """Send dead letters to the queue again, after their cause is fixed. Orders are still processed once."""
    from orderops.operations.queue import Chosen, replay
    from orderops.operations.workspace import open_workspace

    replay(open_workspace(where.env, where.environments), options, service, Chosen(ids or (), reason, every))


@dlq.command()
@grouped()
def purge(
    where: EnvironmentOptions,
    options: ChangeOptions,
    ids: Ids = None,
    reason: Reason = None,
    every: All = False,
    service: Service = None,
    schedules: Schedules = False,
) -> None:
    """Delete dead letters for good; the queue's name has to be confirmed."""
    from orderops.operations.queue import Chosen, dead_letters_of, purge
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    letters = dead_letters_of(workspace, service, schedules=schedules)
    purge(workspace, options, letters, Chosen(ids or (), reason, every))
