"""A drill before the operator's eyes: the whole of a restore, measured, and thrown away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.restore import compare_by_task, open_databases, temporary_instance
from orderops.operations.workspace import ChangeOptions, confirm_restore
from orderops.resources.rds_description import DRILL
from orderops.restore.compare.comparison import compare
from orderops.restore.drill_record import Drill, save_drill
from orderops.restore.instances import Instance, load_instances
from orderops.restore.timestamps import RestoreTarget
from orderops.restore.window import window_of
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


def drill(workspace: Workspace, options: ChangeOptions, asked: RestoreTarget) -> Drill:
    """Restore, open, compare, discard; what it measured is kept. Raises OrderopsError where the restore is no good."""
    lease = read_lease(workspace, workspace.restore_runs)
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    confirm_restore(workspace, f"Restore {primary.name} to a copy that is compared and deleted afterwards?", options)
    with locked_run(workspace, options, lease, workspace.restore_runs) as run, ExitStack() as needed:
        primary = load_instances(
            workspace.aws, workspace.stack
        ).require_primary()  # it may have changed while the lease was waited for
        latest = window_of(workspace.aws, primary.observed).latest
        copy = needed.enter_context(temporary_instance(workspace, run, asked, DRILL))
        told = _compared(workspace, primary, copy)
        proven = _measured(copy, primary, told, workspace.aws.caller, latest)
        if not proven.tables:
            raise OrderopsError(
                f"the copy of {primary.name} has no table, so nothing is proven",
                f"what the database holds: orderops migrate info --env {workspace.environment.name}",
            )
        save_drill(Bucket(workspace.aws), workspace.environment.name, proven)
        run.record.note(action="proven", **proven.to_dict())
    return proven


def _compared(workspace: Workspace, primary: Instance, copy: Instance) -> Mapping[str, Any]:
    """The copy beside the live database, as machines are told."""
    if workspace.environment.database.access == "task":
        return compare_by_task(workspace, primary, copy)
    with open_databases(workspace, primary, copy) as (live, restored), Progress() as progress:
        return compare(live, restored, on_progress=progress.watch).to_dict()


def _measured(copy: Instance, primary: Instance, told: Mapping[str, Any], who: str, latest: datetime) -> Drill:
    if copy.started is None or copy.moment is None:
        raise OrderopsError(f"the tags of {copy.name} were changed by hand", "the same command makes another copy")
    begun = copy.started
    tables = [table for table in told["tables"] if table["rows"]]
    findings = tuple(_findings(told))
    return Drill(
        started=begun,
        moment=copy.moment,
        recovery=datetime.now(UTC) - begun,
        lost=max(begun - latest, timedelta()),
        source=primary.name,
        who=who,
        tables=len(tables),
        rows=sum(table["rows"]["restored"] for table in tables),
        findings=findings,
    )


def _findings(told: Mapping[str, Any]) -> Iterator[str]:
    """What no work since the moment explains, or could not be seen."""
    for table in told["tables"]:
        if table["refused"]:
            yield f"{table['table']} could not be compared: {table['refused']}"
        elif table["rows"]["live"] and not table["rows"]["restored"]:
            yield f"{table['table']} is empty in the copy, and has {table['rows']['live']:,} rows in live"
    for table in told["tables_only_in_live"]:
        yield f"table {table['table']} is not in the copy"
    for thing in told["schema"]:
        yield f"{thing['kind']} {thing['name']} is not the same"
    versions = [told[side]["ledger_version"] for side in ("live", "restored")]
    if versions[0] != versions[1]:
        yield f"live is at V{versions[0]}, and the copy at V{versions[1]}"


def show(proven: Drill, env: str) -> None:
    """What was measured, and what was found."""
    console.data(f"proven: {proven.rows:,} rows in {proven.tables} tables, as of {proven.moment:%Y-%m-%dT%H:%M:%SZ}")
    console.data(f"recovery time  {in_words(proven.recovery)}")
    console.data(f"recovery point {in_words(proven.lost)} before the drill began")
    for each in proven.findings:
        console.info(f"  {each}")
    console.info(f"next: orderops status --env {env}")
