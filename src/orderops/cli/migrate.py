"""orderops migrate: the database's changes, their ledger, and the way there under live traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from orderops.cli.migrate_lint import lint
from orderops.cli.migrate_rehearsal import rehearsal
from orderops.cli.options import LONGEST_WAIT, Confirm, DryRun, Env, Environments, Json, Sql, Wait, Yes, duration
from orderops.operations.remote import sent_where_needed

commands = typer.Typer(
    no_args_is_help=True, help="The database's schema: what is applied, what is pending, and the way there."
)

BUDGET = timedelta(minutes=10)

Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        help="Another database than the environment's: a connection string without a password, "
        "which comes from PGPASSWORD or ~/.pgpass; or the whole as ORDEROPS_DSN.",
        metavar="CONNINFO",
        show_default=False,
    ),
]
To = Annotated[int | None, typer.Option("--to", help="Up to this version.", metavar="N", show_default=False)]
Budget = Annotated[
    timedelta,
    typer.Option("--budget", help="How long to wait for locks in all: 90s, 10m.", metavar="DURATION", parser=duration),
]
Terminate = Annotated[
    bool,
    typer.Option(
        "--terminate-blockers", help="End sessions that are in the way, after a question each; never a superuser's."
    ),
]
Accept = Annotated[
    list[str],
    typer.Option("--accept-data-loss", help="Table whose rows, or a column's values, may go.", metavar="TABLE"),
]


@commands.command()
@sent_where_needed()
def info(
    env: Env = "local", environments: Environments = None, sql: Sql = None, dsn: Dsn = None, json: Json = False
) -> None:
    """How each migration stands: applied, pending, changed, missing, out of order; and what apply would do."""
    from orderops.migrations.migrator import overview
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations.migrate import looking, target
    from orderops.ui import console
    from orderops.ui.migrations import picture_json, show_picture

    migrations = read_migrations(sql_folder(sql))
    with target(env, environments, dsn, sql) as at, looking(at) as connection:
        picture = overview(connection, migrations)
    if json:
        console.show_json(picture_json(picture))
    else:
        show_picture(picture, at.words)


@commands.command()
def new(
    description: Annotated[str, typer.Argument(help='What it does, as "add order status".', show_default=False)],
    sql: Sql = None,
) -> None:
    """Write the next pair of files, with a head that says what they may ask for."""
    from orderops.migrations.sql.files import new_pair, sql_folder
    from orderops.ui import console

    for path in new_pair(sql_folder(sql), description):
        console.data(str(path))
    console.info("next: write both, then orderops migrate lint")


commands.command()(lint)
commands.command()(rehearsal)


@commands.command()
@sent_where_needed("Apply to {env} what is pending (what that is: --dry-run)?", lambda given: _check_apply(**given))
def apply(
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    dsn: Dsn = None,
    to: To = None,
    out_of_order: Annotated[
        bool, typer.Option("--out-of-order", help="Also apply what came after a higher version was applied.")
    ] = False,
    without_rehearsal: Annotated[
        bool, typer.Option("--without-rehearsal", help="Even where only what was rehearsed is applied; wants --reason.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why without: it is put on record.", show_default=False)
    ] = None,
    budget: Budget = BUDGET,
    terminate_blockers: Terminate = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Apply what is pending, under live traffic: looks who is in the way first, and never makes others wait long."""
    from orderops.migrations import migrator
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations import migrate as migrating
    from orderops.operations.gate import RehearsalGate, check_reason
    from orderops.operations.workspace import ChangeOptions
    from orderops.ui import console

    why = check_reason(without_rehearsal, reason)
    migrations = read_migrations(sql_folder(sql))
    words = ["migrate apply", *([f"--to {to}"] if to is not None else [])]
    words += [f"--without-rehearsal --reason {why!r}"] if why else []
    options = ChangeOptions(" ".join(words), dry_run, yes, confirm, wait)
    with migrating.target(env, environments, dsn, sql, changes=not dry_run) as at:
        with migrating.looking(at) as connection:
            wanted = migrator.plan(migrator.overview(connection, migrations), to=to, out_of_order=out_of_order)
            gate = RehearsalGate(at, why)
            (gate.foretell if dry_run else gate.opened)(connection, wanted)
        if dry_run:
            migrating.show_wanted([line.migration.forwards for line in wanted if line.migration], "apply")
        elif not wanted:
            console.info(f"0 pending: {at.name} is as the files say ({len(migrations)} migrations)")
        else:
            carrying = migrating.Carrying("Apply", "to", "apply", "applied", budget, terminate_blockers)
            migrating.carry_through(
                at,
                options,
                wanted,
                carrying,
                lambda carrier: gate.apply(carrier, migrations, to=to, out_of_order=out_of_order),
            )


@commands.command()
@sent_where_needed("Undo in {env} what these words name (what that is: --dry-run)?")
def undo(
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    dsn: Dsn = None,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", help="Down to this version, which stays; 0 for all. The newest alone when left out.", metavar="N"
        ),
    ] = None,
    accept_data_loss: Accept = [],
    budget: Budget = BUDGET,
    terminate_blockers: Terminate = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Take back what is applied by its U files, newest first; refuses to take rows along until told which."""
    from orderops.migrations import migrator
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations import migrate as migrating
    from orderops.operations.workspace import ChangeOptions
    from orderops.ui import console

    migrations = read_migrations(sql_folder(sql))
    options = ChangeOptions(f"migrate undo{f' --to {to}' if to is not None else ''}", dry_run, yes, confirm, wait)
    with migrating.target(env, environments, dsn, sql, changes=not dry_run) as at:
        with migrating.looking(at) as connection:
            picture = migrator.overview(connection, migrations)
            wanted = migrator.undo_plan(connection, picture, to=to, accepted=accept_data_loss)
        if dry_run:
            migrating.show_wanted([line.migration.back for line in wanted if line.migration], "undo with")
        elif not wanted:
            console.info(f"nothing to undo in {at.name}")
        else:
            carrying = migrating.Carrying("Undo", "in", "undo", "undone", budget, terminate_blockers)
            migrating.carry_through(
                at,
                options,
                wanted,
                carrying,
                lambda carrier: migrator.undo(carrier, migrations, to=to, accepted=accept_data_loss),
            )


@commands.command()
@sent_where_needed(
    "Mark migrations as applied in {env}, and run none (which: --dry-run)?", lambda given: _check_baseline(**given)
)
def baseline(
    version: Annotated[
        int | None, typer.Option("--version", help="Everything up to here is there already.", metavar="N")
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Take over the ledger of flyway, dbmate, yoyo or golang-migrate; auto finds it.",
            metavar="TOOL",
        ),
    ] = None,
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    dsn: Dsn = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Mark migrations as applied in a database that was there before; runs none of them."""
    from orderops.migrations import migrator
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations import migrate as migrating
    from orderops.operations.workspace import ChangeOptions
    from orderops.ui import console

    _check_baseline(version, tool)
    migrations = read_migrations(sql_folder(sql))
    options = ChangeOptions("migrate baseline", dry_run, yes, confirm, wait)
    with migrating.target(env, environments, dsn, sql, changes=not dry_run) as at:
        with migrating.looking(at) as connection:
            wanted = migrator.to_baseline(connection, migrations, version=version, tool=tool)
        for each in wanted.migrations:
            console.data(f"~ {each.name} counts as applied")
        if not dry_run:
            question = f"Mark {len(wanted.migrations)} migrations as applied in {at.name}, and run none?"
            with migrating.agreed(at, options, question), migrating.alone(at, wait=wait) as sessions:
                migrator.baseline(sessions, wanted)
            console.info(f"{len(wanted.migrations)} marked as applied: {wanted.note}")
            console.info(f"next: orderops migrate info {at.words}".rstrip())


@commands.command()
@sent_where_needed(
    "Mend the ledger of {env}, and leave the schema as it is (how: --dry-run)?", lambda given: _check_repair(**given)
)
def repair(
    version: Annotated[
        int | None, typer.Option("--version", help="Only this version, to stand as --as says.", metavar="N")
    ] = None,
    stands: Annotated[
        str | None, typer.Option("--as", help="How that version stands in truth: applied or pending.", metavar="STATE")
    ] = None,
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    dsn: Dsn = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Make the ledger say what is true, after a file was edited or removed on purpose; shows what it writes first."""
    from orderops.migrations import migrator
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations import migrate as migrating
    from orderops.operations.workspace import ChangeOptions
    from orderops.ui import console
    from orderops.ui.migrations import show_repairs

    asked = migrator.asked_repair(version, stands)
    migrations = read_migrations(sql_folder(sql))
    options = ChangeOptions("migrate repair", dry_run, yes, confirm, wait)
    with migrating.target(env, environments, dsn, sql, changes=not dry_run) as at:
        with migrating.looking(at) as connection:
            wanted = migrator.to_repair(migrator.overview(connection, migrations), asked)
        show_repairs(wanted)
        if not wanted:
            console.info("nothing to repair: files and ledger fit together")
        elif not dry_run:
            question = f"Write this into the ledger of {at.name}? The schema stays as it is."
            with migrating.agreed(at, options, question), migrating.alone(at, wait=wait) as sessions:
                migrator.repair(sessions, wanted)
            console.info(f"{len(wanted)} repaired")
            console.info(f"next: orderops migrate info {at.words}".rstrip())


@commands.command()
@sent_where_needed()
def history(
    env: Env = "local",
    environments: Environments = None,
    dsn: Dsn = None,
    last: Annotated[int, typer.Option("--last", help="So many of them.", min=1, metavar="N")] = 20,
    json: Json = False,
) -> None:
    """What was done to the database, newest first: applied, undone, failed; by whom, how long, waiting for what."""
    from orderops.migrations.ledger import table as ledger
    from orderops.migrations.ledger.serialize import to_json
    from orderops.operations.migrate import looking, target
    from orderops.ui import console
    from orderops.ui.migrations import attempts_json, attempts_of, show_attempts

    with target(env, environments, dsn) as at, looking(at) as connection:
        standings = ledger.read(connection)
    if at.errand:
        at.errand.set_result({"ledger": to_json(standings)})
    attempts = attempts_of(standings, last)
    if json:
        console.show_json(attempts_json(attempts))
    elif attempts:
        show_attempts(attempts)
    else:
        console.info(f"nothing was done to {at.name} yet")


def _check_apply(without_rehearsal: bool, reason: str | None, **_: object) -> None:
    from orderops.operations.gate import check_reason

    check_reason(without_rehearsal, reason)


def _check_baseline(version: int | None, tool: str | None, **_: object) -> None:
    from orderops.errors import UsageError

    if (version is None) == (tool is None):
        raise UsageError("say either --version or --from", "orderops migrate baseline --version N")


def _check_repair(version: int | None, stands: str | None, **_: object) -> None:
    from orderops.migrations.migrator import asked_repair

    asked_repair(version, stands)
