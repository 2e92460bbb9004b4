"""How the files stand to the ledger: what is applied, what is pending, what does not fit, and so what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orderops.errors import OrderopsError, UsageError
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptState, History, highest
from orderops.migrations.sql.files import Migration, unapplied_gaps


class Status(StrEnum):
    """How one version stands."""

    APPLIED = "applied"
    PENDING = "pending"
    RUNNING = "running"
    PARTLY = "partly applied"
    PARTLY_UNDONE = "partly undone"
    CHANGED = "changed"
    MISSING = "missing"
    OUT_OF_ORDER = "out of order"


@dataclass(frozen=True)
class MigrationStatus:
    """One version: its files, its attempts, and what both come to."""

    version: int
    description: str
    status: Status
    migration: Migration | None
    history: History | None

    @property
    def applied(self) -> Attempt | None:
        """The attempt by which it is in the database."""
        return self.history.applied if self.history else None

    @property
    def latest(self) -> Attempt | None:
        """The last attempt."""
        return self.history.latest if self.history else None

    @property
    def name(self) -> str:
        """What it is called: its file's name where there is one."""
        return self.migration.name if self.migration else f"V{self.version:03} {self.description}"

    @property
    def next(self) -> str:
        """What `apply` would do about it."""
        match self.status:
            case Status.PENDING:
                return "apply"
            case Status.PARTLY:
                latest = self.latest
                return f"go on after statement {len(latest.done)}" if latest and latest.done else "go on"
            case Status.CHANGED | Status.MISSING | Status.OUT_OF_ORDER | Status.PARTLY_UNDONE:
                return "refuse"
        return ""


def statuses(
    migrations: Sequence[Migration], standings: Mapping[int, History], *, held: bool = False
) -> list[MigrationStatus]:
    """Every version by number; `held` says whether somebody is applying right now."""
    files = {migration.version: migration for migration in migrations}
    newest = highest(standings)
    return [
        _line(version, files.get(version), standings.get(version), newest, held)
        for version in sorted({*files, *(version for version, each in standings.items() if version and each.status)})
    ]


def to_apply(
    found: Sequence[MigrationStatus], *, to: int | None = None, out_of_order: bool = False
) -> list[MigrationStatus]:
    """What is pending, in its order; raises OrderopsError where files and ledger do not fit together."""
    _check_target(found, to)
    for line in found:
        _check_fits(line)
    wanted = [
        line for line in found if line.status in (Status.PENDING, Status.PARTLY, Status.OUT_OF_ORDER, Status.RUNNING)
    ]
    wanted = [line for line in wanted if not line.applied and (to is None or line.version <= to)]
    late = [line for line in wanted if line.status is Status.OUT_OF_ORDER]
    newest = max((line.version for line in found if line.applied), default=0)
    if late and not out_of_order:
        raise OrderopsError(
            f"{late[0].name} came after V{newest:03} was applied; nothing was applied",
            "give it and its U file the next number, or apply it where it is: orderops migrate apply --out-of-order",
        )
    _check_gaps(found, wanted, newest)
    return wanted


def to_undo(found: Sequence[MigrationStatus], *, to: int | None = None) -> list[MigrationStatus]:
    """Applied migrations above a version, or only the newest without one; newest first. Raises like `to_apply`."""
    applied = [line for line in reversed(found) if line.applied]
    if to and all(line.version != to for line in applied):
        raise UsageError(f"version {to} is not applied", f"applied are: {_listed(applied[::-1])}")
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
        raise OrderopsError(f"{line.name} is half undone", "let that end first: orderops migrate undo")


def _check_file(line: MigrationStatus) -> None:
    if line.migration is None:
        raise _missing(line)
    if line.status is Status.CHANGED:
        raise _changed(line)


def goes_on_after(line: MigrationStatus, action: AttemptAction) -> Attempt | None:
    """The attempt that was left half-way and is gone on with."""
    partial = line.history.partial if line.history else None
    return partial if partial and partial.action == action else None


def _line(
    version: int, migration: Migration | None, standing: History | None, newest: int, held: bool
) -> MigrationStatus:
    description = migration.description if migration else standing.latest.description if standing else ""
    return MigrationStatus(
        version, description, _stand(version, migration, standing, newest, held), migration, standing
    )


def _stand(version: int, migration: Migration | None, standing: History | None, newest: int, held: bool) -> Status:
    if standing and (unfinished := _unfinished_status(standing.latest, held)):
        return unfinished
    if standing and standing.applied:
        return _applied_status(standing.applied, migration)
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
            raise OrderopsError(f"{line.name} is half undone", "let that end first: orderops migrate undo")


def _check_gaps(found: Sequence[MigrationStatus], wanted: Sequence[MigrationStatus], newest: int) -> None:
    known = [line.migration for line in found if line.migration]
    pending = {line.version for line in wanted}
    for migration, missing in unapplied_gaps(known, newest):
        if migration.version in pending:
            raise OrderopsError(
                f"{missing} is missing before {migration.name}; nothing was applied",
                f"bring it in, or renumber {migration.name} and its U file",
            )


def _changed(line: MigrationStatus) -> OrderopsError:
    return OrderopsError(
        f"{line.name} was applied and has been edited since",
        f"undo the edit and put the change into a new file: git checkout -- {line.migration.forwards.path}\n"
        f"or say that the file is right as it is: orderops migrate repair"
        if line.migration
        else "",
    )


def _missing(line: MigrationStatus) -> OrderopsError:
    way = "orderops migrate repair"
    if line.status is Status.PARTLY_UNDONE:
        way += f" --version {line.version} --as pending"
    return OrderopsError(
        f"V{line.version:03} '{line.description}' was applied and has no file here",
        f"{_bring_back(line)}\nor give up its file: {way}",
    )


def _half_applied(line: MigrationStatus) -> OrderopsError:
    if line.migration:
        return OrderopsError(f"{line.name} is half applied", "let it end first: orderops migrate apply")
    return OrderopsError(
        f"V{line.version:03} '{line.description}' is half applied and has no file here",
        f"{_bring_back(line)}\n"
        "or say how it stands in truth, pending or applied: "
        f"orderops migrate repair --version {line.version} --as pending",
    )


def _bring_back(line: MigrationStatus) -> str:
    return f"bring it back: git log --oneline -- 'sql/V*{line.version}__*.sql'"


def _listed(found: Sequence[MigrationStatus]) -> str:
    versions = [str(line.version) for line in found]
    return ", ".join(versions if len(versions) <= 8 else [*versions[:3], "…", *versions[-3:]]) or "none"
