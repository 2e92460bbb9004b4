"""Drill: prove that a restore works, measure it, and delete the restored instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.operations.compare import compare_by_task
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.restore import open_databases, temporary_instance
from orderops.operations.workspace import confirm_restore
from orderops.resources.rds_description import DRILL
from orderops.restore.compare.comparison import compare
from orderops.restore.drill_record import Drill, save_drill
from orderops.restore.instances import Instance, load_instances
from orderops.restore.timestamps import RestoreTarget
from orderops.restore.window import window_of
from orderops.text.durations import in_words
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.background import unblocked_stderr
from orderops.ui.progress import Progress


def drill(workspace: Workspace, options: ChangeOptions, requested: RestoreTarget) -> Drill:
    """Restore, compare and discard; store the measurements. Raises OrderopsError if the restore proves nothing."""
    lease = read_lease(workspace, workspace.restore_runs)
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    question = f"Restore {primary.name} to an instance that is compared and deleted afterwards?"
    confirm_restore(workspace, question, options)
    with locked_run(workspace, options, lease, workspace.restore_runs) as run, ExitStack() as cleanup:
        # Read again: the primary may have changed while the lease was waited for.
        primary = load_instances(workspace.aws, workspace.stack).require_primary()
        # Before the restore begins: the window's end moves on meanwhile, and would hide the recovery point.
        latest = window_of(workspace.aws, primary.observed).latest
        restored = cleanup.enter_context(temporary_instance(workspace, run, requested, DRILL))
        comparison = _compare(workspace, primary, restored)
        result = _measure(restored, primary, comparison, workspace.aws.caller, latest)
        if not result.tables:
            raise OrderopsError(
                f"{restored.name}, restored from {primary.name}, has no table, so nothing is proven",
                f"show its migrations: orderops migrate info --env {workspace.environment.name}",
            )
        save_drill(Bucket(workspace.aws), workspace.environment.name, result)
        run.record.note(action="proven", **result.to_dict())
    return result


def _compare(workspace: Workspace, primary: Instance, restored: Instance) -> Mapping[str, Any]:
    """Compare the restored instance with the primary; return the comparison as JSON, as a remote job does."""
    if workspace.environment.database.access == "task":
        return compare_by_task(workspace, primary, restored)
    with (
        unblocked_stderr(),
        open_databases(workspace, primary, restored) as (live, login),
        Progress() as progress,
    ):
        return compare(live, login, on_progress=progress.watch).to_dict()


def _measure(restored: Instance, primary: Instance, comparison: Mapping[str, Any], who: str, latest: datetime) -> Drill:
    if restored.started is None or restored.moment is None:
        raise OrderopsError(
            f"the tags of {restored.name} were changed by hand", "re-run this command to restore another instance"
        )
    started = restored.started
    # Tables whose rows could not be counted prove nothing.
    tables = [table for table in comparison["tables"] if table["rows"]]
    return Drill(
        started=started,
        moment=restored.moment,
        recovery=datetime.now(UTC) - started,
        lost=max(started - latest, timedelta()),
        source=primary.name,
        who=who,
        tables=len(tables),
        rows=sum(table["rows"]["restored"] for table in tables),
        findings=tuple(_findings(comparison)),
    )


def _findings(comparison: Mapping[str, Any]) -> Iterator[str]:
    """Differences that no change since the restored time explains, and tables that could not be compared."""
    for table in comparison["tables"]:
        if table["refused"]:
            yield f"{table['table']} could not be compared: {table['refused']}"
        elif table["rows"]["live"] and not table["rows"]["restored"]:
            rows = counted(table["rows"]["live"], "row")
            yield f"{table['table']} is empty in the restored instance, and has {rows} in live"
    for table in comparison["tables_only_in_live"]:
        yield f"table {table['table']} is missing in the restored instance"
    for item in comparison["schema"]:
        yield f"{item['kind']} {item['name']} differs"
    versions = [comparison[side]["ledger_version"] for side in ("live", "restored")]
    if versions[0] != versions[1]:
        yield f"live is at V{versions[0]}, and the restored instance at V{versions[1]}"


def show(result: Drill, env: str) -> None:
    """Show the measurements and the findings."""
    console.data(f"proven: {result.rows:,} rows in {result.tables} tables, as of {result.moment:%Y-%m-%dT%H:%M:%SZ}")
    console.data(f"recovery time  {in_words(result.recovery)}")
    console.data(f"recovery point {in_words(result.lost)} before the drill began")
    for finding in result.findings:
        console.info_folded(f"  {finding}")
    console.info(f"next: orderops status --env {env}")
