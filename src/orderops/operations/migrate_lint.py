"""The part of `migrate lint` that needs a server: run the migrations in a scratch database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orderops.migrations.lint.executed import Execution
from orderops.migrations.sql.files import Migration
from orderops.migrations.trial.run import execute
from orderops.migrations.trial.scratch_database import scratch_database
from orderops.operations.migrate import is_other_database, target
from orderops.operations.options import MigrateOptions
from orderops.operations.workspace import check_is_laptop
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.progress import Progress

NAME = "scratch database"


def executed(
    where: MigrateOptions, migrations: Sequence[Migration], *, only: Collection[int]
) -> Mapping[int, Execution]:
    """Run the migrations in a scratch database on the laptop, or on the server of a connection string."""
    if not is_other_database(where.dsn):
        check_is_laptop(where.env, where.environments)
    position = {file.name: number for number, pair in enumerate(migrations, 1) for file in (pair.forwards, pair.back)}
    with target(where) as database, Progress() as progress:

        def on_file(name: str) -> None:
            progress.watch(NAME, f"runs {name} ({position[name]} of {counted(len(migrations), 'migration')})")

        def swept(name: str) -> None:
            console.info(f"dropped {name}, which an interrupted run had left")

        with scratch_database(database.login, swept=swept) as scratch:
            found = execute(scratch, migrations, only=only, on_file=on_file)
        progress.watch(NAME, "")
        return found
