"""Commands that change the schema: apply and undo."""

from __future__ import annotations

from datetime import timedelta

from orderops.database.hand_over import Due, due
from orderops.database.schema_owner import OWNER
from orderops.migrations import migrator
from orderops.migrations.sql.files import read_migrations, sql_folder
from orderops.operations import schema_owner
from orderops.operations.gate import RehearsalGate, check_reason
from orderops.operations.migrate import SchemaChange, confirmed, open_runner, run_migrations, show_wanted
from orderops.operations.migration_target import MigrationTarget, connected, target
from orderops.operations.options import ChangeOptions, LockOptions, MigrateOptions
from orderops.operations.remote import argv, migrate_by_task
from orderops.operations.service_login import follow_migrations, is_due_in
from orderops.ui import console


def apply(
    where: MigrateOptions,
    options: ChangeOptions,
    locks: LockOptions,
    *,
    to: int | None,
    out_of_order: bool,
    without_rehearsal: bool,
    reason: str | None,
) -> None:
    """Apply pending migrations under live traffic."""
    bypass_reason = check_reason(without_rehearsal, reason)
    migrations = read_migrations(sql_folder(where.sql))
    command = argv(
        "migrate",
        "apply",
        to=to,
        out_of_order=out_of_order,
        without_rehearsal=without_rehearsal,
        reason=reason,
        **locks.for_task(),
        **options.for_task(),
    )
    question = "Apply the pending migrations to {env} (to list them: --dry-run)?"
    if migrate_by_task(where, command, options, question=question, locks=locks, with_login=True):
        return
    words = ["migrate apply", *([f"--to {to}"] if to is not None else [])]
    words += [f"--without-rehearsal --reason {bypass_reason!r}"] if bypass_reason else []
    options = options.of(*words)
    with target(where, changes=not options.dry_run) as database:
        with connected(database) as connection:
            wanted = migrator.plan(migrator.overview(connection, migrations), to=to, out_of_order=out_of_order)
            # Checked before the question: the operator should not confirm what the gate then refuses.
            gate = RehearsalGate(database, bypass_reason)
            (gate.preview if options.dry_run else gate.opened)(connection, wanted)
            owner_due = due(connection)
            schema_owner.announce(database, owner_due)
        if options.dry_run:
            show_wanted([status.migration.forwards for status in wanted if status.migration], "apply")
        elif not wanted:
            console.info(f"0 pending: {database.name} has all {len(migrations)} migrations")
            _look_after_roles(database, options, locks.budget, owner_due)
        else:
            run_migrations(
                database,
                options,
                wanted,
                SchemaChange("Apply", "to", "apply", "applied", locks.budget, locks.terminate_blockers),
                lambda runner: gate.apply(runner, migrations, to=to, out_of_order=out_of_order),
            )


def _look_after_roles(database: MigrationTarget, options: ChangeOptions, budget: timedelta, owner_due: Due) -> None:
    """Make the roles in a database that was migrated before the services, or the schema, had one."""
    hand_over = schema_owner.is_ours(database) and owner_due is not Due.NOTHING
    wanted = [f"Hand the schema of {database.name} over to {OWNER}"] if hand_over else []
    wanted += [f"Let the services of {database.name} log in as a role of their own"] if is_due_in(database) else []
    if not wanted:
        return
    with confirmed(database, options, "? ".join(wanted) + "?") as agreed:
        if hand_over:
            with open_runner(database, wait=options.wait, budget=budget) as (runner, _):
                schema_owner.hand_over(database, runner)
        follow_migrations(database, agreed.recent_writes)


def undo(
    where: MigrateOptions, options: ChangeOptions, locks: LockOptions, *, to: int | None, accept_data_loss: list[str]
) -> None:
    """Undo applied migrations by their U files, newest first."""
    migrations = read_migrations(sql_folder(where.sql))
    command = argv(
        "migrate",
        "undo",
        to=to,
        accept_data_loss=accept_data_loss,
        **locks.for_task(),
        **options.for_task(),
    )
    question = "Undo these migrations in {env} (to list them: --dry-run)?"
    if migrate_by_task(where, command, options, question=question, locks=locks):
        return
    options = options.of(f"migrate undo{f' --to {to}' if to is not None else ''}")
    with target(where, changes=not options.dry_run) as database:
        with connected(database) as connection:
            overview = migrator.overview(connection, migrations)
            wanted = migrator.undo_plan(connection, overview, to=to, accepted=accept_data_loss)
        if options.dry_run:
            show_wanted([status.migration.back for status in wanted if status.migration], "undo with")
        elif not wanted:
            console.info(f"nothing to undo in {database.name}")
        else:
            run_migrations(
                database,
                options,
                wanted,
                SchemaChange("Undo", "in", "undo", "undone", locks.budget, locks.terminate_blockers),
                lambda runner: migrator.undo(runner, migrations, to=to, accepted=accept_data_loss),
            )
