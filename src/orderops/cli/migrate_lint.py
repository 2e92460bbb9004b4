"""orderops migrate lint: findings from the migration files alone, or also from a scratch database."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import MigrateOptions

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
    from orderops.errors import UsageError
    from orderops.operations.migrate_lint import Form, lint

    if as_json and as_sarif:
        raise UsageError("--json and --sarif exclude each other", "pass one of them")
    form = Form.JSON if as_json else Form.SARIF if as_sarif else Form.TEXT
    lint(where, only=only, since=since, pg_version=pg_version, execute=execute, form=form, strict=strict)
