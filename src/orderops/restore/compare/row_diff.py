"""Which rows two tables do not share: exact, and without carrying over what is equal.

Each server hashes its rows and sums the hashes up by buckets; only of buckets that differ are keys and hashes carried
over, in one order on both sides, and merged as they come. A row's place is its key where that is one integer (rows that
were written together then lie in the same buckets), else a hash of its key, or of the whole row where it has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from orderops.restore.compare.merge import Counts, RowDifference, merge_by_hash, merge_by_key
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair
from orderops.restore.compare.tables import TablePair, TableSnapshot

if TYPE_CHECKING:
    from psycopg.sql import Composable, Composed

DEEPEST = 50
"""Calls inside each other in a question."""


@dataclass(frozen=True)
class Tuning:
    """From where on one way is quicker than another."""

    max_sums: int = 1 << 16
    """So many sums are carried over at most, for each look at a table."""
    bucket_rows: int = 16
    """Rows in a bucket that are as quick to carry over as its parts are to sum up."""
    small_table: int = 4_000
    """Rows of a table that are as quick to carry over as to sum up."""
    few_rows: int = 50_000
    """Rows whose hashes are carried over without looking closer first."""
    index_share: float = 0.2
    """The part of a table from which on it is read from front to back, and not by its index."""
    whole_share: float = 0.8
    """The part of a table from which on all of it is."""


@dataclass(frozen=True)
class RowHash:
    """How both servers write a row as one number. The seed is new each time: what hides once does not hide again."""

    as_utf8: bool
    seed: int
    null: str

    def position(self, table: TableSnapshot, pairing: TablePair) -> Composed:
        """Where a row stands among the others: a bigint, the same on both sides for the same key."""
        from psycopg import sql

        if pairing.numbered:
            return sql.SQL("t.{}::bigint").format(sql.Identifier(pairing.key[0]))
        if pairing.key:
            return self._hash([key_text(table, name) for name in pairing.key])
        return self.hash(table, pairing)

    def hash(self, table: TableSnapshot, pairing: TablePair) -> Composed:
        """The common values of a row, in the order of live."""
        from psycopg import sql

        return self._hash([sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in pairing.columns])

    def _hash(self, texts: Sequence[Composed]) -> Composed:
        """One number for some values; of many, one of the numbers of some at a time: a server nests only so deep."""
        from psycopg import sql

        parts = [self._chain(texts[begin : begin + DEEPEST]) for begin in range(0, len(texts), DEEPEST)]
        if len(parts) == 1:
            return parts[0]
        return sql.SQL("hashtextextended(array[{}]::bigint[]::text, {})").format(sql.SQL(", ").join(parts), self.seed)

    def _chain(self, texts: Sequence[Composed]) -> Composed:
        """Each value is hashed with the hash of those before it as its seed: so none can pass for a part of another."""
        from psycopg import sql

        hashing = sql.SQL('hashtextextended(coalesce({}, {}) collate "C", ')
        if self.as_utf8:
            hashing = sql.SQL("hashtextextended(coalesce(encode(convert_to({}, 'UTF8'), 'hex'), {}) collate \"C\", ")
        opened = [hashing.format(text, self.null) for text in reversed(texts)]
        return sql.SQL("{}{}{}").format(sql.Composed(opened), self.seed, sql.SQL(")" * len(texts)))


def new_row_hash(snapshots: SnapshotPair) -> RowHash:
    """How rows of these two are hashed this time."""
    return RowHash(snapshots.encodings_differ, secrets.randbits(62), f"null {secrets.token_hex(8)}")


def key_text(table: TableSnapshot, name: str) -> Composed:
    """A value of a key as text; numbers that are equal are written alike."""
    from psycopg import sql

    column = sql.SQL("t.{}").format(sql.Identifier(name))
    if table.columns[name].type.startswith("numeric"):
        column = sql.SQL("trim_scale({})").format(column)
    return sql.SQL("{}::text").format(column)


def differences(
    snapshots: SnapshotPair,
    pair: TablePair,
    row_hash: RowHash,
    counts: Counts,
    on_progress: Callable[[str], None] = lambda _: None,
    tuning: Tuning = Tuning(),
) -> Generator[RowDifference]:
    """Every row that is not the same on both sides; afterwards `counts` says how many there are in all."""
    look = Look(snapshots, pair, row_hash, on_progress, tuning)
    if pair.estimate is not None and pair.estimate <= tuning.small_table:
        yield from look.merged(None, counts)
        return
    shift = look.first_shift()
    on_progress(f"about {pair.estimate:,} rows are summed up" if pair.estimate else "is summed up")
    unequal = look.unequal(shift, None)
    counts.live, counts.restored = unequal.seen
    while look.worth_another(unequal):
        finer = max(0, shift - (tuning.max_sums // len(unequal.buckets)).bit_length() + 1)
        unequal, shift = look.unequal(finer, unequal), finer
    if unequal.buckets:
        everything = unequal.rows > tuning.whole_share * sum(unequal.seen)
        yield from look.merged(None if everything else unequal, Counts())


@dataclass(frozen=True)
class Unequal:
    """The buckets whose sums differ: a row's place, shifted to the right, is its bucket's number."""

    shift: int
    buckets: Sequence[int]
    rows: int
    """In them, on both sides together."""
    seen: tuple[int, int]
    """In the whole table, on either side."""

    @property
    def ranges(self) -> tuple[list[int], list[int]]:
        """First and last place of each stretch of them."""
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
class Look:
    """The questions put to both servers about one table."""

    sides: SnapshotPair
    pairing: TablePair
    made: RowHash
    said: Callable[[str], None]
    amounts: Tuning

    def first_shift(self) -> int:
        """So much to the right that the table falls into buckets of a few rows, or into as many as are carried over."""
        rows = self.pairing.estimate
        most = self.amounts.max_sums
        wanted = most if rows is None else min(most, max(64, rows // self.amounts.bucket_rows))
        if not self.pairing.numbered:
            return 64 - (wanted.bit_length() - 1)
        low, high = self._span()
        shift = 0
        while (high >> shift) - (low >> shift) >= wanted:
            shift += 1
        return shift

    def worth_another(self, unequal: Unequal) -> bool:
        """Whether smaller buckets would spare more than they cost."""
        number = len(unequal.buckets)
        crowded = unequal.rows > self.amounts.few_rows and unequal.rows > 4 * self.amounts.bucket_rows * number
        return unequal.shift > 0 and crowded and number * 2 <= self.amounts.max_sums

    def unequal(self, shift: int, within: Unequal | None) -> Unequal:
        """The buckets whose rows are not the same, out of those that were not the same before."""
        sums = [
            self._select(side, table, within, "{place} >> {shift}, count(*), sum({hash})", "group by 1", shift)
            for side, table in self._both()
        ]
        with self.sides.streaming(sums) as (live, restored):
            here, there = _sums(live), _sums(restored)
        seen = within.seen if within else (_rows(here), _rows(there))
        buckets = [bucket for bucket in here.keys() | there.keys() if here.get(bucket) != there.get(bucket)]
        rows = sum(each[bucket][0] for bucket in buckets for each in (here, there) if bucket in each)
        return Unequal(shift, buckets, rows, seen)

    def merged(self, within: Unequal | None, counts: Counts) -> Iterator[RowDifference]:
        """Keys and hashes of both, in one order; what they do not share."""
        what, how = "{place}, count(*)", "group by 1 order by 1"
        if self.pairing.key:
            what, how = "{place}, {hash}" if self.pairing.numbered else "{place}, {hash}, {keys}", "order by 1"
        lines = [self._select(side, table, within, what, how) for side, table in self._both()]
        with self.sides.streaming(lines) as (live, restored):
            yield from (merge_by_key if self.pairing.key else merge_by_hash)(live, restored, counts, self.said)

    def _both(self) -> tuple[tuple[Snapshot, TableSnapshot], tuple[Snapshot, TableSnapshot]]:
        return (self.sides.live, self.pairing.live), (self.sides.restored, self.pairing.restored)

    def _span(self) -> tuple[int, int]:
        """The lowest and the highest place there is."""
        from psycopg import sql

        found: list[int] = []
        for side, table in self._both():
            key = sql.Identifier(self.pairing.key[0])
            told = side.rows(
                sql.SQL("select /* orderops */ min(t.{key}), max(t.{key}) from {rows}").format(
                    key=key, rows=table.source
                )
            )
            found += [end for end in told[0] if end is not None]
        return (min(found), max(found)) if found else (0, 0)

    def _select(
        self,
        side: Snapshot,
        table: TableSnapshot,
        within: Unequal | None,
        what: LiteralString,
        how: LiteralString,
        shift: int = 0,
    ) -> Composed:
        """A question about the rows of some buckets, or about all."""
        from psycopg import sql

        place = self.made.position(table, self.pairing)
        told = sql.SQL(what).format(
            place=place,
            hash=self.made.hash(table, self.pairing),
            shift=shift,
            keys=sql.SQL(", ").join(key_text(table, name) for name in self.pairing.key),
        )
        rows, where = table.source, sql.SQL("").format()
        if within and self.pairing.numbered and within.rows <= self.amounts.index_share * sum(within.seen):
            rows = self._by_index(side, within, rows)
        elif within:
            where = sql.SQL("where {} >> {} = any ({})").format(place, within.shift, _array(within.buckets))
        return sql.SQL("select /* orderops */ {} from {} {} {}").format(told, rows, where, sql.SQL(how))

    def _by_index(self, side: Snapshot, within: Unequal, rows: Composed) -> Composed:
        """The stretches of some buckets, each found by the index of the key.

        The server guesses badly how many rows lie in a list of ranges; here it is known that they are few.
        """
        from psycopg import sql

        ways = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
        off = [sql.SQL("set_config({}, 'off', true)").format(way) for way in ways]
        side.rows(sql.SQL("select {}").format(sql.SQL(", ").join(off)))
        first, last = within.ranges
        return sql.SQL("unnest({}, {}) r (a, b) join {} on t.{} between r.a and r.b").format(
            _array(first), _array(last), rows, sql.Identifier(self.pairing.key[0])
        )


def _array(numbers: Sequence[int]) -> Composable:
    from psycopg import sql

    return sql.SQL("{}::bigint[]").format("{" + ",".join(map(str, numbers)) + "}")


def _sums(lines: Iterator[bytes]) -> dict[int, tuple[int, bytes]]:
    found: dict[int, tuple[int, bytes]] = {}
    for line in lines:
        bucket, count, total = line.split(b"\t")
        found[int(bucket)] = int(count), total
    return found


def _rows(sums: Mapping[int, tuple[int, bytes]]) -> int:
    return sum(count for count, _ in sums.values())
