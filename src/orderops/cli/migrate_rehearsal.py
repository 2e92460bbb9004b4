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
    from orderops.operations.rehearse import Asked, pending, rehearse_inside, rehearse_on_a_copy
    from orderops.operations.workspace import Manner, open_environment
    from orderops.rehearsal.markdown import check_writable, write
    from orderops.remote.job import inside
    from orderops.ui import console as terminal
    from orderops.ui.rehearsal import next_step, show

    if markdown:
        check_writable(markdown)
    asked = Asked(read_migrations(sql_folder(sql)), sql, holder, instance_class)
    if sent := inside():
        rehearse_inside(sent, asked, dry_run=dry_run)
        return
    site = open_environment(env, environments)
    names = pending(site, asked)
    if not names:
        terminal.say(f"0 pending: there is nothing to rehearse for {env}")
        return
    if dry_run:
        for name in names:
            terminal.tell(name)
        return
    report, receipt = rehearse_on_a_copy(site, Manner("migrate rehearsal", dry_run, yes, [], wait), asked)
    if json:
        terminal.show_json({**report.told(), "receipt": receipt.key})
    else:
        show(report)
        terminal.say(f"receipt: {receipt.name}")
        terminal.say(next_step(report, lead_of(env, sql)))
    if markdown:
        write(markdown, report, receipt.name)
    if report.verdict.holds_up:
        raise Differences
