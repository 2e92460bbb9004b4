"""Rehearse: apply the pending migrations to a temporary copy of an environment's database.

The copy is a restore to the latest moment, and is deleted afterwards. What a killed run left is found by its role.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from orderops.aws.documents import Bucket
from orderops.database.connection import Login
from orderops.errors import Differences, OrderopsError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.migrations import migrator
from orderops.migrations.sql.files import CANARIES, Migration, read_migrations, sql_folder
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.migration_target import connected, files_of, lead_of, settings_of, target
from orderops.operations.options import ChangeOptions, MigrateOptions
from orderops.operations.remote import argv, run_by_task
from orderops.operations.restore import open_databases, temporary_instance
from orderops.operations.schema_owner import hand_over_copy
from orderops.operations.workspace import confirm_restore, open_workspace
from orderops.rehearsal.markdown import check_writable, write
from orderops.rehearsal.queries import queries_of
from orderops.rehearsal.receipts import Receipt, save_receipt
from orderops.rehearsal.report import Report
from orderops.rehearsal.runner import rehearse
from orderops.remote.job import CurrentJob, DatabaseEndpoint, JobRequest
from orderops.resources.rds_description import REHEARSAL
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import Instance, load_instances
from orderops.restore.timestamps import parse_timestamp
from orderops.ui import console
from orderops.ui.background import unblocked_stderr
from orderops.ui.progress import Progress
from orderops.ui.rehearsal import next_step, show

COPY = "copy"
"""Name of the copy in a remote job."""


class RehearsalRequest(Frozen):
    """What is rehearsed, and how."""

    where: MigrateOptions
    migrations: Sequence[Migration]
    holder: timedelta
    instance_class: str | None


def rehearse_pending(
    where: MigrateOptions,
    options: ChangeOptions,
    *,
    holder: timedelta,
    instance_class: str | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Rehearse the pending migrations and show the report. Raises Differences unless the verdict is SAFE."""
    # Before the rehearsal, which takes many minutes.
    if markdown:
        check_writable(markdown)
    request = RehearsalRequest(where, read_migrations(sql_folder(where.sql)), holder, instance_class)
    if where.job:
        _rehearse_in_job(where.job, request, dry_run=options.dry_run)
        return
    workspace = open_workspace(where.env, where.environments)
    names = _pending(workspace, request)
    if not names:
        console.info(f"0 pending: nothing to rehearse for {where.env}")
        return
    if options.dry_run:
        for name in names:
            console.data(name)
        return
    report, receipt = _rehearse_on_copy(workspace, options.of("migrate rehearsal"), request)
    if as_json:
        console.show_json({**report.to_dict(), "receipt": receipt.key})
    else:
        show(report)
        console.info(f"receipt: {receipt.name}")
        console.info(next_step(report, lead_of(where.env, where.sql)))
    if markdown:
        write(markdown, report, receipt.name)
    if report.verdict.holds_up:
        raise Differences


def _pending(workspace: Workspace, request: RehearsalRequest) -> list[str]:
    """Names of the pending migrations. Every file is validated."""
    if workspace.environment.database.access == "task":
        where = request.where
        job = JobRequest(
            tuple(argv("migrate", "rehearsal", dry_run=True)),
            sql=_files(where.sql),
            options=lead_of(where.env, where.sql),
        )
        return list((run_by_task(workspace, job).result or {}).get("pending", ()))
    with target(request.where) as database, connected(database) as connection:
        return [status.name for status in migrator.plan(migrator.overview(connection, request.migrations))]


def _rehearse_on_copy(
    workspace: Workspace, options: ChangeOptions, request: RehearsalRequest
) -> tuple[Report, Receipt]:
    """Create a copy, rehearse on it, store the receipt, and delete the copy however that ended."""
    lease = read_lease(workspace, workspace.restore_runs)
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    instance_class = request.instance_class or smallest_of_its_family(primary.observed.properties["DBInstanceClass"])
    question = f"Rehearse on a copy of {primary.name} ({instance_class}), which is deleted afterwards?"
    confirm_restore(workspace, question, options)
    with (
        locked_run(workspace, options, lease, workspace.restore_runs) as run,
        temporary_instance(workspace, run, parse_timestamp("latest"), REHEARSAL, instance_class=instance_class) as copy,
    ):
        report = _rehearse(workspace, primary, copy, request)
        # The receipt says what the verdict was measured on, since the copy is deleted.
        about = {"name": copy.name, "class": instance_class, "source": primary.name, "as_of": str(copy.moment)}
        receipt = save_receipt(
            Bucket(workspace.aws), workspace.environment.name, report, who=workspace.aws.caller, copy=about
        )
        run.record.note(action="rehearsed", receipt=receipt.name, verdict=receipt.verdict)
    return report, receipt


def _rehearse_in_job(job: CurrentJob, request: RehearsalRequest, *, dry_run: bool) -> None:
    """The part that opens databases, in a task that reaches them."""
    if dry_run:
        with target(request.where) as database, connected(database) as connection:
            names = [status.name for status in migrator.plan(migrator.overview(connection, request.migrations))]
        job.set_result({"pending": names})
        return
    job.set_result(_rehearse_with(job.login(), job.login(COPY), request).to_dict())


def _rehearse(workspace: Workspace, primary: Instance, copy: Instance, request: RehearsalRequest) -> Report:
    if workspace.environment.database.access != "task":
        with open_databases(workspace, primary, copy) as (live, login):
            return _rehearse_with(live, login, request)
    where = request.where
    job = JobRequest(
        tuple(argv("migrate", "rehearsal", holder=request.holder)),
        sql=_files(where.sql),
        databases={COPY: DatabaseEndpoint(**connection_info(workspace.stack, copy))},
        settings=settings_of(workspace),
        options=lead_of(where.env, where.sql),
    )
    end = run_by_task(workspace, job)
    if end.result is None:
        raise OrderopsError(
            "the rehearsal ended without a report",
            f"read its output: orderops history --env {where.env}; then re-run this command",
        )
    return Report.from_dict(end.result)


def _rehearse_with(live: Login, copy: Login, request: RehearsalRequest) -> Report:
    with unblocked_stderr(), Progress() as progress:
        hand_over_copy(copy)
        return rehearse(
            copy,
            request.migrations,
            queries=queries_of(live),
            held_for=request.holder,
            on_wait=progress.watch,
            on_verdict=console.info_folded,
        )


def _files(sql: Path | None) -> dict[str, str]:
    """The migration files and the canaries, by name."""
    canaries = sql_folder(sql) / CANARIES
    more = {CANARIES: canaries.read_text()} if canaries.is_file() else {}
    return {**files_of(sql), **more}


def smallest_of_its_family(instance_class: str) -> str:
    """Return the smallest instance class of the same family: db.t3.micro for db.t3.medium.

    It has the same processor and generation, so it runs the same engine and parameters at the lowest price.
    """
    parts = instance_class.split(".")
    if len(parts) != 3:
        return instance_class
    prefix, family, size = parts
    if family.startswith("t"):
        return f"{prefix}.{family}.micro"
    # Families other than the burstable ones start at large; old ones such as db.m1 have smaller sizes.
    return instance_class if size in ("nano", "micro", "small") else f"{prefix}.{family}.large"
