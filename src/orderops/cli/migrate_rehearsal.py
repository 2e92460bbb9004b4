"""orderops migrate rehearsal: pending migrations applied to a copy of the database first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Json, duration, grouped
from orderops.operations.options import ChangeOptions, MigrateOptions

HOLDER = timedelta(seconds=30)


@grouped("dsn", "confirm")
def rehearsal(
    where: MigrateOptions,
    options: ChangeOptions,
    holder: Annotated[
        timedelta,
        typer.Option(
            "--holder",
            help="How long the idle transaction of the worst case stays open; default: 30s.",
            metavar="DURATION",
            parser=duration,
            show_default=False,
        ),
    ] = HOLDER,
    instance_class: Annotated[
        str | None,
        typer.Option(
            "--instance-class",
            help="Instance class of the copy; default: the smallest of the family.",
            metavar="CLASS",
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the report to this file.", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Apply pending migrations to a copy and report which queries they would block.

    The report is stored as a receipt, which a protected environment requires before apply. Exit code 3 unless SAFE.
    """
    from orderops.operations.rehearse import rehearse_pending

    rehearse_pending(where, options, holder=holder, instance_class=instance_class, markdown=markdown, as_json=as_json)
