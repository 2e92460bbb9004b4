"""Apply, undo, baseline and repair of migrations, and the overview of a database.

Each workflow decides from the files and the ledger while it holds the lock, so a re-run after an interruption resumes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orderops.errors import Interrupted, OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.migrations.data_loss.check import check_accepted, losses
from orderops.migrations.execution.failures import edited
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import Sessions, holder
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.other_tools import OtherToolLedger, ledgers_of_other_tools, match
from orderops.migrations.ledger.status import MigrationStatus, Status, resumed_attempt, statuses, to_apply, to_undo
from orderops.migrations.ledger.table import AttemptAction
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.migrations.sql.validation import checked

if TYPE_CHECKING:
    from psycopg import Connection

KNOWN_TOOLS = ("flyway", "dbmate", "yoyo", "golang-migrate")
AUTO = "auto"
NOTHING_YET = (0, "nothing yet", "")
"""Row of a baseline without migrations: version 0 is a database that has none."""


class Overview(Frozen):
    """Status of each migration in a database, and the lock holder."""

    statuses: Sequence[MigrationStatus]
    foreign: Sequence[OtherToolLedger] = ()
    """Ledgers of other tools; searched for only if the orderops ledger is empty."""
    held_by: str = ""
    """Description of the session that is migrating the database; empty if there is none."""


def overview(connection: Connection, migrations: Sequence[Migration]) -> Overview:
    """Read the overview of a database; changes nothing."""
    histories = ledger.read(connection)
    held = holder(connection)
    foreign = [] if histories else ledgers_of_other_tools(connection)
    return Overview(statuses(migrations, histories, held=held is not None), foreign, held.describe if held else "")


def plan(overview: Overview, *, to: int | None = None, out_of_order: bool = False) -> list[MigrationStatus]:
    """List the migrations that apply would run, with each file checked; raises the error that apply would raise."""
    check_not_foreign(overview.foreign)
    wanted = to_apply(overview.statuses, to=to, out_of_order=out_of_order)
    for line in wanted:
        assert line.migration, "a pending migration has a file"
        checked(line.migration.forwards)
        checked(line.migration.back)
        _check_resumable(line, line.migration.forwards, AttemptAction.APPLY)
    return wanted


def apply(
    runner: Runner, migrations: Sequence[Migration], *, to: int | None = None, out_of_order: bool = False
) -> Iterator[MigrationStatus]:
    """Apply the pending migrations; yields each one after it is done."""
    connection = _begin(runner)
    wanted = plan(overview(connection, migrations), to=to, out_of_order=out_of_order)
    yield from _run_all(runner, wanted, AttemptAction.APPLY)


def undo_plan(
    connection: Connection, overview: Overview, *, to: int | None = None, accepted: Collection[str] = ()
) -> list[MigrationStatus]:
    """List the migrations that undo would run, newest first.

    Raises the error that undo would raise, also for a data loss that is not in `accepted`.
    """
    wanted = to_undo(overview.statuses, to=to)
    files = [line.migration.back for line in wanted if line.migration]
    for line, file in zip(wanted, files, strict=True):
        _check_resumable(line, file, AttemptAction.UNDO)
    check_accepted(losses(connection, [(file, checked(file)) for file in files]), accepted)
    return wanted


def undo(
    runner: Runner, migrations: Sequence[Migration], *, to: int | None = None, accepted: Collection[str] = ()
) -> Iterator[MigrationStatus]:
    """Undo applied migrations, newest first; yields each one after it is done."""
    connection = _begin(runner)
    wanted = undo_plan(connection, overview(connection, migrations), to=to, accepted=accepted)
    yield from _run_all(replace(runner, accepted=accepted), wanted, AttemptAction.UNDO)


class Baseline(Frozen):
    """Migrations to mark as applied, and the note that says why."""

    migrations: Sequence[Migration]
    note: str


def to_baseline(
    connection: Connection, migrations: Sequence[Migration], *, version: int | None, tool: str | None
) -> Baseline:
    """List what a baseline would mark: all migrations up to a version, or those in the ledger of another tool.

    Raises OrderopsError if the ledger already has versions, or the other tool's entries do not match the files.
    """
    _check_ledger_empty(connection)
    if tool is not None:
        return _from_tool(connection, migrations, tool.lower())
    if version and not any(migration.version == version for migration in migrations):
        raise UsageError(f"no migration has version {version}", "show the versions: orderops migrate info")
    return Baseline(
        [migration for migration in migrations if migration.version <= (version or 0)], f"baseline at {version}"
    )


def baseline(sessions: Sessions, wanted: Baseline) -> None:
    """Mark the migrations as applied without running them; an empty baseline is recorded as version 0."""
    ledger.make(sessions.work)
    _check_ledger_empty(sessions.work)
    marked = [(migration.version, migration.description, migration.checksum) for migration in wanted.migrations]
    ledger.record(
        sessions.work, sessions.author, marked or [NOTHING_YET], action=AttemptAction.BASELINE, note=wanted.note
    )


def _check_ledger_empty(connection: Connection) -> None:
    known = [version for version, history in ledger.read(connection).items() if version and history.status]
    if known:
        raise OrderopsError(
            f"the ledger knows {len(known)} {'versions' if len(known) > 1 else 'version'} already",
            "show them: orderops migrate info; correct one: orderops migrate repair --version N --as applied",
        )


def _from_tool(connection: Connection, migrations: Sequence[Migration], tool: str) -> Baseline:
    foreign = _chosen_ledger(ledgers_of_other_tools(connection), tool)
    if foreign.failed:
        first = foreign.failed[0]
        raise OrderopsError(
            f"{first.version} {first.description} failed according to {foreign.tool}",
            f"repair it with {foreign.tool} first",
        )
    ours, unknown = match(foreign, migrations)
    if unknown:
        named = ", ".join(f"{entry.version} {entry.description}".strip() for entry in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise OrderopsError(
            f"{foreign.tool} applied migrations without a file here: {named}{more}",
            "add a pair of files for each, such as V7__add_carts.sql, or mark by version: "
            "orderops migrate baseline --version N",
        )
    return Baseline(ours, f"from {foreign.table} of {foreign.tool}")


def _chosen_ledger(found: Sequence[OtherToolLedger], tool: str) -> OtherToolLedger:
    """The ledger of the requested tool; raises OrderopsError if there is none or more than one."""
    if tool not in (*KNOWN_TOOLS, AUTO):
        raise UsageError(
            f"orderops does not read the ledger of {tool!r}",
            f"known tools: {', '.join([*KNOWN_TOOLS, AUTO])}; or: orderops migrate baseline --version N",
        )
    chosen = [foreign for foreign in found if tool in (foreign.tool, AUTO)]
    if not chosen:
        existing = ", ".join(f"{foreign.table} of {foreign.tool}" for foreign in found)
        raise OrderopsError(
            f"this database has no ledger of {'another tool' if tool == AUTO else tool}",
            f"existing ledgers: {existing}"
            if existing
            else "pass the version it is migrated to: orderops migrate baseline --version N",
        )
    if len(chosen) > 1:
        raise OrderopsError(
            f"this database has {len(chosen)} ledgers of other tools: "
            + ", ".join(f"{foreign.table} of {foreign.tool}" for foreign in chosen),
            "choose one: --from TOOL; or pass a version: --version N",
        )
    return chosen[0]


class Repair(Frozen):
    """One row that repair adds to the ledger."""

    version: int
    description: str
    checksum: str
    action: AttemptAction
    why: str
    after: int
    """Id of the latest attempt when the repair was planned; 0 for none."""


def requested_repair(version: int | None, status: str | None) -> tuple[int, AttemptAction] | None:
    """The requested repair of one version; raises UsageError if version or status is missing or unknown."""
    if version is None and status is None:
        return None
    actions = {"applied": AttemptAction.BASELINE, "pending": AttemptAction.FORGET}
    if version is None or status not in actions:
        raise UsageError(
            "pass the version and its true status: applied or pending",
            f"orderops migrate repair --version {version or 'N'} --as applied",
        )
    return version, actions[status]


def to_repair(overview: Overview, requested: tuple[int, AttemptAction] | None) -> list[Repair]:
    """List what repair would write: the requested repair, or one for each migration that does not match its file."""
    if requested is None:
        return [repair for line in overview.statuses for repair in _repair(line)]
    version, action = requested
    line = next((status for status in overview.statuses if status.version == version), None)
    if line is None:
        raise UsageError(
            f"neither the files nor the ledger have version {version}", "show the versions: orderops migrate info"
        )
    wanted = Status.APPLIED if action is AttemptAction.BASELINE else Status.PENDING
    if line.status is wanted:
        return []
    checksum = line.migration.checksum if line.migration else line.latest.checksum if line.latest else ""
    return [
        Repair(
            version,
            line.description,
            checksum,
            action,
            f"{line.name}: {line.status}, counts as {wanted}",
            _latest_id(line),
        )
    ]


def repair(sessions: Sessions, repairs: Sequence[Repair]) -> None:
    """Write all repairs in one transaction; raises OrderopsError if one of the versions has a new attempt."""
    connection = sessions.work
    ledger.make(connection)
    histories = ledger.read(connection)
    with connection.transaction():
        for repair in repairs:
            # The plan was confirmed before the lock was taken, so another run may have come between.
            if repair.after != (histories[repair.version].latest.id if repair.version in histories else 0):
                raise OrderopsError(
                    f"V{repair.version:03} has a new attempt since this repair was planned; nothing was written",
                    "show its status: orderops migrate info",
                )
            marked = [(repair.version, repair.description, repair.checksum)]
            ledger.record(connection, sessions.author, marked, action=repair.action, note=f"repair: {repair.why}")


def check_not_foreign(ledgers: Sequence[OtherToolLedger]) -> None:
    """Raise OrderopsError if another tool has migrated a database that the orderops ledger does not know."""
    for foreign in ledgers:
        if foreign.tool in KNOWN_TOOLS:
            count, last = len(foreign.applied), f", the last {foreign.applied[-1].version}" if foreign.applied else ""
            raise OrderopsError(
                f"this database was migrated by {foreign.tool}: {count} applied{last}; nothing was applied",
                f"take over its ledger: orderops migrate baseline --from {foreign.tool}",
            )
        raise OrderopsError(
            f"this database has a ledger of another tool, {foreign.table}; nothing was applied",
            "pass the version of its schema, 0 for none: orderops migrate baseline --version N",
        )


def _repair(line: MigrationStatus) -> Iterator[Repair]:
    match line.status:
        case Status.CHANGED if line.migration:
            why = f"{line.name}: applied, but its file was edited; the file counts as applied"
            yield Repair(
                line.version, line.description, line.migration.checksum, AttemptAction.BASELINE, why, _latest_id(line)
            )
        case Status.MISSING if line.applied:
            why = f"{line.name}: applied, but has no file; counts as pending, the database is not changed"
            yield Repair(
                line.version, line.description, line.applied.checksum, AttemptAction.FORGET, why, _latest_id(line)
            )


def _check_resumable(line: MigrationStatus, file: SqlFile, action: AttemptAction) -> None:
    """Raise OrderopsError if a partially applied file can no longer be resumed the way it was started."""
    after = resumed_attempt(line, action)
    if after is None or (file.head.batch and after.batch_after is not None):
        return
    script = checked(file)
    kept = file.head.no_transaction and after.batch_after is None and len(after.done) <= len(script)
    if not kept:
        raise edited(file, min(len(after.done), len(script) + 1) or 1)


def _latest_id(line: MigrationStatus) -> int:
    return line.latest.id if line.latest else 0


def _begin(runner: Runner) -> Connection:
    """Create the ledger if needed and mark interrupted attempts. Call only while holding the lock."""
    connection = runner.sessions.work
    # Created under the lock: two first runs at the same time would both try.
    ledger.make(connection)
    ledger.mark_interrupted(connection)
    return connection


def _run_all(runner: Runner, wanted: Sequence[MigrationStatus], action: AttemptAction) -> Iterator[MigrationStatus]:
    for number, line in enumerate(wanted):
        assert line.migration, "a planned migration has its files"
        try:
            runner.run(line.migration, action, resumed_attempt(line, action))
        except Interrupted:
            # The current file counts as not done, although its last statement may be.
            raise Interrupted([migration.name for migration in wanted[number:]]) from None
        yield line
