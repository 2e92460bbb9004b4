"""The schema on its way up, in the environments that say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orderops import terminal
from orderops.database import connected, login
from orderops.engine import Action
from orderops.errors import OrderopsError
from orderops.migrations import Migration, apply, pending, read_migrations, sql_folder

if TYPE_CHECKING:
    from orderops.run import Run
    from orderops.site import Plan, Site


def migrations_of(site: Site, folder: Path | None) -> list[Migration]:
    """What `up` sees to; nothing where the environment does not say that it does."""
    return read_migrations(sql_folder(folder)) if site.environment.migrations.on_up else []


def migrate(site: Site, migrations: Sequence[Migration], run: Run) -> None:
    """Apply what is pending, and say so."""
    if not migrations:
        return
    with connected(login(site.aws, site.stack.pointer.name), name="orderops migrate") as connection:
        for migration in apply(connection, migrations):
            terminal.say(f"+ migration {migration.name} applied")
            run.record.note(migration=migration.name, action="apply")


def to_migrate(site: Site, planned: Plan, migrations: Sequence[Migration]) -> list[Migration]:
    """What is pending: all, where the database is still to be made."""
    to_create = {step.address for step in planned.changes if step.action is Action.CREATE}
    if not migrations or site.stack.pointer.address in to_create:
        return list(migrations)
    with connected(login(site.aws, site.stack.pointer.name), name="orderops migrate") as connection:
        return pending(connection, migrations)


def show_pending(site: Site, planned: Plan, migrations: Sequence[Migration]) -> None:
    """Name what would be applied."""
    try:
        for migration in to_migrate(site, planned, migrations):
            terminal.tell(f"+ apply migration {migration.name}")
    except OrderopsError as error:
        terminal.say(f"migrations: {error.message}")
