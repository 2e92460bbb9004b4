"""Rules about the names of migration files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.sql.files import DATED, Migration, SqlFile, unapplied_gaps


def name_rules(migrations: Sequence[Migration]) -> Iterator[tuple[Migration, Finding]]:
    """Yield findings about file names, each with its migration."""
    for migration, missing in unapplied_gaps(migrations, 0):
        why = f"{missing} is missing before it: apply would reject that version if it comes later from another branch"
        yield (
            migration,
            _finding(migration.forwards, "version-gap", why, f"-- add {missing}, or renumber this migration"),
        )
    digits = min((len(_number(migration)) for migration in migrations[:1]), default=0)
    for migration in migrations:
        if migration.back.name[1:] != migration.forwards.name[1:]:
            why = f"it undoes {migration.forwards.name}, but has another description"
            rewrite = f"-- git mv {migration.back.name} U{migration.forwards.name[1:]}"
            yield migration, _finding(migration.back, "undo-named-otherwise", why, rewrite)
        number = f"{migration.version:0{digits}}"
        if migration.version < DATED and _number(migration) != number:
            why = (
                f"its version has {len(_number(migration))} digits and others have {digits}: listings are out of order"
            )
            rewrite = f"-- git mv {migration.name} V{number}__{migration.name.partition('__')[2]}"
            yield migration, _finding(migration.forwards, "version-digits", why, rewrite)


def _number(migration: Migration) -> str:
    return migration.name[1:].partition("__")[0]


def _finding(file: SqlFile, name: str, message: str, rewrite: str) -> Finding:
    known = rule(name)
    return Finding(file.path, 1, 1, name, known.level if known else Level.WARNING, message, rewrite)
