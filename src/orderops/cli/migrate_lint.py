"""orderops migrate lint: what would hurt, told from the files alone."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, Sql

OnlyVersions = Annotated[
    list[str], typer.Option("--only", help="Nothing but this version: V7, 7 or a file's name.", metavar="VERSION")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Nothing up to this version: an applied file cannot change.", metavar="VERSION"),
]
PgVersion = Annotated[
    int | None,
    typer.Option("--pg-version", help="Major version of PostgreSQL; a current one when left out.", min=12, max=99),
]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, which code hosting services show.")]
Strict = Annotated[bool, typer.Option("--strict", help="Let warnings fail too.")]


def lint(
    sql: Sql = None,
    only: OnlyVersions = [],
    since: Since = None,
    pg_version: PgVersion = None,
    as_json: Json = False,
    as_sarif: Sarif = False,
    strict: Strict = False,
) -> None:
    """Say what would hurt the running system, and the safe way to write it. Exit code 3 when anything would."""
    from orderops.errors import Differences, UsageError
    from orderops.migrations.lint.linter import chosen, errors
    from orderops.migrations.lint.linter import lint as findings_of
    from orderops.migrations.lint.sarif import sarif
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.ui import console
    from orderops.ui import lint as terminal_lint

    if as_json and as_sarif:
        raise UsageError("--json and --sarif are two documents", "ask for one of them")
    migrations = read_migrations(sql_folder(sql))
    versions = chosen(migrations, only=only, since=since)
    findings = findings_of(migrations, pg_version=pg_version, only=versions)
    if as_sarif:
        console.show_json(sarif(findings))
    elif as_json:
        console.show_json([each.to_dict() for each in findings])
    else:
        terminal_lint.show_findings(findings)
        terminal_lint.say_summary(findings, len(versions))
    if errors(findings) or (strict and findings):
        raise Differences
