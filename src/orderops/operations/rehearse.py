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
from orderops.infra.workspace import Site
from orderops.migrations import migrator as work
from orderops.migrations.sql.files import CANARIES, Migration, sql_folder
from orderops.operations.locked import changing, look_at_lease
from orderops.operations.migrate import files_of, lead_of, looking, settings_of, target
from orderops.operations.remote import send
from orderops.operations.restore import opened, thrown_away
from orderops.operations.workspace import Manner, agree
from orderops.rehearsal.queries import queries_of
from orderops.rehearsal.receipts import Receipt, keep
from orderops.rehearsal.report import Report
from orderops.rehearsal.runner import rehearse
from orderops.remote.job import Door, Inside
from orderops.resources.rds_description import REHEARSAL
from orderops.restore.endpoints import door
from orderops.restore.instance_class import smallest_of_its_family
from orderops.restore.instances import Copy, look
from orderops.restore.timestamps import read_moment
from orderops.ui import console as terminal
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    pass

COPY = "copy"
"""The name of the door to the copy, in an errand."""


@dataclass(frozen=True)
class Asked:
    """What is rehearsed, and how."""

    migrations: Sequence[Migration]
    sql: Path | None
    holder: timedelta
    instance_class: str | None


def pending(site: Site, asked: Asked) -> list[str]:
    """The names of what would be rehearsed, each file checked."""
    env = site.environment.name
    if site.environment.database.access == "task":
        ended = send(site, ["migrate", "rehearsal", "--dry-run"], sql=_files(asked), lead=lead_of(env, asked.sql))
        return list((ended.result or {}).get("pending", ()))
    with target(env, site.folder, None, asked.sql) as at, looking(at) as connection:
        return [line.name for line in work.plan(work.look(connection, asked.migrations))]


def rehearse_on_a_copy(site: Site, manner: Manner, asked: Asked) -> tuple[Report, Receipt]:
    """Make a copy, rehearse on it, keep the receipt, and delete the copy however it ended."""
    lease = look_at_lease(site, site.copying)
    primary = look(site.aws, site.stack).the_primary()
    instance_class = asked.instance_class or smallest_of_its_family(primary.live.properties["DBInstanceClass"])
    agree(site, f"Rehearse on a copy of {primary.name} ({instance_class}), which is deleted afterwards?", manner)
    with (
        changing(site, manner, lease, site.copying) as run,
        thrown_away(site, run, read_moment("latest"), REHEARSAL, instance_class=instance_class) as copy,
    ):
        report = _rehearsed(site, primary, copy, asked)
        about = {"name": copy.name, "class": instance_class, "source": primary.name, "as_of": str(copy.moment)}
        receipt = keep(Bucket(site.aws), site.environment.name, report, who=site.aws.caller, copy=about)
        run.record.note(action="rehearsed", receipt=receipt.name, verdict=receipt.verdict)
    return report, receipt


def rehearse_inside(inside: Inside, asked: Asked, *, dry_run: bool) -> None:
    """The part of it that opens databases, where they can be reached."""
    if dry_run:
        with target(inside.errand.environment, None, None) as at, looking(at) as connection:
            names = [line.name for line in work.plan(work.look(connection, asked.migrations))]
        inside.leave({"pending": names})
        return
    inside.leave(_carried_out(inside.login(), inside.login(COPY), asked).told())


def _rehearsed(site: Site, primary: Copy, copy: Copy, asked: Asked) -> Report:
    env = site.environment.name
    if site.environment.database.access == "task":
        words = ["migrate", "rehearsal", "--holder", f"{asked.holder.total_seconds():.0f}s"]
        ended = send(
            site,
            words,
            sql=_files(asked),
            doors={COPY: Door(**door(site.stack, copy))},
            settings=settings_of(site),
            lead=lead_of(env, asked.sql),
        )
        if ended.result is None:
            raise OrderopsError(
                "the rehearsal ended without a report", f"what it said: orderops history --env {env}; then again"
            )
        return Report.from_told(ended.result)
    with opened(site, primary, copy) as (live, login):
        return _carried_out(live, login, asked)


def _carried_out(live: Login, copy: Login, asked: Asked) -> Report:
    with Progress() as progress:
        return rehearse(
            copy,
            asked.migrations,
            queries=queries_of(live),
            holder=asked.holder,
            watch=progress.watch,
            say=terminal.say_folded,
        )


def _files(asked: Asked) -> dict[str, str]:
    """The migrations, and the queries that stand beside them."""
    canaries = sql_folder(asked.sql) / CANARIES
    more = {CANARIES: canaries.read_text()} if canaries.is_file() else {}
    return {**files_of(asked.sql), **more}
