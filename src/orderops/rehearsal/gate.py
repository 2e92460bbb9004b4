"""The gate before production: what is applied was seen on a copy, with these files and this schema.

A receipt opens it for the files that it is about, in their order, from where the schema stands now: so an apply that
was cut after the second of three files goes on with the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orderops.errors import OrderopsError
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Expected
from orderops.rehearsal.receipts import Receipt, RehearsedMigration

FAILED = "says that"
SKEW = timedelta(hours=1)
"""By how much two clocks may differ."""


@dataclass(frozen=True)
class DatabaseState:
    """Where the database stands."""

    schema: str
    """The digest of its schema now."""
    major: int
    """PostgreSQL's major version."""
    now: datetime


class NotRehearsed(OrderopsError):
    """No receipt opens the gate."""


def opening(
    receipts: Sequence[Receipt], wanted: Sequence[MigrationStatus], here: DatabaseState, *, days: int, words: str
) -> Receipt:
    """The newest receipt that is about just what is to be applied; raises NotRehearsed with what is wrong with it."""
    why = "there is none"
    for receipt in receipts:
        reason = _why_not(receipt, wanted, here, days)
        if not reason:
            return receipt
        if FAILED in reason:  # the newest rehearsal of these files decides
            why = f"{receipt.name} {reason}"
            break
        if receipt is receipts[0]:
            why = f"the last one, {receipt.name}, {reason}"
    names = ", ".join(line.name for line in wanted)
    raise NotRehearsed(
        f"{names}: no receipt of a rehearsal is good for it: {why}; nothing was applied",
        f"rehearse it: orderops migrate rehearsal {words}\n"
        f'or without, on record: orderops migrate apply {words} --without-rehearsal --reason "…"',
    )


def expectations(receipt: Receipt, wanted: Sequence[MigrationStatus]) -> dict[int, Expected]:
    """What the receipt says of each, for the ledger."""
    known = {migration.version: migration for migration in receipt.migrations}
    return {
        line.version: Expected(f"rehearsed: {receipt.name}", timedelta(seconds=known[line.version].seconds))
        for line in wanted
    }


def unrehearsed(wanted: Sequence[MigrationStatus], reason: str) -> dict[int, Expected]:
    """What the ledger is told of what goes without."""
    return {line.version: Expected(f"without a rehearsal: {reason}") for line in wanted}


def _why_not(receipt: Receipt, wanted: Sequence[MigrationStatus], here: DatabaseState, days: int) -> str:
    """What is wrong with a receipt; nothing for one that fits."""
    about = _about(receipt, wanted)
    if isinstance(about, str):
        return about
    if receipt.age(here.now) > timedelta(days=days):
        return f"is {receipt.age(here.now).days} days old, and {days} count"
    if receipt.age(here.now) < -SKEW:
        return "is from the future, by the clock here"
    if receipt.major != here.major:
        return f"was of PostgreSQL {receipt.major}, and this is {here.major}"
    if failed := [each.version for each in about if each.failed]:
        return f"{FAILED} V{failed[0]:03} fails"
    if about[0].before != here.schema and not _goes_on(wanted[0], receipt):
        return "was of another schema than this one is now"
    return ""


def _about(receipt: Receipt, wanted: Sequence[MigrationStatus]) -> str | list[RehearsedMigration]:
    """The part of a receipt that is about these, one after the other; or what is not alike."""
    versions = [migration.version for migration in receipt.migrations]
    asked = [line.version for line in wanted]
    if asked[0] not in versions:
        return f"is of {_named(versions)}"
    start = versions.index(asked[0])
    part = receipt.migrations[start : start + len(asked)]
    if [each.version for each in part] != asked:
        return f"is of {_named(versions)}"
    for line, each in zip(wanted, part, strict=True):
        assert line.migration, "what is pending has its files"
        if line.migration.checksum != each.checksum:
            return f"was of another {line.migration.forwards.name}"
        if line.migration.back.checksum != each.undo_checksum:
            return f"was of another {line.migration.back.name}"
    return list(part)


def _goes_on(line: MigrationStatus, receipt: Receipt) -> bool:
    """A migration that was cut half-way left a schema that no rehearsal saw; it goes on under its receipt."""
    return bool(line.latest and line.latest.partial and receipt.name in (line.latest.receipt or ""))


def _named(versions: Sequence[int]) -> str:
    return ", ".join(f"V{version:03}" for version in versions) or "no migration"
