"""The workflows: apply what is pending, undo what is applied, and say of a database how it stands.

Each decides anew under the lock, from the files and the ledger, so that the same command after a cut goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orderops.errors import Interrupted, OrderopsError, UsageError
from orderops.migrations.data_loss.check import check_accepted, losses
from orderops.migrations.execution.failures import edited
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import Sessions, holder
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.other_tools import OtherToolLedger, ledgers_of_other_tools, match
from orderops.migrations.ledger.status import MigrationStatus, Status, goes_on_after, statuses, to_apply, to_undo
from orderops.migrations.ledger.table import AttemptAction
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.migrations.sql.validation import checked, checked_forwards

if TYPE_CHECKING:
    from psycopg import Connection

KNOWN_TOOLS = ("flyway", "dbmate", "yoyo", "golang-migrate")
AUTO = "auto"
NOTHING_YET = (0, "nothing yet", "")
"""What a baseline marks that marks no migration: version 0 stands for a database without any."""


@dataclass(frozen=True)
class Overview:
    """How a database stands to the files."""

    statuses: Sequence[MigrationStatus]
    foreign: Sequence[OtherToolLedger] = ()
    """Ledgers of other tools, looked for where ours knows nothing."""
    held_by: str = ""
    """Who is migrating it right now."""


def overview(connection: Connection, migrations: Sequence[Migration]) -> Overview:
    """How a database stands; changes nothing."""
    standings = ledger.read(connection)
    held = holder(connection)
    foreign = [] if standings else ledgers_of_other_tools(connection)
    return Overview(statuses(migrations, standings, held=held is not None), foreign, held.describe if held else "")


def plan(picture: Overview, *, to: int | None = None, out_of_order: bool = False) -> list[MigrationStatus]:
    """What apply would do, each file checked; raises where it would refuse."""
    refuse_foreign(picture.foreign)
    wanted = to_apply(picture.statuses, to=to, out_of_order=out_of_order)
    for line in wanted:
        assert line.migration, "what is pending has a file"
        checked_forwards(line.migration.forwards)
        checked(line.migration.back)
        _check_way(line, line.migration.forwards, AttemptAction.APPLY)
    return wanted


def apply(
    carrier: Runner, migrations: Sequence[Migration], *, to: int | None = None, out_of_order: bool = False
) -> Iterator[MigrationStatus]:
    """Apply what is pending; yields each when it is done."""
    connection = _begin(carrier)
    wanted = plan(overview(connection, migrations), to=to, out_of_order=out_of_order)
    yield from _each(carrier, wanted, AttemptAction.APPLY)


def undo_plan(
    connection: Connection, picture: Overview, *, to: int | None = None, accepted: Collection[str] = ()
) -> list[MigrationStatus]:
    """What undo would take back, newest first; raises where it would refuse, or where rows would be lost."""
    wanted = to_undo(picture.statuses, to=to)
    files = [line.migration.back for line in wanted if line.migration]
    for line, file in zip(wanted, files, strict=True):
        _check_way(line, file, AttemptAction.UNDO)
    check_accepted(losses(connection, [(file, checked(file)) for file in files]), accepted)
    return wanted


def undo(
    carrier: Runner, migrations: Sequence[Migration], *, to: int | None = None, accepted: Collection[str] = ()
) -> Iterator[MigrationStatus]:
    """Take back what is applied, newest first; yields each when it is done."""
    connection = _begin(carrier)
    wanted = undo_plan(connection, overview(connection, migrations), to=to, accepted=accepted)
    yield from _each(replace(carrier, accepted=accepted), wanted, AttemptAction.UNDO)


@dataclass(frozen=True)
class Baseline:
    """What is to count as applied, and by whose word."""

    migrations: Sequence[Migration]
    note: str


def to_baseline(
    connection: Connection, migrations: Sequence[Migration], *, version: int | None, tool: str | None
) -> Baseline:
    """What a baseline would mark: all up to a version, or what another tool says; raises where that does not fit."""
    _refuse_known(connection)
    if tool is not None:
        return _from_tool(connection, migrations, tool.lower())
    if version and not any(migration.version == version for migration in migrations):
        raise UsageError(f"no migration has version {version}", "how the files are numbered: orderops migrate info")
    return Baseline(
        [migration for migration in migrations if migration.version <= (version or 0)], f"baseline at {version}"
    )


def baseline(sessions: Sessions, wanted: Baseline) -> None:
    """Mark them, and run none; that nothing is there yet is written down as well."""
    ledger.make(sessions.work)
    _refuse_known(sessions.work)
    marked = [(migration.version, migration.description, migration.checksum) for migration in wanted.migrations]
    ledger.record(
        sessions.work, sessions.author, marked or [NOTHING_YET], action=AttemptAction.BASELINE, note=wanted.note
    )


def _refuse_known(connection: Connection) -> None:
    known = [version for version, each in ledger.read(connection).items() if version and each.status]
    if known:
        raise OrderopsError(
            f"the ledger knows {len(known)} {'versions' if len(known) > 1 else 'version'} already",
            "how they stand: orderops migrate info; to mend one: orderops migrate repair --version N --as applied",
        )


def _from_tool(connection: Connection, migrations: Sequence[Migration], tool: str) -> Baseline:
    foreign = _the_ledger(ledgers_of_other_tools(connection), tool)
    if foreign.failed:
        first = foreign.failed[0]
        raise OrderopsError(
            f"{foreign.tool} says that {first.version} {first.description} failed",
            f"mend that with {foreign.tool} first",
        )
    ours, unknown = match(foreign, migrations)
    if unknown:
        named = ", ".join(f"{each.version} {each.description}".strip() for each in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise OrderopsError(
            f"{foreign.tool} applied what has no file here: {named}{more}",
            "give each a pair with its number, as V7__add_carts.sql, or mark by version: "
            "orderops migrate baseline --version N",
        )
    return Baseline(ours, f"from {foreign.table} of {foreign.tool}")


def _the_ledger(found: Sequence[OtherToolLedger], tool: str) -> OtherToolLedger:
    """The one that is meant."""
    if tool not in (*KNOWN_TOOLS, AUTO):
        raise UsageError(
            f"orderops does not read the ledger of {tool!r}",
            f"there are: {', '.join([*KNOWN_TOOLS, AUTO])}; or say up to where: orderops migrate baseline --version N",
        )
    meant = [each for each in found if tool in (each.tool, AUTO)]
    if not meant:
        there = ", ".join(f"{each.table} of {each.tool}" for each in found)
        raise OrderopsError(
            f"this database has no ledger of {'another tool' if tool == AUTO else tool}",
            f"there is {there}" if there else "say up to where it is migrated: orderops migrate baseline --version N",
        )
    if len(meant) > 1:
        raise OrderopsError(
            f"this database has {len(meant)} of them: " + ", ".join(f"{each.table} of {each.tool}" for each in meant),
            "say whose counts: --from TOOL; or up to where: --version N",
        )
    return meant[0]


@dataclass(frozen=True)
class Repair:
    """One thing that repair changes in the ledger."""

    version: int
    description: str
    checksum: str
    action: AttemptAction
    why: str
    after: int
    """The attempt by which it stood so; 0 for none."""


def asked_repair(version: int | None, stands: str | None) -> tuple[int, AttemptAction] | None:
    """What an operator says of one version; raises UsageError for half of it, or another word."""
    if version is None and stands is None:
        return None
    actions = {"applied": AttemptAction.BASELINE, "pending": AttemptAction.FORGET}
    if version is None or stands not in actions:
        raise UsageError(
            "say which version, and how it stands in truth: applied or pending",
            f"orderops migrate repair --version {version or 'N'} --as applied",
        )
    return version, actions[stands]


def to_repair(picture: Overview, asked: tuple[int, AttemptAction] | None) -> list[Repair]:
    """What repair would write: for one version what is said of it, else what does not fit the files."""
    if asked is None:
        return [repair for line in picture.statuses for repair in _repair(line)]
    version, action = asked
    line = next((status for status in picture.statuses if status.version == version), None)
    if line is None:
        raise UsageError(f"nobody knows version {version}", "how they stand: orderops migrate info")
    wanted = Status.APPLIED if action is AttemptAction.BASELINE else Status.PENDING
    if line.status is wanted:
        return []
    checksum = line.migration.checksum if line.migration else line.latest.checksum if line.latest else ""
    return [
        Repair(
            version, line.description, checksum, action, f"{line.name}: {line.status}, counts as {wanted}", _of(line)
        )
    ]


def repair(sessions: Sessions, repairs: Sequence[Repair]) -> None:
    """Write what was decided, all or nothing; raises OrderopsError where somebody did something since."""
    connection = sessions.work
    ledger.make(connection)
    standings = ledger.read(connection)
    with connection.transaction():
        for repair in repairs:
            if repair.after != (standings[repair.version].latest.id if repair.version in standings else 0):
                raise OrderopsError(
                    f"V{repair.version:03} was worked on meanwhile; nothing was written",
                    "how it stands now: orderops migrate info",
                )
            marked = [(repair.version, repair.description, repair.checksum)]
            ledger.record(connection, sessions.author, marked, action=repair.action, note=f"repair: {repair.why}")


def refuse_foreign(foreign: Sequence[OtherToolLedger]) -> None:
    """Raise OrderopsError where another tool has migrated a database that our ledger does not know."""
    for each in foreign:
        if each.tool in KNOWN_TOOLS:
            last = f", the last {each.applied[-1].version}" if each.applied else ""
            raise OrderopsError(
                f"this database was migrated by {each.tool}: {len(each.applied)} applied{last}; nothing was applied",
                f"take that over: orderops migrate baseline --from {each.tool}",
            )
        raise OrderopsError(
            f"this database has a ledger of another tool, {each.table}; nothing was applied",
            "say up to which version its schema is there already, 0 for none: orderops migrate baseline --version N",
        )


def _repair(line: MigrationStatus) -> Iterator[Repair]:
    match line.status:
        case Status.CHANGED if line.migration:
            why = f"{line.name}: applied, and its file differs: the file counts as applied"
            yield Repair(
                line.version, line.description, line.migration.checksum, AttemptAction.BASELINE, why, _of(line)
            )
        case Status.MISSING if line.applied:
            why = f"{line.name}: applied, and has no file: forgotten; the database stays as it is"
            yield Repair(line.version, line.description, line.applied.checksum, AttemptAction.FORGET, why, _of(line))


def _check_way(line: MigrationStatus, file: SqlFile, action: AttemptAction) -> None:
    """A file that was left half-way goes on as it began: in pieces, or statement by statement."""
    after = goes_on_after(line, action)
    if after is None or (file.head.batch and after.batch_after is not None):
        return
    script = checked(file)
    kept = file.head.no_transaction and after.batch_after is None and len(after.done) <= len(script)
    if not kept:
        raise edited(file, min(len(after.done), len(script) + 1) or 1)


def _of(line: MigrationStatus) -> int:
    return line.latest.id if line.latest else 0


def _begin(carrier: Runner) -> Connection:
    """The ledger, made and put right: what says that it runs was cut off, since we hold the lock."""
    connection = carrier.sessions.work
    ledger.make(connection)
    ledger.mark_interrupted(connection)
    return connection


def _each(carrier: Runner, wanted: Sequence[MigrationStatus], action: AttemptAction) -> Iterator[MigrationStatus]:
    for number, line in enumerate(wanted):
        assert line.migration, "what is to be carried out has its files"
        try:
            carrier.run(line.migration, action, goes_on_after(line, action))
        except Interrupted:
            raise Interrupted([each.name for each in wanted[number:]]) from None
        yield line
