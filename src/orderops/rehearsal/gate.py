"""The gate of protected environments: only migrations that were rehearsed on this schema are applied.

A receipt opens the gate for its files, in order, from the current schema on. So an apply that was interrupted after the
second of three files continues with the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Expected
from orderops.rehearsal.receipts import Receipt, RehearsedMigration

FAILS = "says that"
# A receipt may be written by a machine whose clock is ahead of this one.
CLOCK_SKEW = timedelta(hours=1)


class DatabaseState(Frozen):
    """The database to which migrations are applied."""

    schema: str
    """Digest of its current schema."""
    major: int
    """PostgreSQL's major version."""
    now: datetime


class NotRehearsed(OrderopsError):
    """No receipt opens the gate."""


def matching_receipt(
    receipts: Sequence[Receipt], wanted: Sequence[MigrationStatus], state: DatabaseState, *, max_days: int, options: str
) -> Receipt:
    """The newest receipt for exactly the requested migrations. Raises NotRehearsed with what is wrong with the last."""
    why = "there is none"
    for receipt in receipts:
        reason = _why_not(receipt, wanted, state, max_days)
        if not reason:
            return receipt
        # An older success does not outweigh a newer failure of the same files.
        if FAILS in reason:
            why = f"{receipt.name} {reason}"
            break
        if receipt is receipts[0]:
            why = f"the last one, {receipt.name}, {reason}"
    names = ", ".join(line.name for line in wanted)
    raise NotRehearsed(
        f"{names}: no valid rehearsal receipt: {why}; nothing was applied",
        f"rehearse first: orderops migrate rehearsal {options}\n"
        f'or bypass the gate, on record: orderops migrate apply {options} --without-rehearsal --reason "…"',
    )


def expectations(receipt: Receipt, wanted: Sequence[MigrationStatus]) -> dict[int, Expected]:
    """What the ledger records for each migration: its receipt and predicted duration."""
    known = {migration.version: migration for migration in receipt.migrations}
    return {
        line.version: Expected(f"rehearsed: {receipt.name}", timedelta(seconds=known[line.version].seconds))
        for line in wanted
    }


def unrehearsed(wanted: Sequence[MigrationStatus], reason: str) -> dict[int, Expected]:
    """What the ledger records for migrations that bypass the gate."""
    return {line.version: Expected(f"without a rehearsal: {reason}") for line in wanted}


def _why_not(receipt: Receipt, wanted: Sequence[MigrationStatus], here: DatabaseState, days: int) -> str:
    """Why a receipt is not valid for these migrations; "" if it is."""
    about = _about(receipt, wanted)
    if isinstance(about, str):
        return about
    if receipt.age(here.now) > timedelta(days=days):
        return f"is {receipt.age(here.now).days} days old; at most {days} days are accepted"
    if receipt.age(here.now) < -CLOCK_SKEW:
        return "is dated in the future by this machine's clock"
    if receipt.major != here.major:
        return f"is for PostgreSQL {receipt.major}, and this is {here.major}"
    if failed := [migration.version for migration in about if migration.failed]:
        return f"{FAILS} V{failed[0]:03} fails"
    if about[0].before != here.schema and not _goes_on(wanted[0], receipt):
        return "is for another schema than the current one"
    return ""


def _about(receipt: Receipt, wanted: Sequence[MigrationStatus]) -> str | list[RehearsedMigration]:
    """The consecutive part of a receipt for these migrations; or how it differs from them."""
    versions = [migration.version for migration in receipt.migrations]
    requested = [line.version for line in wanted]
    if requested[0] not in versions:
        return f"is for {_named(versions)}"
    start = versions.index(requested[0])
    part = receipt.migrations[start : start + len(requested)]
    if [migration.version for migration in part] != requested:
        return f"is for {_named(versions)}"
    for line, rehearsed in zip(wanted, part, strict=True):
        assert line.migration, "a pending migration has its files"
        if line.migration.checksum != rehearsed.checksum:
            return f"is for another version of {line.migration.forwards.name}"
        if line.migration.back.checksum != rehearsed.undo_checksum:
            return f"is for another version of {line.migration.back.name}"
    return list(part)


def _goes_on(line: MigrationStatus, receipt: Receipt) -> bool:
    """Whether a migration was interrupted under this receipt: its schema is one that no rehearsal saw."""
    return bool(line.latest and line.latest.partial and receipt.name in (line.latest.receipt or ""))


def _named(versions: Sequence[int]) -> str:
    return ", ".join(f"V{version:03}" for version in versions) or "no migration"
