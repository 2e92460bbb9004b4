"""Commands that read or correct the ledger: info, history, baseline, repair."""

from __future__ import annotations

from orderops.database.schema_owner import ownership
from orderops.errors import UsageError
from orderops.migrations import migrator
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.serialize import to_json
from orderops.migrations.sql.files import read_migrations, sql_folder
from orderops.operations.migrate import confirmed, ledger_sessions
from orderops.operations.migration_target import connected, target
from orderops.operations.options import ChangeOptions, MigrateOptions
from orderops.operations.remote import argv, migrate_by_task
from orderops.operations.schema_owner import is_ours
from orderops.ui import console
from orderops.ui.migrations import (
    attempts_json,
    attempts_of,
    overview_json,
    show_attempts,
    show_overview,
    show_owners,
    show_repairs,
)


def info(where: MigrateOptions, *, as_json: bool) -> None:
    """Show the status of each migration."""
    migrations = read_migrations(sql_folder(where.sql))
    if migrate_by_task(where, argv("migrate", "info", json=as_json)):
        return
    with target(where) as database, connected(database) as connection:
        overview = migrator.overview(connection, migrations)
        owned = ownership(connection)
    if as_json:
        console.show_json({**overview_json(overview), "schema_owner": owned.to_dict()})
    else:
        show_overview(overview, database.options)
        # Another database than an environment's keeps the owners that it has.
        if is_ours(database) or owned.handed_over:
            show_owners(owned, f"orderops migrate grant {database.options}" if is_ours(database) else "")


def history(where: MigrateOptions, *, last: int | None, as_json: bool) -> None:
    """Show the last attempts on the database, newest first; 20 by default."""
    if migrate_by_task(where, argv("migrate", "history", last=last, json=as_json)):
        return
    with target(where) as database, connected(database) as connection:
        histories = ledger.read(connection)
    if where.job:
        where.job.set_result({"ledger": to_json(histories)})
    attempts = attempts_of(histories, last or 20)
    if as_json:
        console.show_json(attempts_json(attempts))
    elif attempts:
        show_attempts(attempts)
    else:
        console.info(f"nothing was done to {database.name} yet")


def baseline(where: MigrateOptions, options: ChangeOptions, *, version: int | None, tool: str | None) -> None:
    """Mark migrations as applied without running them: up to a version, or as another tool's ledger says."""
    if (version is None) == (tool is None):
        raise UsageError("give either --version or --from", "orderops migrate baseline --version N")
    command = argv(
        "migrate",
        "baseline",
        version=version,
        from_=tool,
        **options.for_task(),
    )
    question = "Mark migrations as applied in {env} without running them (to list them: --dry-run)?"
    migrations = read_migrations(sql_folder(where.sql))
    if migrate_by_task(where, command, options, question=question):
        return
    options = options.of("migrate baseline")
    with target(where, changes=not options.dry_run) as database:
        with connected(database) as connection:
            wanted = migrator.to_baseline(connection, migrations, version=version, tool=tool)
        # Listed before the question, so that the operator confirms names and not a number.
        for migration in wanted.migrations:
            console.data(f"~ {migration.name} counts as applied")
        if not options.dry_run:
            question = f"Mark {len(wanted.migrations)} migrations as applied in {database.name} without running them?"
            with confirmed(database, options, question), ledger_sessions(database, wait=options.wait) as sessions:
                migrator.baseline(sessions, wanted)
            console.info(f"{len(wanted.migrations)} marked as applied: {wanted.note}")
            console.info(f"next: orderops migrate info {database.options}".rstrip())


def repair(where: MigrateOptions, options: ChangeOptions, *, version: int | None, status: str | None) -> None:
    """Correct the ledger after an intentional edit to a file; shows what it writes first."""
    requested = migrator.requested_repair(version, status)
    command = argv(
        "migrate",
        "repair",
        version=version,
        as_=status,
        **options.for_task(),
    )
    question = "Correct the ledger of {env}, leaving the schema unchanged (to see how: --dry-run)?"
    migrations = read_migrations(sql_folder(where.sql))
    if migrate_by_task(where, command, options, question=question):
        return
    options = options.of("migrate repair")
    with target(where, changes=not options.dry_run) as database:
        with connected(database) as connection:
            wanted = migrator.to_repair(migrator.overview(connection, migrations), requested)
        show_repairs(wanted)
        if not wanted:
            console.info("nothing to repair: files and ledger match")
        elif not options.dry_run:
            question = f"Write this to the ledger of {database.name}? The schema is not changed."
            with confirmed(database, options, question), ledger_sessions(database, wait=options.wait) as sessions:
                migrator.repair(sessions, wanted)
            console.info(f"{len(wanted)} repaired")
            console.info(f"next: orderops migrate info {database.options}".rstrip())
