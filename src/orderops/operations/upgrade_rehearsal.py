"""orderops database upgrade --rehearse: the upgrade of a copy, measured and kept on record for the real one."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from orderops.aws.documents import Bucket
from orderops.database.statistics import Analysis
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.errors import OrderopsError
from orderops.infra.measured_changes import ChangeKind, MeasuredChange, save
from orderops.infra.workspace import Workspace
from orderops.operations.database_analyze import analyze_instance
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.restore import temporary_instance
from orderops.operations.workspace import confirm_restore, slow_resources
from orderops.resources.rds_description import REHEARSAL
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_upgraded_copy import RdsUpgradedCopy
from orderops.resources.rds_versions import is_or_follows, stands_for, upgrades_of
from orderops.restore.instances import Instance, load_instances
from orderops.restore.timestamps import parse_timestamp
from orderops.runs.run import Run
from orderops.text.durations import in_words, measured
from orderops.text.lists import joined
from orderops.ui import console
from orderops.ui.progress import Progress


def rehearse(workspace: Workspace, options: ChangeOptions, version: str) -> None:
    """Restore a copy, upgrade it, gather its statistics, keep what that took, and delete the copy."""
    name = workspace.environment.name
    lease = read_lease(workspace, workspace.restore_runs)
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    running = primary.observed.properties["EngineVersionNow"]
    _check_reachable(workspace, primary.name, running, version)
    if options.dry_run:
        console.data(f"+ a copy of {primary.name}, upgraded from {running} to {version}, measured and deleted")
        return
    confirm_restore(workspace, f"Rehearse the upgrade on a copy of {primary.name}, deleted afterwards?", options)
    with (
        locked_run(workspace, options, lease, workspace.restore_runs) as run,
        temporary_instance(workspace, run, parse_timestamp("latest"), REHEARSAL) as copy,
    ):
        began = time.time()
        _upgrade(workspace, run, copy, version)
        change = MeasuredChange(
            ChangeKind.REHEARSAL,
            datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
            copy.name,
            running,
            version,
            bool(primary.observed.properties["MultiAZ"]),
            round(time.time() - began, 1),
            who=workspace.aws.caller,
        )
        # Of the upgraded server: before this, nothing has read its data.
        analysis = analyze_instance(workspace, copy)
        save(Bucket(workspace.aws), name, change)
        run.record.note(action="rehearsed", **change.to_dict(), analyze=analysis.to_dict())
    _show(change, analysis, options, f"orderops database upgrade --to {version} --env {name}")


def _check_reachable(workspace: Workspace, name: str, running: str, version: str) -> None:
    targets = upgrades_of(workspace.aws, running)
    if is_or_follows(running, version):
        raise OrderopsError(f"{name} has PostgreSQL {running} already, so there is nothing to rehearse")
    if not any(stands_for(version, target) for target in targets):
        reachable = joined(targets, 100) or "none"
        raise OrderopsError(
            f"RDS cannot upgrade {name} from PostgreSQL {running} to {version} in one step; reachable: {reachable}",
            "pass one of these: --to VERSION",
        )


def _upgrade(workspace: Workspace, run: Run, copy: Instance, version: str) -> None:
    resource = RdsUpgradedCopy(copy.name, version)
    inventory = Inventory(workspace.aws, workspace.environment.name, [RdsInstance], workspace.environment.tags)
    slow = [resource] if slow_resources(workspace) else []
    with Progress(slow, noted=run.done) as progress:
        for step in reconcile([resource], inventory, on_wait=progress.watch, recent_writes=run.recent_writes):
            progress.done(step)


def _show(change: MeasuredChange, analysis: Analysis, options: ChangeOptions, command: str) -> None:
    if options.as_json:
        console.show_json({**change.to_dict(), "analyze": analysis.to_dict()})
        return
    took = in_words(change.seconds)
    console.data(f"upgraded a copy from {change.before} to {analysis.version} in {took}")
    console.data(f"ANALYZE of {analysis.tables} tables took {measured(analysis.seconds)}")
    console.info(f"next: {command}")
