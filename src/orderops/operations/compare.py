"""Compare and salvage: commands on the live database and a restored one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from orderops.config.environment import load_environment
from orderops.database.connection import Login
from orderops.errors import Differences, OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.operations.options import CompareOptions
from orderops.operations.remote import argv, run_by_task
from orderops.operations.restore import open_databases
from orderops.operations.workspace import open_workspace
from orderops.remote.job import DatabaseEndpoint, JobObserver, JobRequest, JobResult, run_job
from orderops.restore.compare.comparison import compare as compare_databases
from orderops.restore.compare.merge import Difference
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import Instance, load_instances
from orderops.restore.salvage.script import salvage as salvage_rows
from orderops.restore.salvage.script import wanted_kinds, write_script
from orderops.ui import compare as ui
from orderops.ui import console
from orderops.ui.background import unblocked_stderr
from orderops.ui.progress import Progress

LIVE, RESTORED = "live", "restored"
"""Names of the two databases in a remote job."""


class Pair(Frozen):
    """The logins and names of the live database and a restored one."""

    live: Login
    restored: Login
    live_name: str
    name: str
    options: str
    """The options that lead another command to the same pair."""


def compare(where: CompareOptions, *, samples: int, export: Path | None, as_json: bool) -> None:
    """Show what differs between the live and a restored database. Raises Differences if anything does."""
    if _is_by_task(where):
        if export:
            raise UsageError(
                "--export would write inside a task and be lost with it (access = 'task')",
                "show some of the rows: --samples 20; or write the SQL that copies them: "
                "orderops restore salvage --output FILE",
            )
        command = argv(
            "restore", "compare", where.name or "", table=list(where.tables), samples=samples or None, json=as_json
        )
        _run_by_task(where, [word for word in command if word])
        return
    with unblocked_stderr(), pair(where) as both, Progress() as progress:
        comparison = compare_databases(
            both.live, both.restored, tables=where.tables, samples=samples, export=export, on_progress=progress.watch
        )
    if where.job:
        where.job.set_result(comparison.to_dict())
    if as_json:
        console.show_json({"live_name": both.live_name, "restored_name": both.name, **comparison.to_dict()})
    else:
        ui.show_comparison(comparison, both.options, both.name)
    if not comparison.same:
        raise Differences


def salvage(
    where: CompareOptions,
    *,
    every_table: bool,
    only_live: bool,
    only_restored: bool,
    changed: bool,
    output: Path | None,
) -> None:
    """Write the SQL that copies rows from one database to the other. Runs nothing.

    Raises Differences once the script is written, if it does not bring every row that was requested.
    """
    kinds = wanted_kinds(only_live=only_live, only_restored=only_restored, changed=changed)
    if bool(where.tables) == every_table:
        raise UsageError("no tables are given", "pass --table TABLE, or --every-table")
    if _is_by_task(where):
        command = argv(
            "restore",
            "salvage",
            *([where.name] if where.name else []),
            table=list(where.tables),
            every_table=every_table,
            only_live=only_live,
            only_restored=only_restored,
            changed=changed,
        )
        _run_by_task(where, command, output)
        return
    with pair(where) as both:
        left_out = _write(both, where.tables, kinds, output)
    ui.show_how_to_run(output, both.live if only_restored else both.restored, both.options)
    if left_out:
        raise Differences


def _write(both: Pair, tables: Sequence[str], kinds: Collection[Difference], output: Path | None) -> list[str]:
    """Write or show the script, then its notes; returns what it leaves out."""
    # On a terminal the script itself is the progress. A live view or a note would stand in the middle of it.
    on_screen = output is None and console.out.is_terminal
    notes: list[str] = []
    left_out: list[str] = []
    with (
        nullcontext() if on_screen else Progress() as progress,
        closing(
            salvage_rows(
                both.live,
                both.restored,
                tables,
                kinds=kinds,
                on_progress=progress.watch if progress else lambda *_: None,
                on_note=notes.append if on_screen else console.info_folded,
                on_left_out=left_out.append,
            )
        ) as script,
    ):
        if output:
            write_script(script, output)
        else:
            ui.show_script(script)
    for note in notes:
        console.info_folded(note)
    ui.show_left_out(left_out)
    return left_out


@contextmanager
def pair(where: CompareOptions) -> Iterator[Pair]:
    """Open both databases. The restored one need not be named if there is only one."""
    if where.job:
        names = where.job.request.settings
        options = f"{names[RESTORED]} --env {where.job.request.environment}"
        yield Pair(where.job.login(LIVE), where.job.login(RESTORED), names[LIVE], names[RESTORED], options)
        return
    workspace = open_workspace(where.env, where.environments)
    primary, restored = primary_and_restored(workspace, where.name)
    with open_databases(workspace, primary, restored) as (live, login):
        yield Pair(live, login, primary.name, restored.name, f"{restored.name} --env {where.env}")


def primary_and_restored(workspace: Workspace, name: str | None) -> tuple[Instance, Instance]:
    """The primary, and the instance to compare it with."""
    instances = load_instances(workspace.aws, workspace.stack)
    primary, restored = instances.require_primary(), instances.named(name, action="compare")
    # The named instance may have been promoted since.
    if restored.name == primary.name:
        raise OrderopsError(
            f"{restored.name} is the primary, and would be compared with itself",
            f"list the others: orderops restore list --env {workspace.environment.name}",
        )
    return primary, restored


def compare_by_task(workspace: Workspace, primary: Instance, restored: Instance) -> dict[str, Any]:
    """Compare in a task and return the comparison as JSON. A difference is no failure of the task."""
    with Progress() as progress:
        request = JobRequest(
            ("restore", "compare"),
            databases=_endpoints(workspace, primary, restored),
            settings={LIVE: primary.name, RESTORED: restored.name},
        )
        end = run_job(workspace, request, JobObserver(lambda _: None, progress.watch))
    # A job that finds differences exits with 3, so only the result tells whether it has compared.
    if end.result is None:
        end.check()
        raise OrderopsError("the comparison ended without a result", "re-run this command to compare again")
    return end.result


def _is_by_task(where: CompareOptions) -> bool:
    return where.job is None and load_environment(where.env, where.environments).database.access == "task"


def _run_by_task(where: CompareOptions, command: Sequence[str], output: Path | None = None) -> None:
    """Run the command in a task; show its stdout, or write it to the new file `output`."""
    workspace = open_workspace(where.env, where.environments)
    primary, restored = primary_and_restored(workspace, where.name)
    if output is None:
        _run_on_pair(workspace, command, primary, restored)
        return
    pieces: list[str] = []
    try:
        _run_on_pair(workspace, command, primary, restored, pieces.append)
    except Differences:
        # The script is complete, but for what the task has named.
        write_script(iter(pieces), output)
        raise
    write_script(iter(pieces), output)


def _run_on_pair(
    workspace: Workspace,
    command: Sequence[str],
    primary: Instance,
    restored: Instance,
    on_data: Callable[[str], object] | None = None,
) -> JobResult:
    request = JobRequest(
        tuple(command),
        databases=_endpoints(workspace, primary, restored),
        settings={LIVE: primary.name, RESTORED: restored.name},
    )
    return run_by_task(workspace, request, on_data=on_data)


def _endpoints(workspace: Workspace, primary: Instance, restored: Instance) -> dict[str, DatabaseEndpoint]:
    return {
        LIVE: DatabaseEndpoint(**connection_info(workspace.stack, primary)),
        RESTORED: DatabaseEndpoint(**connection_info(workspace.stack, restored)),
    }
