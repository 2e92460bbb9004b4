"""The safe way to write what hurt: as lint knows it, for the statements that were seen to hold somebody up."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orderops.errors import OrderopsError
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import Migration


def safe_way(migrations: Sequence[Migration], migration: Migration, lines: Collection[int]) -> str:
    """The rewrites of lint's for these lines, or of the whole file where it has none for them; or nothing."""
    try:
        found = [each for each in lint(migrations, only={migration.version}) if each.rewrite]
    except OrderopsError:  # the linter's program is not on this machine
        return ""
    forwards = [each for each in found if each.file == migration.forwards.path]
    meant = [forward for forward in forwards if forward.line in lines] or forwards
    return "\n".join(dict.fromkeys(each.rewrite for each in meant))
