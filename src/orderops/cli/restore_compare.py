"""orderops restore compare and salvage: differences between the live and a restored database, and their repair."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import CompareOptions


@grouped()
def compare(
    where: CompareOptions,
    samples: Annotated[
        int, typer.Option("--samples", help="Show this many rows of each kind and table.", min=0, metavar="N")
    ] = 0,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write every differing row to a new folder.", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what differs between a restored instance and the live database. Exit code 3 if anything does."""
    from orderops.operations.compare import compare

    compare(where, samples=samples, export=export, as_json=as_json)


@grouped()
def salvage(
    where: CompareOptions,
    every_table: Annotated[bool, typer.Option("--every-table", help="All tables, in dependency order.")] = False,
    only_live: Annotated[
        bool,
        typer.Option("--only-live", help="Copy rows that only live has to the restored instance, before a switch."),
    ] = False,
    only_restored: Annotated[
        bool, typer.Option("--only-restored", help="Copy rows that only the restored instance has to live.")
    ] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Also copy the values of rows that both have.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="A new file, instead of standard output.", metavar="FILE")
    ] = None,
) -> None:
    """Write the SQL that copies rows from one database to the other, for psql. Runs nothing."""
    from orderops.operations.compare import salvage

    salvage(
        where,
        every_table=every_table,
        only_live=only_live,
        only_restored=only_restored,
        changed=changed,
        output=output,
    )
