"""Status of each migration, from its files and the ledger, and what apply and undo would run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History, highest
from orderops.migrations.sql.files import Migration, unapplied_gaps


class Status(StrEnum):
    """Status of one version."""

    APPLIED = "applied"
    PENDING = "pending"
    RUNNING = "running"
    PARTLY = "partly applied"
    PARTLY_UNDONE = "partly undone"
    CHANGED = "changed"
    MISSING = "missing"
    OUT_OF_ORDER = "out of order"


class MigrationStatus(Frozen):
    """One version: its files, its attempts, and its status."""

    version: int
    description: str
    status: Status
    migration: Migration | None
    history: History | None

    @property
    def applied(self) -> Attempt | None:
        """The attempt that applied it; None if it is not applied."""
        return self.history.applied if self.history else None

    @property
    def latest(self) -> Attempt | None:
        """The last attempt."""
        return self.history.latest if self.history else None

    @property
    def name(self) -> str:
        """The name of its V file, else its version and description."""
        return self.migration.name if self.migration else f"V{self.version:03} {self.description}"

    @property
    def next(self) -> str:
        """What `apply` would do with it."""
        match self.status:
            case Status.PENDING:
                return "apply"
            case Status.PARTLY:
                latest = self.latest
                return f"resume after statement {len(latest.done)}" if latest and latest.done else "resume"
            case Status.CHANGED | Status.MISSING | Status.OUT_OF_ORDER | Status.PARTLY_UNDONE:
                return "refuse"
        return ""


def statuses(
    migrations: Sequence[Migration], histories: Mapping[int, History], *, held: bool = False
) -> list[MigrationStatus]:
    """List every version by number; `held` means that a session holds the migration lock."""
    files = {migration.version: migration for migration in migrations}
    newest = highest(histories)
    return [
        _line(version, files.get(version), histories.get(version), newest, held)
        for version in sorted(
            {*files, *(version for version, history in histories.items() if version and history.status)}
        )
    ]


def to_apply(
    found: Sequence[MigrationStatus], *, to: int | None = None, out_of_order: bool = False
) -> list[MigrationStatus]:
    """List the migrations to apply, in order; raises OrderopsError if files and ledger do not match."""
    _check_target(found, to)
    for line in found:
        _check_fits(line)
    wanted = [
        line for line in found if line.status in (Status.PENDING, Status.PARTLY, Status.OUT_OF_ORDER, Status.RUNNING)
    ]
    wanted = [line for line in wanted if not line.applied and (to is None or line.version <= to)]
    late = [line for line in wanted if line.status is Status.OUT_OF_ORDER]
    newest = max((line.version for line in found if line.applied), default=0)
    # A late version was never tested after the newer ones, so applying it needs an explicit option.
    if late and not out_of_order:
        raise OrderopsError(
            f"{late[0].name} came after V{newest:03} was applied; nothing was applied",
            "renumber it and its U file, or apply it anyway: orderops migrate apply --out-of-order",
        )
    _check_gaps(found, wanted, newest)
    return wanted


def to_undo(found: Sequence[MigrationStatus], *, to: int | None = None) -> list[MigrationStatus]:
    """List the migrations to undo, newest first: those above version `to`, or only the newest.

    Raises OrderopsError if files and ledger do not match.
    """
    applied = [line for line in reversed(found) if line.applied]
    if to and all(line.version != to for line in applied):
        raise UsageError(f"version {to} is not applied", f"applied versions: {_listed(applied[::-1])}")
    wanted = applied[:1] if to is None else [line for line in applied if line.version > to]
    for line in found:
        _check_complete(line, wanted)
    for line in wanted:
        _check_file(line)
    return wanted


def _check_complete(line: MigrationStatus, wanted: Sequence[MigrationStatus]) -> None:
    if line.status is Status.PARTLY:
        raise _half_applied(line)
    if line.status is Status.PARTLY_UNDONE and line not in wanted:
        raise OrderopsError(f"{line.name} is partly undone", "finish that first: orderops migrate undo")


def _check_file(line: MigrationStatus) -> None:
    if line.migration is None:
        raise _missing(line)
    if line.status is Status.CHANGED:
        raise _changed(line)


def resumed_attempt(line: MigrationStatus, action: AttemptAction) -> Attempt | None:
    """The interrupted attempt that the next run resumes; None if there is none."""
    partial = line.history.partial if line.history else None
    return partial if partial and partial.action == action else None


def _line(
    version: int, migration: Migration | None, history: History | None, newest: int, held: bool
) -> MigrationStatus:
    description = migration.description if migration else history.latest.description if history else ""
    return MigrationStatus(
        version, description, _status_of(version, migration, history, newest, held), migration, history
    )


def _status_of(version: int, migration: Migration | None, history: History | None, newest: int, held: bool) -> Status:
    if history and (unfinished := _unfinished_status(history.latest, held)):
        return unfinished
    if history and history.applied:
        return _applied_status(history.applied, migration)
    return Status.OUT_OF_ORDER if version < newest else Status.PENDING


def _unfinished_status(latest: Attempt, held: bool) -> Status | None:
    # Without the lock, `running` is left over from an interrupted run.
    if held and latest.state == AttemptState.RUNNING:
        return Status.RUNNING
    if latest.partial:
        return Status.PARTLY_UNDONE if latest.action == AttemptAction.UNDO else Status.PARTLY
    return None


def _applied_status(applied: Attempt, migration: Migration | None) -> Status:
    if migration is None:
        return Status.MISSING
    return Status.APPLIED if applied.checksum == migration.checksum else Status.CHANGED


def _check_target(found: Sequence[MigrationStatus], to: int | None) -> None:
    files = [line for line in found if line.migration]
    if to is not None and not any(line.version == to for line in files):
        raise UsageError(f"no migration has version {to}", f"versions here: {_listed(files)}")


def _check_fits(line: MigrationStatus) -> None:
    match line.status:
        case Status.CHANGED:
            raise _changed(line)
        case Status.MISSING:
            raise _missing(line)
        case Status.PARTLY if line.migration is None:
            raise _half_applied(line)
        case Status.PARTLY_UNDONE:
            raise OrderopsError(f"{line.name} is partly undone", "finish that first: orderops migrate undo")


def _check_gaps(found: Sequence[MigrationStatus], wanted: Sequence[MigrationStatus], newest: int) -> None:
    known = [line.migration for line in found if line.migration]
    pending = {line.version for line in wanted}
    for migration, missing in unapplied_gaps(known, newest):
        if migration.version in pending:
            raise OrderopsError(
                f"{missing} is missing before {migration.name}; nothing was applied",
                f"add it, or renumber {migration.name} and its U file",
            )


def _changed(line: MigrationStatus) -> OrderopsError:
    return OrderopsError(
        f"{line.name} was applied and has been edited since",
        f"restore the file and make the change in a new one: git checkout -- {line.migration.forwards.path}\n"
        f"or accept the edited file: orderops migrate repair"
        if line.migration
        else "",
    )


def _missing(line: MigrationStatus) -> OrderopsError:
    command = "orderops migrate repair"
    if line.status is Status.PARTLY_UNDONE:
        command += f" --version {line.version} --as pending"
    return OrderopsError(
        f"V{line.version:03} '{line.description}' was applied and has no file here",
        f"{_bring_back(line)}\nor remove it from the ledger: {command}",
    )


def _half_applied(line: MigrationStatus) -> OrderopsError:
    if line.migration:
        return OrderopsError(f"{line.name} is partly applied", "finish it first: orderops migrate apply")
    return OrderopsError(
        f"V{line.version:03} '{line.description}' is partly applied and has no file here",
        f"{_bring_back(line)}\n"
        "or set its true status, pending or applied: "
        f"orderops migrate repair --version {line.version} --as pending",
    )


def _bring_back(line: MigrationStatus) -> str:
    return f"restore the file: git log --oneline -- 'sql/V*{line.version}__*.sql'"


def _listed(found: Sequence[MigrationStatus]) -> str:
    versions = [str(line.version) for line in found]
    return ", ".join(versions if len(versions) <= 8 else [*versions[:3], "…", *versions[-3:]]) or "none"
