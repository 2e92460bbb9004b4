"""orderops migrate rehearsal: the change seen on a copy of the real data first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import LONGEST_WAIT, DryRun, Env, Environments, Json, Sql, Wait, Yes, duration

HOLDER = timedelta(seconds=30)


def rehearsal(
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    holder: Annotated[
        timedelta,
        typer.Option(
            "--holder",
            help="How long the idle transaction of the worst case stays open.",
            metavar="DURATION",
            parser=duration,
        ),
    ] = HOLDER,
    instance_class: Annotated[
        str | None,
        typer.Option(
            "--instance-class", help="Of the copy; the smallest of the family when left out.", metavar="CLASS"
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the report there too.", metavar="FILE")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = LONGEST_WAIT,
    json: Json = False,
) -> None:
    """Apply what is pending to a copy under the service's own queries, undo it, and say whom it would hold up.

    The report is kept as a receipt, which an environment may want before apply. Exit code 3 unless SAFE.
    """
    from orderops.errors import Differences
    from orderops.migrations.sql.files import read_migrations, sql_folder
    from orderops.operations.migrate import lead_of
    from orderops.operations.rehearse import RehearsalRequest, pending, rehearse_inside, rehearse_on_a_copy
    from orderops.operations.workspace import ChangeOptions, open_workspace
    from orderops.rehearsal.markdown import check_writable, write
    from orderops.remote.job import current_job
    from orderops.ui import console
    from orderops.ui.rehearsal import next_step, show

    if markdown:
        check_writable(markdown)
    asked = RehearsalRequest(read_migrations(sql_folder(sql)), sql, holder, instance_class)
    if sent := current_job():
        rehearse_inside(sent, asked, dry_run=dry_run)
        return
    workspace = open_workspace(env, environments)
    names = pending(workspace, asked)
    if not names:
        console.info(f"0 pending: there is nothing to rehearse for {env}")
        return
    if dry_run:
        for name in names:
            console.data(name)
        return
    report, receipt = rehearse_on_a_copy(workspace, ChangeOptions("migrate rehearsal", dry_run, yes, [], wait), asked)
    if json:
        console.show_json({**report.to_dict(), "receipt": receipt.key})
    else:
        show(report)
        console.info(f"receipt: {receipt.name}")
        console.info(next_step(report, lead_of(env, sql)))
    if markdown:
        write(markdown, report, receipt.name)
    if report.verdict.holds_up:
        raise Differences
