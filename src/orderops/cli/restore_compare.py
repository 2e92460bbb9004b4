"""orderops restore compare and salvage: what a restored instance has and live has not, and the other way round."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Env, Environments, Json
from orderops.operations.remote_pair import pair_sent_where_needed

Name = Annotated[
    str | None,
    typer.Argument(help="Identifier of the instance; may be left out where there is only one.", show_default=False),
]
OnlyTables = Annotated[
    list[str],
    typer.Option("--table", help="Nothing but this table; may be given again.", metavar="TABLE"),
]


@pair_sent_where_needed
def compare(
    name: Name = None,
    env: Env = "local",
    environments: Environments = None,
    tables: OnlyTables = [],
    samples: Annotated[
        int, typer.Option("--samples", help="Show so many rows of each kind, of each table.", min=0, metavar="N")
    ] = 0,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write every row that is not the same to a new folder.", metavar="DIR"),
    ] = None,
    json: Json = False,
) -> None:
    """What a restored instance has and live has not, and the other way round. Exit code 3 when anything differs."""
    from orderops.errors import Differences
    from orderops.operations.restore import pair
    from orderops.remote.job import current_job
    from orderops.restore.compare.comparison import compare as compared
    from orderops.ui import compare as terminal_compare
    from orderops.ui import console
    from orderops.ui.progress import Progress

    with pair(env, environments, name) as both, Progress() as progress:
        comparison = compared(
            both.live, both.restored, tables=tables, samples=samples, export=export, on_progress=progress.watch
        )
    if sent := current_job():
        sent.set_result(comparison.to_dict())
    if json:
        console.show_json({"live_name": both.live_name, "restored_name": both.name, **comparison.to_dict()})
    else:
        terminal_compare.show_comparison(comparison, both.words, both.name)
    if not comparison.same:
        raise Differences


@pair_sent_where_needed
def salvage(
    name: Name = None,
    env: Env = "local",
    environments: Environments = None,
    tables: OnlyTables = [],
    every_table: Annotated[bool, typer.Option("--every-table", help="All tables, in the order they need.")] = False,
    only_live: Annotated[
        bool, typer.Option("--only-live", help="Rows that only live has, for the restored instance; before a switch.")
    ] = False,
    only_restored: Annotated[
        bool, typer.Option("--only-restored", help="Rows that only the restored instance has, for live.")
    ] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Also the values of rows that both have.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="A new file, instead of standard output.", metavar="FILE")
    ] = None,
) -> None:
    """Write the SQL that brings rows from one to the other, for psql. Runs nothing."""
    from orderops.errors import UsageError
    from orderops.operations.restore import pair
    from orderops.restore.salvage.script import salvage as salvaged
    from orderops.restore.salvage.script import wanted_kinds, write_script
    from orderops.ui import compare as terminal_compare
    from orderops.ui import console
    from orderops.ui.progress import Progress

    kinds = wanted_kinds(only_live=only_live, only_restored=only_restored, changed=changed)
    if bool(tables) == every_table:
        raise UsageError("say which tables", "--table orders, or --every-table")
    with (
        pair(env, environments, name) as both,
        Progress() as progress,
        closing(
            salvaged(
                both.live, both.restored, tables, kinds=kinds, on_progress=progress.watch, on_note=console.info_folded
            )
        ) as script,
    ):
        if output:
            write_script(script, output)
        else:
            terminal_compare.show_script(script)
    terminal_compare.say_how_to_run(output, both.live if only_restored else both.restored, both.words)
