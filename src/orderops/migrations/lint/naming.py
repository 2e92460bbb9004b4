"""How the files of a folder are named, beyond the form without which none is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.sql.files import DATED, Migration, SqlFile, unapplied_gaps


def name_rules(migrations: Sequence[Migration]) -> Iterator[tuple[Migration, Finding]]:
    """What the names say, each with the migration that it is about."""
    for migration, missing in unapplied_gaps(migrations, 0):
        why = f"{missing} is missing before it: apply would refuse what comes later from another branch"
        yield (
            migration,
            _finding(migration.forwards, "version-gap", why, f"-- bring {missing} here, or number this anew"),
        )
    digits = min((len(_number(migration)) for migration in migrations[:1]), default=0)
    for each in migrations:
        if each.back.name[1:] != each.forwards.name[1:]:
            why = f"it undoes {each.forwards.name}, and is called otherwise"
            rewrite = f"-- git mv {each.back.name} U{each.forwards.name[1:]}"
            yield each, _finding(each.back, "undo-named-otherwise", why, rewrite)
        told = f"{each.version:0{digits}}"
        if each.version < DATED and _number(each) != told:
            why = f"its version has {len(_number(each))} digits and others have {digits}: listings put it out of order"
            rewrite = f"-- git mv {each.name} V{told}__{each.name.partition('__')[2]}"
            yield each, _finding(each.forwards, "version-digits", why, rewrite)


def _number(migration: Migration) -> str:
    return migration.name[1:].partition("__")[0]


def _finding(file: SqlFile, name: str, message: str, rewrite: str) -> Finding:
    known = rule(name)
    return Finding(file.path, 1, 1, name, known.level if known else Level.WARNING, message, rewrite)
