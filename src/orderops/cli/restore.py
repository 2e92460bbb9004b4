"""orderops restore: point-in-time restore to a new instance, comparison, promotion, drills."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import InstanceName, Json, grouped
from orderops.cli.restore_compare import compare, salvage
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    help="Restore the database to a point in time on a new instance; compare, promote and discard it.",
)

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help='Point in time: 2026-11-10T08:00:00Z (with a zone), "-15m", "before V7" or latest.',
        metavar="TIMESTAMP",
        show_default=False,
    ),
]


@commands.callback()
@grouped("confirm")
def restore(
    context: typer.Context,
    where: EnvironmentOptions,
    options: ChangeOptions,
    at: At = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Instance to restore from; default: the primary.", metavar="NAME"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore the database to a point in time, on a NEW instance. The original is never changed.

    Re-running the command continues an interrupted restore. Then: orderops restore compare, promote, back, discard.
    """
    from orderops.errors import UsageError

    if context.invoked_subcommand:
        if given := [*([f"--at {at}"] if at else []), *([f"--from {source}"] if source else [])]:
            raise UsageError(
                f"{' '.join(given)} comes before {context.invoked_subcommand}, which takes no timestamp",
                "orderops restore --at TIMESTAMP",
            )
        return
    if not at:
        raise UsageError("give a timestamp", 'orderops restore --at "-15m"; to list points: orderops restore points')
    from orderops.operations.restore import restore
    from orderops.operations.workspace import open_workspace
    from orderops.restore.timestamps import parse_timestamp

    requested = parse_timestamp(at)
    workspace = open_workspace(where.env, where.environments)
    # As it was typed, so that the command in the history can be pasted.
    text = repr(requested.text) if " " in requested.text else requested.text
    restore(workspace, options.of(f"restore --at {text}"), requested, source=source, as_json=as_json)


commands.command()(compare)
commands.command()(salvage)


@commands.command("list")
@grouped()
def list_(where: EnvironmentOptions, as_json: Json = False) -> None:
    """List the primary and every restored instance: its source, its point in time and its status."""
    from orderops.operations.workspace import open_workspace
    from orderops.restore.instances import load_instances
    from orderops.ui import console
    from orderops.ui.restore import show_instances

    workspace = open_workspace(where.env, where.environments)
    instances = load_instances(workspace.aws, workspace.stack)
    if as_json:
        console.show_json([instance.to_dict() for instance in instances.all])
    else:
        show_instances(instances)


@commands.command()
@grouped()
def points(
    where: EnvironmentOptions,
    source: Annotated[
        str | None, typer.Option("--from", help="Instance to show; default: the primary.", metavar="NAME")
    ] = None,
    last: Annotated[int, typer.Option("--last", "-n", help="Number of runs to search.", min=1, metavar="N")] = 30,
    as_json: Json = False,
) -> None:
    """Show the restore window, and what was migrated and released in it."""
    from orderops.operations.restore import points_of
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.restore import show_points

    workspace = open_workspace(where.env, where.environments)
    name, window, found = points_of(workspace, source, last=last)
    if as_json:
        documents = [point.to_dict() for point in found]
        console.show_json({"name": name, "window": window.to_dict(), "points": documents})
    else:
        show_points(window, found, name, where.env)


@commands.command()
@grouped()
def promote(
    where: EnvironmentOptions,
    options: ChangeOptions,
    name: InstanceName = None,
    as_it_is: Annotated[
        bool,
        typer.Option(
            "--as-it-is",
            help="Promote even if settings differ from the primary's; the next up corrects them.",
        ),
    ] = False,
) -> None:
    """Make a restored instance, or a named read replica, the database. No instance is renamed; `back` reverses it."""
    from orderops.operations.promote import switch_to
    from orderops.operations.workspace import open_workspace
    from orderops.restore.promotion import switch

    workspace = open_workspace(where.env, where.environments)
    command = options.of("restore promote", *([name] if name else []))
    switch_to(workspace, command, lambda instances: switch(instances, name), as_it_is=as_it_is)


@commands.command()
@grouped()
def back(where: EnvironmentOptions, options: ChangeOptions) -> None:
    """Reverse the last promotion, while the former primary exists."""
    from orderops.operations.promote import switch_to
    from orderops.operations.workspace import open_workspace
    from orderops.restore.promotion import switch_back

    workspace = open_workspace(where.env, where.environments)
    switch_to(workspace, options.of("restore back"), switch_back, as_it_is=True)


@commands.command()
@grouped("yes")
def discard(
    where: EnvironmentOptions,
    options: ChangeOptions,
    name: InstanceName = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot/--no-snapshot", help="Whether to keep a final snapshot.")
    ] = True,
) -> None:
    """Delete an instance that is not the primary, after you type its name. Keeps a final snapshot."""
    from orderops.operations.promote import discard
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    discard(workspace, options.of("restore discard", *([name] if name else [])), name, snapshot=snapshot)


@commands.command()
@grouped("confirm")
def drill(
    where: EnvironmentOptions,
    options: ChangeOptions,
    at: Annotated[str, typer.Option("--at", help="Point in time, as for a restore.", metavar="TIMESTAMP")] = "latest",
    as_json: Json = False,
) -> None:
    """Prove that a restore works: restore, compare, discard. Records recovery time and recovery point.

    For a schedule: orderops restore drill --env prod --yes
    """
    from orderops.operations.drill import drill, show
    from orderops.operations.workspace import open_workspace
    from orderops.restore.timestamps import parse_timestamp
    from orderops.ui import console

    requested = parse_timestamp(at)
    workspace = open_workspace(where.env, where.environments)
    if options.dry_run:
        console.info(f"would restore {where.env} as of {requested.text}, compare that with live, and delete it")
        return
    proven = drill(workspace, options.of(f"restore drill --at {requested.text}"), requested)
    if as_json:
        console.show_json(proven.to_dict())
    else:
        show(proven, where.env)
