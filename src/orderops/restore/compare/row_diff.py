"""The rows in which two tables differ: exact, and without transferring the rows that are equal.

Each server hashes its rows and sums the hashes by bucket. Only for buckets with different sums are keys and hashes
transferred, in the same order from both servers, and merged as they arrive. A row's position is its key if that is one
integer (rows written together are then in the same buckets), else a hash of its key, or of the whole row if the table
has no key.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from orderops.frozen import Frozen
from orderops.restore.compare.merge import Counts, RowDifference, merge_by_hash, merge_by_key
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair
from orderops.restore.compare.tables import TablePair, TableSnapshot

if TYPE_CHECKING:
    from psycopg.sql import Composable, Composed

# A table may have 1,600 columns, and PostgreSQL's max_stack_depth limits how deep expressions can be nested.
MAX_NESTING = 50
"""Nested function calls in one expression."""

SAME_TEXT: Mapping[str, LiteralString] = {
    # 1.0 and 1.00 are equal as a key and differ as text, as do 0 and -0, Ab and aB, 30 days and 1 month.
    "numeric": "trim_scale({})::text",
    "float4": "({} + '0')::text",
    "float8": "({} + '0')::text",
    "citext": 'lower({}::text collate "default")',
    "interval": "justify_interval({})::text",
}
"""By type: the text by which keys are compared."""


class Tuning(Frozen):
    """Where one way of comparing becomes faster than another. The defaults were measured; the result never changes."""

    max_sums: int = 1 << 16
    """Sums that each pass over a table transfers at most."""
    bucket_rows: int = 16
    """Rows in a bucket below which transferring them is as fast as summing smaller buckets."""
    small_table: int = 4_000
    """Rows of a table below which transferring all hashes is as fast as summing them."""
    few_rows: int = 50_000
    """Rows whose hashes are transferred without another pass."""
    index_share: float = 0.2
    """The share of a table's rows up to which they are read by index instead of a sequential scan."""
    whole_share: float = 0.8
    """The share of a table's rows above which all of its hashes are transferred."""


class RowHash(Frozen):
    """The SQL expressions by which both servers turn a row into one number."""

    as_utf8: bool
    # New for each comparison: two rows that collide in one comparison do not collide in the next.
    seed: int
    null: str

    def position(self, table: TableSnapshot, pair: TablePair) -> Composed:
        """Return the expression for a row's position: a bigint, equal on both servers for equal keys."""
        from psycopg import sql

        if pair.numbered:
            return sql.SQL("t.{}::bigint").format(sql.Identifier(pair.key[0]))
        if pair.key:
            return self._hash([key_text(table, name) for name in pair.key])
        return self.hash(table, pair)

    def hash(self, table: TableSnapshot, pair: TablePair) -> Composed:
        """Return the expression for the hash of a row's common columns, in the order of live."""
        from psycopg import sql

        return self._hash([sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in pair.columns])

    def _hash(self, texts: Sequence[Composed]) -> Composed:
        """Return one hash of some values; many values are hashed in groups, to limit the nesting."""
        from psycopg import sql

        groups = [self._chain(texts[start : start + MAX_NESTING]) for start in range(0, len(texts), MAX_NESTING)]
        if len(groups) == 1:
            return groups[0]
        return sql.SQL("hashtextextended(array[{}]::bigint[]::text, {})").format(sql.SQL(", ").join(groups), self.seed)

    def _chain(self, texts: Sequence[Composed]) -> Composed:
        """Return the hash of values, each seeded with the hash of those before it."""
        from psycopg import sql

        # Hashing one concatenated text instead would make ('ab', 'c') equal to ('a', 'bc').
        call = sql.SQL('hashtextextended(coalesce({}, {}) collate "C", ')
        if self.as_utf8:
            call = sql.SQL("hashtextextended(coalesce(encode(convert_to({}, 'UTF8'), 'hex'), {}) collate \"C\", ")
        opened = [call.format(text, self.null) for text in reversed(texts)]
        return sql.SQL("{}{}{}").format(sql.Composed(opened), self.seed, sql.SQL(")" * len(texts)))


def new_row_hash(snapshots: SnapshotPair) -> RowHash:
    """Return the hash for one comparison, with a random seed and a random text for NULL."""
    return RowHash(snapshots.encodings_differ, secrets.randbits(62), f"null {secrets.token_hex(8)}")


def key_text(table: TableSnapshot, name: str) -> Composed:
    """Return the expression for a key column as text, which is the same for values that are equal as a key."""
    from psycopg import sql

    expression = SAME_TEXT.get(table.columns[name].basis, "{}::text")
    return sql.SQL(expression).format(sql.SQL("t.{}").format(sql.Identifier(name)))


def differences(
    snapshots: SnapshotPair,
    pair: TablePair,
    row_hash: RowHash,
    counts: Counts,
    on_progress: Callable[[str], None] = lambda _: None,
    tuning: Tuning = Tuning(),
) -> Generator[RowDifference]:
    """Yield every row that differs. Once exhausted, `counts` has the number of rows of both tables."""
    queries = TableQueries(snapshots, pair, row_hash, on_progress, tuning)
    if pair.estimate is not None and pair.estimate <= tuning.small_table:
        yield from queries.merged(None, counts)
        return
    shift = queries.first_shift()
    on_progress(f"summing about {pair.estimate:,} rows" if pair.estimate else "summing rows")
    unequal = queries.unequal(shift, None)
    counts.live, counts.restored = unequal.table_rows
    while queries.another_pass_pays(unequal):
        finer = max(0, shift - (tuning.max_sums // len(unequal.buckets)).bit_length() + 1)
        unequal, shift = queries.unequal(finer, unequal), finer
    if unequal.buckets:
        almost_all = unequal.rows > tuning.whole_share * sum(unequal.table_rows)
        # The counts are known already, and the merge sees only some of the rows.
        yield from queries.merged(None if almost_all else unequal, Counts())


class UnequalBuckets(Frozen):
    """The buckets whose sums differ. A bucket's number is a position shifted right by `shift` bits."""

    shift: int
    buckets: Sequence[int]
    rows: int
    """Rows in these buckets, of both tables together."""
    table_rows: tuple[int, int]
    """Rows of the whole tables: live, restored."""

    @property
    def ranges(self) -> tuple[list[int], list[int]]:
        """The first and the last positions of each run of adjacent buckets."""
        first: list[int] = []
        last: list[int] = []
        for bucket in sorted(self.buckets):
            low, high = bucket << self.shift, ((bucket + 1) << self.shift) - 1
            if last and last[-1] + 1 == low:
                last[-1] = high
            else:
                first.append(low)
                last.append(high)
        return first, last


@dataclass
class TableQueries:
    """The queries that compare one table."""

    snapshots: SnapshotPair
    pair: TablePair
    row_hash: RowHash
    on_progress: Callable[[str], None]
    tuning: Tuning

    def first_shift(self) -> int:
        """Return the shift that gives buckets of a few rows each, within the limit of sums."""
        rows = self.pair.estimate
        limit = self.tuning.max_sums
        wanted = limit if rows is None else min(limit, max(64, rows // self.tuning.bucket_rows))
        if not self.pair.numbered:
            # Hashes are spread evenly over 64 bits.
            return 64 - (wanted.bit_length() - 1)
        low, high = self._span()
        shift = 0
        while (high >> shift) - (low >> shift) >= wanted:
            shift += 1
        return shift

    def another_pass_pays(self, unequal: UnequalBuckets) -> bool:
        """Return whether summing smaller buckets saves more than it costs."""
        number = len(unequal.buckets)
        crowded = unequal.rows > self.tuning.few_rows and unequal.rows > 4 * self.tuning.bucket_rows * number
        return unequal.shift > 0 and crowded and number * 2 <= self.tuning.max_sums

    def unequal(self, shift: int, within: UnequalBuckets | None) -> UnequalBuckets:
        """Sum the buckets of a shift, of the whole table or inside the buckets that differed before."""
        sums = [
            self._select(snapshot, table, within, "{position} >> {shift}, count(*), sum({hash})", "group by 1", shift)
            for snapshot, table in self._both()
        ]
        with self.snapshots.streaming(sums) as (live_lines, restored_lines):
            live, restored = _sums(live_lines), _sums(restored_lines)
        table_rows = within.table_rows if within else (_rows(live), _rows(restored))
        buckets = [bucket for bucket in live.keys() | restored.keys() if live.get(bucket) != restored.get(bucket)]
        rows = sum(side[bucket][0] for bucket in buckets for side in (live, restored) if bucket in side)
        return UnequalBuckets(shift, buckets, rows, table_rows)

    def merged(self, within: UnequalBuckets | None, counts: Counts) -> Iterator[RowDifference]:
        """Merge the keys and hashes of both tables, sorted by position; yields the rows that differ."""
        columns, order = "{position}, count(*)", "group by 1 order by 1"
        if self.pair.key:
            columns = "{position}, {hash}" if self.pair.numbered else "{position}, {hash}, {keys}"
            order = "order by 1"
        queries = [self._select(snapshot, table, within, columns, order) for snapshot, table in self._both()]
        with self.snapshots.streaming(queries) as (live, restored):
            merge = merge_by_key if self.pair.key else merge_by_hash
            yield from merge(live, restored, counts, self.on_progress)

    def _both(self) -> tuple[tuple[Snapshot, TableSnapshot], tuple[Snapshot, TableSnapshot]]:
        return (self.snapshots.live, self.pair.live), (self.snapshots.restored, self.pair.restored)

    def _span(self) -> tuple[int, int]:
        """Return the lowest and the highest key of both tables."""
        from psycopg import sql

        ends: list[int] = []
        for snapshot, table in self._both():
            key = sql.Identifier(self.pair.key[0])
            query = sql.SQL("select /* orderops */ min(t.{key}), max(t.{key}) from {rows}")
            row = snapshot.rows(query.format(key=key, rows=table.source))[0]
            ends += [end for end in row if end is not None]
        return (min(ends), max(ends)) if ends else (0, 0)

    def _select(
        self,
        snapshot: Snapshot,
        table: TableSnapshot,
        within: UnequalBuckets | None,
        columns: LiteralString,
        order: LiteralString,
        shift: int = 0,
    ) -> Composed:
        """Return a query for the rows of some buckets, or of the whole table."""
        from psycopg import sql

        position = self.row_hash.position(table, self.pair)
        selected = sql.SQL(columns).format(
            position=position,
            hash=self.row_hash.hash(table, self.pair),
            shift=shift,
            keys=sql.SQL(", ").join(key_text(table, name) for name in self.pair.key),
        )
        rows, where = table.source, sql.SQL("").format()
        if within and self.pair.numbered and within.rows <= self.tuning.index_share * sum(within.table_rows):
            rows = self._by_index(snapshot, within, rows)
        elif within:
            where = sql.SQL("where {} >> {} = any ({})").format(position, within.shift, _array(within.buckets))
        return sql.SQL("select /* orderops */ {} from {} {} {}").format(selected, rows, where, sql.SQL(order))

    def _by_index(self, snapshot: Snapshot, within: UnequalBuckets, rows: Composed) -> Composed:
        """Return the rows of some buckets, each range of keys found by the key's index."""
        from psycopg import sql

        # The planner guesses badly how many rows are in a list of ranges and would scan the whole table.
        # Here they are known to be few.
        methods = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
        disabled = [sql.SQL("set_config({}, 'off', true)").format(method) for method in methods]
        snapshot.rows(sql.SQL("select {}").format(sql.SQL(", ").join(disabled)))
        first, last = within.ranges
        return sql.SQL("unnest({}, {}) r (a, b) join {} on t.{} between r.a and r.b").format(
            _array(first), _array(last), rows, sql.Identifier(self.pair.key[0])
        )


def _array(numbers: Sequence[int]) -> Composable:
    from psycopg import sql

    return sql.SQL("{}::bigint[]").format("{" + ",".join(map(str, numbers)) + "}")


def _sums(lines: Iterator[bytes]) -> dict[int, tuple[int, bytes]]:
    sums: dict[int, tuple[int, bytes]] = {}
    for line in lines:
        bucket, count, total = line.split(b"\t")
        sums[int(bucket)] = int(count), total
    return sums


def _rows(sums: Mapping[int, tuple[int, bytes]]) -> int:
    return sum(count for count, _ in sums.values())
