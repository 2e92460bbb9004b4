"""Comparing two databases: the rows that differ, and differences of schema and sequences.

Nothing is written to either database. Each is read in one snapshot, while clients go on writing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

from orderops.database.connection import Login
from orderops.frozen import Frozen
from orderops.migrations.ledger import table as ledger_table
from orderops.restore.compare.export import Export, new_folder
from orderops.restore.compare.large_objects import compare_large_objects
from orderops.restore.compare.merge import Difference, RowDifference
from orderops.restore.compare.result import ComparedDatabase, Comparison, TableComparison, UnmatchedTable
from orderops.restore.compare.row_diff import RowHash, differences, new_row_hash
from orderops.restore.compare.samples import RowFetcher, samples
from orderops.restore.compare.schema_diff import schema_differences
from orderops.restore.compare.sequences import sequences
from orderops.restore.compare.snapshots import LOCK_TIMEOUT, Snapshot, SnapshotPair, Unreadable, open_snapshots
from orderops.restore.compare.tables import TablePair, TableSnapshot, pair_tables, partitions, rewritten

OnProgress = Callable[[str, str], None]
"""Receives a table's name and its progress; "" when the table is done."""
CHANGED_MEANWHILE = "truncated, rewritten or dropped during the comparison: compare it again"


class Options(Frozen):
    """What to collect in addition to the numbers of rows."""

    samples: int = 0
    """Rows of each kind to show for each table."""
    export: Path | None = None
    """A new folder for all rows that differ."""


class _Comparer(Frozen):
    """Compares tables of two snapshots."""

    snapshots: SnapshotPair
    row_hash: RowHash
    options: Options
    on_progress: OnProgress

    def table(self, pair: TablePair) -> TableComparison:
        self.on_progress(pair.summary, "starts")
        compared = TableComparison(pair.summary, pair.notes)
        try:
            with self.snapshots.releasing_locks(), ExitStack() as stack:
                self._rows(pair, compared, stack)
        except Unreadable as error:
            compared.error = error.message + (f" ({error.hint})" if error.hint else "")
        self.on_progress(pair.summary, "")
        return compared

    def _rows(self, pair: TablePair, compared: TableComparison, stack: ExitStack) -> None:
        """Count the rows that differ, keep the first few as samples, and export all of them."""
        fetcher = RowFetcher(pair, self.row_hash)
        export = None
        if self.options.export:
            # The first session streams the differences until the end, so the rows need another one.
            second = stack.enter_context(self.snapshots.second_session())
            export = stack.enter_context(Export(self.options.export, second, fetcher))
        kept: dict[Difference, list[RowDifference]] = {kind: [] for kind in Difference}
        unequal = differences(
            self.snapshots,
            pair,
            self.row_hash,
            compared.rows,
            lambda progress: self.on_progress(pair.summary, progress),
        )
        for difference in stack.enter_context(closing(unequal)):
            compared.differences[difference.kind] += difference.times
            if len(kept[difference.kind]) < self.options.samples:
                # A sample shows a row once, however often the table contains it.
                kept[difference.kind].append(difference._replace(times=1))
            if export:
                export.take(difference)
        if export:
            export.finish()
        compared.samples = samples(self.snapshots, fetcher, kept)


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
    """Compare two databases: exact numbers of rows that differ and, if requested, samples and files of them.

    A table that cannot be read is reported as such, and the others are compared.

    Raises UsageError for a table that neither database has or a folder that is not empty, OrderopsError if a connection
    fails or is lost.
    """
    options = Options(samples, new_folder(export) if export else None)
    with open_snapshots(live, restored, lock_timeout) as snapshots:
        notes: list[str] = []
        found = pair_tables(snapshots, tables)
        if snapshots.encodings_differ:
            notes.append(f"live is in {snapshots.live.encoding} and restored in {snapshots.restored.encoding}")
        comparer = _Comparer(snapshots, new_row_hash(snapshots), options, on_progress)
        compared = [comparer.table(pair) for pair in found.pairs]
        _mark_changed_tables(snapshots, found.pairs, compared)
        compared += compare_large_objects(snapshots, found.pairs, named=bool(tables), on_progress=on_progress)
        on_progress("schema", "comparing")
        comparison = Comparison(
            live=_seen(snapshots.live, notes),
            restored=_seen(snapshots.restored, notes),
            tables=compared,
            only_live=[_single(snapshots.live, table) for table in found.only_live],
            only_restored=[_single(snapshots.restored, table) for table in found.only_restored],
            schema=[] if tables else schema_differences(snapshots, notes),
            sequences=[] if tables else sequences(snapshots, notes),
            notes=notes,
            all_tables=not tables,
        )
        on_progress("schema", "")
    return comparison


def _mark_changed_tables(
    snapshots: SnapshotPair, pairs: Collection[TablePair], compared: Collection[TableComparison]
) -> None:
    """Mark tables that were truncated or rewritten since the snapshot as not compared."""
    # TRUNCATE and rewrites are not MVCC-safe: the snapshot sees such a table as empty.
    # https://www.postgresql.org/docs/current/mvcc-caveats.html
    changed = [rewritten(snapshot) for snapshot in snapshots.both]
    if not any(changed):
        return
    for pair, result in zip(pairs, compared, strict=True):
        for snapshot, table, oids in zip(snapshots.both, (pair.live, pair.restored), changed, strict=True):
            if not result.error and oids & partitions(snapshot, table):
                result.error = f"{snapshot.name}: {CHANGED_MEANWHILE}"


def _single(snapshot: Snapshot, table: TableSnapshot) -> UnmatchedTable:
    from psycopg import sql

    # The rows of a table that only one database has all differ, so counting them is enough.
    try:
        with snapshot.releasing_locks():
            rows: int = snapshot.rows(sql.SQL("select count(*) from {}").format(table.source))[0][0]
    except Unreadable:
        return UnmatchedTable(table.summary, None)
    return UnmatchedTable(table.summary, rows)


def _seen(snapshot: Snapshot, notes: list[str]) -> ComparedDatabase:
    # A database without a ledger has version 0; None is left for one that cannot be read.
    version: int | None = None
    try:
        with snapshot.releasing_locks():
            version = ledger_table.highest(ledger_table.read(snapshot.connection))
    except Unreadable as error:
        notes.append(f"the ledger cannot be read: {error.message}")
    major, minor = divmod(snapshot.version, 10000)
    return ComparedDatabase(snapshot.login.describe, snapshot.taken, f"PostgreSQL {major}.{minor}", version)
