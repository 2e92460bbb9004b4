"""orderops database: its size and version, who logs in to it, and with what."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from orderops.cli.options import Json, duration, grouped
from orderops.errors import UsageError
from orderops.operations.options import ChangeOptions, ChangeTime, DatabaseOptions, EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="The database server: class, version, passwords.")

Grace = Annotated[
    timedelta | None,
    typer.Option(
        "--grace",
        help="How long the login before stays open, such as 24h or 0; default: 2m. Up to 10m are waited for; after "
        "more, run the command again.",
        metavar="DURATION",
        parser=duration,
        show_default=False,
    ),
]
IfOlder = Annotated[
    timedelta,
    typer.Option(
        "--if-older",
        help="Begin a rotation only if the password is older than this, such as 30d; one that was begun goes on.",
        metavar="DURATION",
        parser=duration,
        show_default=False,
    ),
]

InstanceClass = Annotated[
    str, typer.Option("--class", help="Instance class, such as db.m6g.large.", metavar="CLASS", show_default=False)
]
At = Annotated[
    ChangeTime | None,
    typer.Option(
        "--at",
        help="Carry it out now, with everything else that RDS holds back, or in the maintenance window; default: "
        "window for a protected environment, now for others.",
        show_default=False,
    ),
]


@commands.command()
@grouped()
def rotate(
    where: DatabaseOptions,
    options: ChangeOptions,
    grace: Grace = None,
    if_older: IfOlder = timedelta(),
    as_json: Json = False,
) -> None:
    """Give services and master user new passwords, without a failed login. An interrupted rotation goes on."""
    from orderops.operations.database_rotate import Wanted, rotate

    rotate(where, options.of("database rotate", as_json=as_json), Wanted(grace, if_older))


@commands.command()
@grouped()
def users(where: DatabaseOptions, as_json: Json = False) -> None:
    """List who logs in to the database, what each may do, and since when sessions are open."""
    from orderops.operations.database_users import show

    show(where, as_json=as_json)


@commands.command()
@grouped()
def scale(
    where: EnvironmentOptions,
    options: ChangeOptions,
    instance_class: InstanceClass,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Change the instance class: write it into the environment file and change the instance, nothing else.

    Says before the question what is interrupted and for how long, and afterwards how long the database was away. An
    interrupted run is continued by the same command.
    """
    from orderops.operations.database_scale import scale

    at_option = f" --at {at}" if at else ""
    command = f"database scale --class {instance_class}{at_option}"
    scale(where, options.of(command, as_json=as_json), instance_class, at)


@commands.command()
@grouped()
def upgrade(
    where: EnvironmentOptions,
    options: ChangeOptions,
    version: Annotated[
        str, typer.Option("--to", help="Version, such as 17 or 17.4.", metavar="VERSION", show_default=False)
    ],
    at: At = None,
    rehearse: Annotated[
        bool,
        typer.Option("--rehearse", help="Upgrade a restored copy instead, measure it, and delete it."),
    ] = False,
    without_rehearsal: Annotated[
        bool,
        typer.Option("--without-rehearsal", help="Upgrade without a rehearsal, on record; requires --reason."),
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why there is no rehearsal; recorded.", show_default=False)
    ] = None,
    blue_green: Annotated[
        bool,
        typer.Option(
            "--blue-green", help="Upgrade a green instance that follows the database, then switch over to it."
        ),
    ] = False,
    no_switch: Annotated[
        bool, typer.Option("--no-switch", help="With --blue-green: stop when green is ready, to try it first.")
    ] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="With --blue-green: delete green again, before the switchover.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Upgrade PostgreSQL: write the version into the environment file and upgrade the instance, nothing else.

    Checks what the live database has that an upgrade does not take. In place, there is no way back but a restore; with
    --blue-green, the database is away for under a minute and the one before is kept. An interrupted run is continued
    by the same command.
    """
    _check_together(
        blue_green=blue_green,
        no_switch=no_switch,
        abandon=abandon,
        in_place=bool(at or rehearse or without_rehearsal or reason),
    )
    if blue_green:
        _blue_green(where, options, version, no_switch=no_switch, abandoned=abandon, as_json=as_json)
        return
    from orderops.operations.database_upgrade import upgrade

    command = " ".join(
        ["database upgrade --to", version, *([f"--at {at}"] if at else []), *(["--rehearse"] if rehearse else [])]
    )
    upgrade(
        where,
        options.of(command, as_json=as_json),
        version,
        at,
        rehearse=rehearse,
        without_rehearsal=without_rehearsal,
        reason=reason,
    )


def _check_together(*, blue_green: bool, no_switch: bool, abandon: bool, in_place: bool) -> None:
    """Raise UsageError for options that do not go together."""
    if (no_switch or abandon) and not blue_green:
        raise UsageError("--no-switch and --abandon are of a blue/green upgrade", "add --blue-green")
    if no_switch and abandon:
        raise UsageError("--no-switch leaves green ready, and --abandon deletes it", "pass one of them")
    if blue_green and in_place:
        raise UsageError(
            "--blue-green makes a copy of its own and switches over when it is ready",
            "leave out --at, --rehearse, --without-rehearsal and --reason",
        )


def _blue_green(
    where: EnvironmentOptions, options: ChangeOptions, version: str, *, no_switch: bool, abandoned: bool, as_json: bool
) -> None:
    command = f"database upgrade --to {version} --blue-green"
    if abandoned:
        from orderops.operations.database_abandon import abandon

        abandon(where, options.of(f"{command} --abandon", as_json=as_json), version)
        return
    from orderops.operations.database_blue_green import upgrade_by_switchover

    command = f"{command} --no-switch" if no_switch else command
    upgrade_by_switchover(where, options.of(command, as_json=as_json), version, switch=not no_switch)


@commands.command()
@grouped()
def extensions(where: DatabaseOptions, as_json: Json = False) -> None:
    """Show the extensions of the database with their versions, and what keeps RDS from upgrading it."""
    from orderops.operations.database_extensions import extensions

    extensions(where, as_json=as_json)


@commands.command()
@grouped()
def analyze(where: DatabaseOptions, as_json: Json = False) -> None:
    """Gather the statistics of the planner, which an upgrade to a major version empties. Changes no data."""
    from orderops.operations.database_analyze import analyze

    analyze(where, as_json=as_json)
