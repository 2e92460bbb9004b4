"""orderops board: a page about an environment for customers and engineers, and the incidents on it."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Json, duration, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    help="A page about an environment: words and incidents for customers, details for engineers, 90 days of history.",
)
incident = typer.Typer(no_args_is_help=True, help="Incidents on the board, written by hand for customers.")
commands.add_typer(incident, name="incident")


class Affected(StrEnum):
    """What an incident affects, in the words of customers."""

    ORDERS = "orders"
    PAGES = "pages"
    EVERYTHING = "everything"


Detail = Annotated[
    bool,
    typer.Option("--detail", help="Add the details for engineers: components, charts of 24 hours, releases."),
]
Id = Annotated[str, typer.Argument(help="Id of the incident, as listed.", metavar="ID")]


@commands.callback()
@grouped()
def board(
    context: typer.Context,
    where: EnvironmentOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write the page into.", metavar="FILE", dir_okay=False, show_default=False),
    ] = None,
    detail: Detail = False,
) -> None:
    """Write the page into a file, and keep a sample of the health. The page needs no other file and no network."""
    from orderops.errors import UsageError

    if context.invoked_subcommand:
        if out or detail:
            given = " ".join([*([f"--out {out}"] if out else []), *(["--detail"] if detail else [])])
            raise UsageError(
                f"{given} comes before {context.invoked_subcommand}",
                f"orderops board {context.invoked_subcommand} --help shows its options",
            )
        return
    if out is None:
        raise UsageError("name the file for the page", "orderops board --out FILE")
    from orderops.operations.board import write_board
    from orderops.operations.workspace import open_workspace

    write_board(open_workspace(where.env, where.environments), out, detail=detail)


@commands.command()
@grouped()
def serve(
    where: EnvironmentOptions,
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 for any.", min=0, max=65535)] = 8090,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than loopback are open to the network.")
    ] = "127.0.0.1",
    every: Annotated[
        timedelta,
        typer.Option(
            "--every",
            help="How often to read everything again, such as 30s; default: 30s.",
            metavar="DURATION",
            parser=duration,
            show_default=False,
        ),
    ] = timedelta(seconds=30),
    detail: Detail = False,
) -> None:
    """Serve the page on this machine, and renew it by itself, until Ctrl+C."""
    from orderops.errors import UsageError
    from orderops.operations.board import serve
    from orderops.operations.workspace import open_workspace

    if every < timedelta(seconds=5):
        raise UsageError("--every is shorter than 5 s", "reading an environment makes some twenty calls to AWS")
    serve(open_workspace(where.env, where.environments), host, port, every, detail=detail)


@commands.command()
@grouped()
def publish(
    where: EnvironmentOptions,
    every: Annotated[
        timedelta | None,
        typer.Option(
            "--every",
            help="Publish again and again in this interval, such as 5m, until Ctrl+C; default: once.",
            metavar="DURATION",
            parser=duration,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put the page for customers into the bucket of `[board]`, and keep a sample of the health."""
    from orderops.errors import UsageError
    from orderops.operations.board import publish_board
    from orderops.operations.workspace import open_workspace

    if every is not None and every < timedelta(seconds=60):
        raise UsageError("--every is shorter than 60 s", "the page in the bucket reads itself again once a minute")
    publish_board(open_workspace(where.env, where.environments), every)


@incident.command("open")
@grouped()
def open_(
    where: EnvironmentOptions,
    options: ChangeOptions,
    title: Annotated[str, typer.Argument(help="What customers notice, in a few words.", metavar="TITLE")],
    text: Annotated[
        str | None, typer.Option("--text", help="More about it, for customers.", metavar="TEXT", show_default=False)
    ] = None,
    affects: Annotated[Affected, typer.Option("--affects", help="What it affects.")] = Affected.EVERYTHING,
) -> None:
    """Open an incident on the board. Prints its id."""
    from orderops.operations.board import open_incident
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    open_incident(workspace, options.of("board incident open"), title, text or "", affects)


@incident.command()
@grouped()
def update(
    where: EnvironmentOptions,
    options: ChangeOptions,
    incident_id: Id,
    text: Annotated[str, typer.Argument(help="What customers read next.", metavar="TEXT")],
) -> None:
    """Add a text to an open incident."""
    from orderops.operations.board import update_incident
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    update_incident(workspace, options.of("board incident update", incident_id), incident_id, text)


@incident.command()
@grouped()
def close(
    where: EnvironmentOptions,
    options: ChangeOptions,
    incident_id: Id,
    text: Annotated[
        str | None, typer.Option("--text", help="A last text for customers.", metavar="TEXT", show_default=False)
    ] = None,
) -> None:
    """Close an incident; it stays on the board for 14 days."""
    from orderops.operations.board import close_incident
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    close_incident(workspace, options.of("board incident close", incident_id), incident_id, text or "")


@incident.command("list")
@grouped()
def list_(where: EnvironmentOptions, as_json: Json = False) -> None:
    """Show every incident, the newest first."""
    from orderops.operations.board import list_incidents
    from orderops.operations.workspace import open_workspace

    list_incidents(open_workspace(where.env, where.environments), as_json=as_json)
