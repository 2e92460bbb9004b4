"""Two databases side by side: which rows one has and the other has not, and what else is not the same.

Nothing is written to either, and live is held up by nothing but the reading: each is seen as of one moment, while
others go on writing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from orderops.database.connection import Login
from orderops.migrations.ledger import table as ledger
from orderops.restore.compare.export import Export, new_folder
from orderops.restore.compare.merge import Difference, RowDifference
from orderops.restore.compare.result import Compared, Comparison, Seen, Single
from orderops.restore.compare.row_diff import RowHash, differences, new_row_hash
from orderops.restore.compare.samples import RowFetcher, samples
from orderops.restore.compare.schema_diff import schema_differences
from orderops.restore.compare.sequences import sequences
from orderops.restore.compare.snapshots import LOCK_TIMEOUT, Snapshot, SnapshotPair, Unreadable, open_snapshots
from orderops.restore.compare.tables import TablePair, TableSnapshot, pair_tables, partitions, rewritten

OnProgress = Callable[[str, str], None]
"""Told a table's name and how far it is; nothing when that is over."""
CHANGED_MEANWHILE = "emptied, rewritten or dropped while it was compared: compare it again"


@dataclass(frozen=True)
class Options:
    """What is asked for beside the numbers."""

    samples: int = 0
    """Rows of each kind to show, of each table."""
    export: Path | None = None
    """A new folder for every row that is not the same."""


def compare(
    live: Login,
    restored: Login,
    *,
    tables: Collection[str] = (),
    samples: int = 0,
    export: Path | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    on_progress: OnProgress = lambda *_: None,
) -> Comparison:
    """What is not the same in two databases: of rows exact numbers, samples and files of them where wished.

    Raises UsageError for a table that neither has, or a folder that is not empty; OrderopsError where one of the
    databases cannot be reached, or is lost. One table that cannot be read is told of, and the rest compared.
    """
    wish = Options(samples, new_folder(export) if export else None)
    with open_snapshots(live, restored, lock_timeout) as sides:
        notes: list[str] = []
        found = pair_tables(sides, tables)
        made = new_row_hash(sides)
        if sides.encodings_differ:
            notes.append(f"live is in {sides.live.encoding} and restored in {sides.restored.encoding}")
        compared = [_compared(sides, pairing, made, wish, on_progress) for pairing in found.pairs]
        _say_what_changed(sides, found.pairs, compared)
        on_progress("schema", "is compared")
        comparison = Comparison(
            live=_seen(sides.live, notes),
            restored=_seen(sides.restored, notes),
            tables=compared,
            only_live=[_single(sides.live, table) for table in found.only_live],
            only_restored=[_single(sides.restored, table) for table in found.only_restored],
            unlike=[] if tables else schema_differences(sides, notes),
            sequences=[] if tables else sequences(sides, notes),
            notes=notes,
            whole=not tables,
        )
        on_progress("schema", "")
    return comparison


def _compared(sides: SnapshotPair, pairing: TablePair, made: RowHash, wish: Options, watch: OnProgress) -> Compared:
    watch(pairing.summary, "begins")
    compared = Compared(pairing.summary, pairing.notes)
    try:
        with sides.releasing_locks(), ExitStack() as stack:
            _rows(sides, pairing, made, wish, compared, lambda told: watch(pairing.summary, told), stack)
    except Unreadable as error:
        compared.refused = error.message + (f" ({error.hint})" if error.hint else "")
    watch(pairing.summary, "")
    return compared


def _rows(
    sides: SnapshotPair,
    pairing: TablePair,
    made: RowHash,
    wish: Options,
    compared: Compared,
    said: Callable[[str], None],
    stack: ExitStack,
) -> None:
    """Count every row that is not the same, keep the first few, and write all to files."""
    found = RowFetcher(pairing, made)
    export = None
    if wish.export:
        beside = stack.enter_context(sides.second_session())
        export = stack.enter_context(Export(wish.export, beside, found))
    kept: dict[Difference, list[RowDifference]] = {kind: [] for kind in Difference}
    found_rows = stack.enter_context(closing(differences(sides, pairing, made, compared.rows, said)))
    for each in found_rows:
        compared.unequal[each.kind] += each.times
        if len(kept[each.kind]) < wish.samples:
            kept[each.kind].append(each._replace(times=1))
        if export:
            export.take(each)
    if export:
        export.finish()
    compared.samples = samples(sides, found, kept)


def _say_what_changed(sides: SnapshotPair, pairings: Collection[TablePair], compared: Collection[Compared]) -> None:
    """A table that was emptied since the snapshot looked empty in it: what was counted there counts for nothing."""
    changed = [rewritten(side) for side in sides.both]
    if not any(changed):
        return
    for pairing, each in zip(pairings, compared, strict=True):
        for side, table, others in zip(sides.both, (pairing.live, pairing.restored), changed, strict=True):
            if not each.refused and others & partitions(side, table):
                each.refused = f"{side.name}: {CHANGED_MEANWHILE}"


def _single(side: Snapshot, table: TableSnapshot) -> Single:
    from psycopg import sql

    try:
        with side.releasing_locks():
            rows: int = side.rows(sql.SQL("select count(*) from {}").format(table.source))[0][0]
    except Unreadable:
        return Single(table.summary, None)
    return Single(table.summary, rows)


def _seen(side: Snapshot, notes: list[str]) -> Seen:
    version: int | None = None
    try:
        with side.releasing_locks():
            version = ledger.highest(ledger.read(side.connection))
    except Unreadable as error:
        notes.append(f"the ledger cannot be read: {error.message}")
    major = side.version // 10000
    return Seen(side.login.describe, side.taken, f"PostgreSQL {major}.{side.version % 10000}", version)
