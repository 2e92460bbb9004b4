"""Lint: read the migrations, run them in a scratch database if wanted, and show the findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum, auto

from orderops.config.environment import oldest_database_version
from orderops.errors import Differences, UsageError
from orderops.migrations.lint.executed import Execution
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.linter import chosen, fails
from orderops.migrations.lint.linter import lint as findings_of
from orderops.migrations.lint.sarif import sarif
from orderops.migrations.sql.files import Migration, read_migrations, sql_folder
from orderops.operations.options import MigrateOptions
from orderops.text.lists import counted
from orderops.ui import console

SCRATCH = "scratch database"


class Form(Enum):
    """How findings are printed."""

    TEXT = auto()
    JSON = auto()
    SARIF = auto()


def lint(
    where: MigrateOptions,
    *,
    only: Sequence[str],
    since: str | None,
    pg_version: int | None,
    execute: bool,
    form: Form,
    strict: bool,
) -> None:
    """Show the findings about migrations; raises Differences if they fail a pipeline."""
    if where.dsn and not execute:
        raise UsageError("--dsn names a server for --execute", "pass both, or neither")
    migrations = read_migrations(sql_folder(where.sql))
    versions = chosen(migrations, only=only, since=since)
    executions = _executed(where, migrations, versions) if execute else None
    # Not the version of the laptop: a file that only a newer one accepts would fail on AWS.
    target = pg_version or oldest_database_version(where.environments)
    findings = findings_of(migrations, pg_version=target, only=versions, executions=executions)
    _show(findings, form, len(versions), executions)
    # After the output, so that a pipeline shows the findings that fail it.
    if fails(findings, strict=strict):
        raise Differences


def _show(findings: Sequence[Finding], form: Form, migrations: int, executions: Mapping[int, Execution] | None) -> None:
    from orderops.ui.migrations import show_findings, show_lint_summary

    match form:
        case Form.SARIF:
            console.show_json(sarif(findings))
        case Form.JSON:
            console.show_json([finding.to_dict() for finding in findings])
        case Form.TEXT:
            show_findings(findings)
            proven = None if executions is None else sum(execution.proven for execution in executions.values())
            show_lint_summary(findings, migrations, proven)


def _executed(
    where: MigrateOptions, migrations: Sequence[Migration], versions: Collection[int]
) -> Mapping[int, Execution]:
    """Run the migrations in a scratch database on the laptop, or on the server of a connection string."""
    # Only here: reading files needs neither AWS nor a database.
    from orderops.migrations.trial.run import execute
    from orderops.migrations.trial.scratch_database import scratch_database
    from orderops.operations.migration_target import is_other_database, target
    from orderops.operations.workspace import check_is_laptop
    from orderops.ui.progress import Progress

    if not is_other_database(where.dsn):
        check_is_laptop(where.env, where.environments)
    position = {file.name: number for number, pair in enumerate(migrations, 1) for file in (pair.forwards, pair.back)}
    with target(where) as database, Progress() as progress:

        def on_file(name: str) -> None:
            progress.watch(SCRATCH, f"runs {name} ({position[name]} of {counted(len(migrations), 'migration')})")

        def swept(name: str) -> None:
            console.info(f"dropped {name}, which an interrupted run had left")

        with scratch_database(database.login, swept=swept) as scratch:
            found = execute(scratch, migrations, only=versions, on_file=on_file)
        progress.watch(SCRATCH, "")
        return found
