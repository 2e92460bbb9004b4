"""orderops migrate: apply, undo and inspect the database's migrations."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.migrate_lint import lint
from orderops.cli.migrate_rehearsal import rehearsal
from orderops.cli.options import Json, Sql, grouped
from orderops.operations.options import ChangeOptions, LockOptions, MigrateOptions

commands = typer.Typer(no_args_is_help=True, help="Migrations of the database: status, apply, undo, rehearsal, ledger.")

To = Annotated[int | None, typer.Option("--to", help="Apply up to this version.", metavar="N", show_default=False)]
Accept = Annotated[
    list[str],
    typer.Option(
        "--accept-data-loss", help="Table whose rows or column values may be dropped; may be repeated.", metavar="TABLE"
    ),
]


@commands.command()
@grouped()
def info(where: MigrateOptions, as_json: Json = False) -> None:
    """Show each migration's status: applied, pending, changed, missing, out of order; and what apply would do."""
    from orderops.operations.migrate_ledger import info

    info(where, as_json=as_json)


@commands.command()
def new(
    description: Annotated[
        str, typer.Argument(help='What the migration does, such as "add order status".', show_default=False)
    ],
    sql: Sql = None,
) -> None:
    """Write the next pair of migration files, with a header that lists the available directives."""
    from orderops.migrations.sql.files import new_pair, sql_folder
    from orderops.ui import console

    for path in new_pair(sql_folder(sql), description):
        console.data(str(path))
    console.info("next: edit both files, then run: orderops migrate lint")


commands.command()(lint)
commands.command()(rehearsal)


@commands.command()
@grouped()
def apply(
    where: MigrateOptions,
    options: ChangeOptions,
    locks: LockOptions,
    to: To = None,
    out_of_order: Annotated[
        bool, typer.Option("--out-of-order", help="Also apply files older than the newest applied one.")
    ] = False,
    without_rehearsal: Annotated[
        bool,
        typer.Option("--without-rehearsal", help="Apply without a rehearsal receipt, on record; requires --reason."),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why there is no rehearsal; recorded in the ledger.", show_default=False),
    ] = None,
) -> None:
    """Apply pending migrations under live traffic, without making clients wait behind a lock."""
    from orderops.operations.migrate_schema import apply

    apply(
        where,
        options,
        locks,
        to=to,
        out_of_order=out_of_order,
        without_rehearsal=without_rehearsal,
        reason=reason,
    )


@commands.command()
@grouped()
def grant(where: MigrateOptions, options: ChangeOptions) -> None:
    """Give the schema to a role of its own, and let services log in as another; `apply` does it as well when due."""
    from orderops.operations.migrate_grant import grant

    grant(where, options)


@commands.command()
@grouped()
def undo(
    where: MigrateOptions,
    options: ChangeOptions,
    locks: LockOptions,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            help="Undo down to this version and keep it; 0 undoes all. Default: only the newest.",
            metavar="N",
        ),
    ] = None,
    accept_data_loss: Accept = [],
) -> None:
    """Undo applied migrations by their U files, newest first. Refuses to drop non-empty tables or columns."""
    from orderops.operations.migrate_schema import undo

    undo(where, options, locks, to=to, accept_data_loss=accept_data_loss)


@commands.command()
@grouped()
def baseline(
    where: MigrateOptions,
    options: ChangeOptions,
    version: Annotated[
        int | None,
        typer.Option("--version", help="The schema contains everything up to this version.", metavar="N"),
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Take over the ledger of flyway, dbmate, yoyo or golang-migrate; auto detects it.",
            metavar="TOOL",
        ),
    ] = None,
) -> None:
    """Mark migrations as applied in an existing database, without running them."""
    from orderops.operations.migrate_ledger import baseline

    baseline(where, options, version=version, tool=tool)


@commands.command()
@grouped()
def repair(
    where: MigrateOptions,
    options: ChangeOptions,
    version: Annotated[
        int | None, typer.Option("--version", help="Only this version, with the status given by --as.", metavar="N")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--as", help="Its actual status: applied or pending.", metavar="STATUS")
    ] = None,
) -> None:
    """Correct the ledger after an intentional edit to a migration file. Shows the corrections first."""
    from orderops.operations.migrate_ledger import repair

    repair(where, options, version=version, status=status)


@commands.command()
@grouped("sql")
def history(
    where: MigrateOptions,
    last: Annotated[
        int | None,
        typer.Option("--last", help="Number of attempts; default: 20.", min=1, metavar="N", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the attempts on the database, newest first: action, time, operator, duration and lock waits."""
    from orderops.operations.migrate_ledger import history

    history(where, last=last, as_json=as_json)
