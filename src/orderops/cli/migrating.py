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
    from orderops.site import Plan, Site


def migrations_of(site: Site, folder: Path | None) -> list[Migration]:
    """What `up` sees to; nothing where the environment does not say that it does."""
    return read_migrations(sql_folder(folder)) if site.environment.migrations.on_up else []


def migrate(site: Site, migrations: Sequence[Migration]) -> int:
    """Apply what is pending, say so, and answer how many that were."""
    if not migrations:
        return 0
    with connected(login(site.aws, site.stack.pointer.name), name="orderops migrate") as connection:
        applied = 0
        for migration in apply(connection, migrations):
            terminal.say(f"+ migration {migration.name} applied")
            applied += 1
        return applied


def show_pending(site: Site, planned: Plan, migrations: Sequence[Migration]) -> None:
    """Name what would be applied: all, where the database is still to be made."""
    if not migrations:
        return
    to_create = {step.address for step in planned.changes if step.action is Action.CREATE}
    try:
        if site.stack.pointer.address not in to_create:
            with connected(login(site.aws, site.stack.pointer.name), name="orderops migrate") as connection:
                migrations = pending(connection, migrations)
    except OrderopsError as error:
        terminal.say(f"migrations: {error.message}")
        return
    for migration in migrations:
        terminal.tell(f"+ apply migration {migration.name}")
