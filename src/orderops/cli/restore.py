"""orderops restore: the past on a new instance, compared, promoted, turned back, thrown away."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import LONGEST_WAIT, Confirm, DryRun, Env, Environments, Json, Wait, Yes
from orderops.cli.restore_compare import Name, compare, salvage

commands = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    help="The past on a new instance beside the database: restored, compared, promoted, turned back.",
)

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help='The moment: 2026-11-10T08:00:00Z (with a zone), "-15m", "before V7", latest.',
        metavar="MOMENT",
        show_default=False,
    ),
]


@commands.callback()
def restore(
    context: typer.Context,
    at: At = None,
    env: Env = "local",
    environments: Environments = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Another instance than the primary, as one that was before.", metavar="NAME"),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = LONGEST_WAIT,
    json: Json = False,
) -> None:
    """Bring the database as it was at a moment to a NEW instance; the original is never touched.

    The same command goes on with what was cut. Then: orderops restore compare, promote, back, discard.
    """
    from orderops.errors import UsageError

    if context.invoked_subcommand:
        if given := [*([f"--at {at}"] if at else []), *([f"--from {source}"] if source else [])]:
            raise UsageError(
                f"{' '.join(given)} stands before {context.invoked_subcommand}, which takes no moment",
                "orderops restore --at MOMENT",
            )
        return
    if not at:
        raise UsageError("say which moment", 'orderops restore --at "-15m"; what there is: orderops restore points')
    from orderops.operations.restore import restore as restored
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.restore.timestamps import parse_timestamp

    asked = parse_timestamp(at)
    workspace = open_workspace(env, environments)
    command = f"restore --at {asked.text!r}" if " " in asked.text else f"restore --at {asked.text}"
    restored(workspace, ChangeOptions(command, dry_run, yes, [], wait), asked, source=source, as_json=json)


commands.command()(compare)
commands.command()(salvage)


@commands.command("list")
def list_(env: Env = "local", environments: Environments = None, json: Json = False) -> None:
    """The primary, and every restored instance beside it: what it is a copy of, as of when, and how it is."""
    from orderops.operations.workspace import open_workspace
    from orderops.restore.instances import load_instances
    from orderops.ui import console
    from orderops.ui.restore import show_copies

    workspace = open_workspace(env, environments)
    copies = load_instances(workspace.aws, workspace.stack)
    if json:
        console.show_json([copy.to_dict() for copy in copies.all])
    else:
        show_copies(copies)


@commands.command()
def points(
    env: Env = "local",
    environments: Environments = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Another instance than the primary.", metavar="NAME")
    ] = None,
    last: Annotated[int, typer.Option("--last", "-n", help="How many runs to look through.", min=1)] = 30,
    json: Json = False,
) -> None:
    """From when to when the database can be restored, and what was migrated and released in that time."""
    from orderops.operations.restore import points_of
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.restore import show_points

    workspace = open_workspace(env, environments)
    name, window, found = points_of(workspace, source, last=last)
    if json:
        told = {"name": name, "window": window.to_dict(), "points": [point.to_dict() for point in found]}
        console.show_json(told)
    else:
        show_points(window, found, name, env)


@commands.command()
def promote(
    name: Name = None,
    env: Env = "local",
    environments: Environments = None,
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", help="Even where it is not set as the primary is; the next up sets the rest.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Make a restored instance the database: the services follow, nothing is renamed, and it can be turned back."""
    from orderops.operations.promote import switch_to
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.restore.promotion import switch

    workspace = open_workspace(env, environments)
    words = f"restore promote {name}" if name else "restore promote"
    switch_to(
        workspace,
        ChangeOptions(words, dry_run, yes, confirm, wait),
        lambda copies: switch(copies, name),
        as_it_is=as_it_is,
    )


@commands.command()
def back(
    env: Env = "local",
    environments: Environments = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Turn the last promotion back, while the instance that was primary before it lives."""
    from orderops.operations.promote import switch_to
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.restore.promotion import switch_back as turned

    workspace = open_workspace(env, environments)
    switch_to(workspace, ChangeOptions("restore back", dry_run, yes, confirm, wait), turned, as_it_is=True)


@commands.command()
def discard(
    name: Name = None,
    env: Env = "local",
    environments: Environments = None,
    snapshot: Annotated[bool, typer.Option("--snapshot/--no-snapshot", help="Whether a final snapshot stays.")] = True,
    dry_run: DryRun = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Delete an instance that is not the primary, after its name was typed; a final snapshot stays."""
    from orderops.operations.promote import discard as discarded
    from orderops.operations.workspace import ChangeOptions, open_workspace

    workspace = open_workspace(env, environments)
    words = f"restore discard {name}" if name else "restore discard"
    discarded(workspace, ChangeOptions(words, dry_run, False, confirm, wait), name, snapshot=snapshot)


@commands.command()
def drill(
    at: Annotated[str, typer.Option("--at", help="The moment, as for a restore.", metavar="MOMENT")] = "latest",
    env: Env = "local",
    environments: Environments = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = LONGEST_WAIT,
    json: Json = False,
) -> None:
    """Prove that a restore works: restore, compare, discard. Keeps how long it took and how much would be lost.

    For a schedule: orderops restore drill --env prod --yes
    """
    from orderops.operations import drill as drilling
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.restore.timestamps import parse_timestamp
    from orderops.ui import console

    asked = parse_timestamp(at)
    workspace = open_workspace(env, environments)
    if dry_run:
        console.info(f"would restore {env} to a copy as of {asked.text}, compare it with live, and delete it")
        return
    proven = drilling.drill(workspace, ChangeOptions(f"restore drill --at {asked.text}", dry_run, yes, [], wait), asked)
    if json:
        console.show_json(proven.to_dict())
    else:
        drilling.show(proven, env)
