"""The rehearsal of what is pending, on a copy of an environment's database, before the operator's eyes.

The copy comes by the way of every restore and is deleted afterwards; what a killed run left of it is found by its role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.aws.documents import Bucket
from orderops.database.connection import Login
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.migrations import migrator
from orderops.migrations.sql.files import CANARIES, Migration, sql_folder
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.migrate import files_of, lead_of, looking, settings_of, target
from orderops.operations.remote import send
from orderops.operations.restore import open_databases, temporary_instance
from orderops.operations.workspace import ChangeOptions, confirm_restore
from orderops.rehearsal.queries import queries_of
from orderops.rehearsal.receipts import Receipt, save_receipt
from orderops.rehearsal.report import Report
from orderops.rehearsal.runner import rehearse
from orderops.remote.job import CurrentJob, DatabaseEndpoint
from orderops.resources.rds_description import REHEARSAL
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import Instance, load_instances
from orderops.restore.timestamps import parse_timestamp
from orderops.ui import console
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    pass

COPY = "copy"
"""The name of the door to the copy, in an errand."""


@dataclass(frozen=True)
class RehearsalRequest:
    """What is rehearsed, and how."""

    migrations: Sequence[Migration]
    sql: Path | None
    holder: timedelta
    instance_class: str | None


def pending(workspace: Workspace, asked: RehearsalRequest) -> list[str]:
    """The names of what would be rehearsed, each file checked."""
    env = workspace.environment.name
    if workspace.environment.database.access == "task":
        ended = send(workspace, ["migrate", "rehearsal", "--dry-run"], sql=_files(asked), lead=lead_of(env, asked.sql))
        return list((ended.result or {}).get("pending", ()))
    with target(env, workspace.folder, None, asked.sql) as at, looking(at) as connection:
        return [line.name for line in migrator.plan(migrator.overview(connection, asked.migrations))]


def rehearse_on_a_copy(workspace: Workspace, options: ChangeOptions, asked: RehearsalRequest) -> tuple[Report, Receipt]:
    """Make a copy, rehearse on it, keep the receipt, and delete the copy however it ended."""
    lease = read_lease(workspace, workspace.restore_runs)
    primary = load_instances(workspace.aws, workspace.stack).require_primary()
    instance_class = asked.instance_class or smallest_of_its_family(primary.observed.properties["DBInstanceClass"])
    confirm_restore(
        workspace, f"Rehearse on a copy of {primary.name} ({instance_class}), which is deleted afterwards?", options
    )
    with (
        locked_run(workspace, options, lease, workspace.restore_runs) as run,
        temporary_instance(workspace, run, parse_timestamp("latest"), REHEARSAL, instance_class=instance_class) as copy,
    ):
        report = _rehearsed(workspace, primary, copy, asked)
        about = {"name": copy.name, "class": instance_class, "source": primary.name, "as_of": str(copy.moment)}
        receipt = save_receipt(
            Bucket(workspace.aws), workspace.environment.name, report, who=workspace.aws.caller, copy=about
        )
        run.record.note(action="rehearsed", receipt=receipt.name, verdict=receipt.verdict)
    return report, receipt


def rehearse_inside(inside: CurrentJob, asked: RehearsalRequest, *, dry_run: bool) -> None:
    """The part of it that opens databases, where they can be reached."""
    if dry_run:
        with target(inside.request.environment, None, None) as at, looking(at) as connection:
            names = [line.name for line in migrator.plan(migrator.overview(connection, asked.migrations))]
        inside.set_result({"pending": names})
        return
    inside.set_result(_carried_out(inside.login(), inside.login(COPY), asked).to_dict())


def _rehearsed(workspace: Workspace, primary: Instance, copy: Instance, asked: RehearsalRequest) -> Report:
    env = workspace.environment.name
    if workspace.environment.database.access == "task":
        words = ["migrate", "rehearsal", "--holder", f"{asked.holder.total_seconds():.0f}s"]
        ended = send(
            workspace,
            words,
            sql=_files(asked),
            doors={COPY: DatabaseEndpoint(**connection_info(workspace.stack, copy))},
            settings=settings_of(workspace),
            lead=lead_of(env, asked.sql),
        )
        if ended.result is None:
            raise OrderopsError(
                "the rehearsal ended without a report", f"what it said: orderops history --env {env}; then again"
            )
        return Report.from_dict(ended.result)
    with open_databases(workspace, primary, copy) as (live, login):
        return _carried_out(live, login, asked)


def _carried_out(live: Login, copy: Login, asked: RehearsalRequest) -> Report:
    with Progress() as progress:
        return rehearse(
            copy,
            asked.migrations,
            queries=queries_of(live),
            held_for=asked.holder,
            on_wait=progress.watch,
            on_verdict=console.info_folded,
        )


def _files(asked: RehearsalRequest) -> dict[str, str]:
    """The migrations, and the queries that stand beside them."""
    canaries = sql_folder(asked.sql) / CANARIES
    more = {CANARIES: canaries.read_text()} if canaries.is_file() else {}
    return {**files_of(asked.sql), **more}


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
