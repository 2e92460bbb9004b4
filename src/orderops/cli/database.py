"""orderops database: who logs in to it, and with what."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from orderops.cli.options import Json, duration, grouped
from orderops.operations.options import ChangeOptions, DatabaseOptions

commands = typer.Typer(no_args_is_help=True, help="The database server: passwords, users.")

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
