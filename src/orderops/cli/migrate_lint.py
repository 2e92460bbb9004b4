"""orderops migrate lint: findings from the migration files alone, or also from a scratch database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import MigrateOptions

if TYPE_CHECKING:
    from orderops.migrations.lint.executed import Execution

OnlyVersions = Annotated[
    list[str],
    typer.Option("--only", help="Only this version: V7, 7 or a file name; may be repeated.", metavar="VERSION"),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Only versions after this one: applied files cannot change.", metavar="VERSION"),
]
PgVersion = Annotated[
    int | None,
    typer.Option(
        "--pg-version",
        help="Major version of PostgreSQL; default: the oldest one of the environments on AWS.",
        min=12,
        max=99,
        metavar="N",
    ),
]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, which code hosting services show.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail on warnings as well.")]


Execute = Annotated[
    bool,
    typer.Option(
        "--execute",
        help="Also apply, undo and apply again each migration in a scratch database, which is created on the server of "
        "--dsn or of the laptop environment, and dropped at the end.",
    ),
]


@grouped()
def lint(
    where: MigrateOptions,
    only: OnlyVersions = [],
    since: Since = None,
    pg_version: PgVersion = None,
    execute: Execute = False,
    as_json: Json = False,
    as_sarif: Sarif = False,
    strict: Strict = False,
) -> None:
    """Report statements that would block clients or break the running release, and how to rewrite them.

    Exit code 3 if there are errors.
    """
    from orderops.config.environment import oldest_database_version
    from orderops.errors import Differences, UsageError
    from orderops.migrations.lint.linter import chosen, fails
    from orderops.migrations.lint.linter import lint as findings_of
    from orderops.migrations.lint.sarif import sarif
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.ui import console
    from orderops.ui.migrations import show_findings, show_lint_summary

    if as_json and as_sarif:
        raise UsageError("--json and --sarif exclude each other", "pass one of them")
    if where.dsn and not execute:
        raise UsageError("--dsn names a server for --execute", "pass both, or neither")
    migrations = read_migrations(sql_folder(where.sql))
    versions = chosen(migrations, only=only, since=since)
    executions: Mapping[int, Execution] = {}
    if execute:
        from orderops.operations.migrate_lint import executed

        executions = executed(where, migrations, only=versions)
    # Not the version of the laptop: a file that only a newer one accepts would fail on AWS.
    target = pg_version or oldest_database_version(where.environments)
    findings = findings_of(migrations, pg_version=target, only=versions, executions=executions)
    if as_sarif:
        console.show_json(sarif(findings))
    elif as_json:
        console.show_json([finding.to_dict() for finding in findings])
    else:
        show_findings(findings)
        proven = sum(execution.proven for execution in executions.values()) if execute else None
        show_lint_summary(findings, len(versions), proven)
    # After the output, so that a pipeline shows the findings that fail it.
    if fails(findings, strict=strict):
        raise Differences
