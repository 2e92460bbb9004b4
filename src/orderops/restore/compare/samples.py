"""The rows behind keys: found again in the same snapshot, as text that reads back as the same value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orderops.restore.compare.merge import Difference, RowDifference
from orderops.restore.compare.row_diff import RowHash
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import TablePair, TableSnapshot

if TYPE_CHECKING:
    from psycopg.sql import Composable, Composed

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
BATCH = 1_000
"""Rows that are found again by one question."""
BATCH_WITHOUT_KEY = 50_000
"""The same where each question reads the whole table."""

Row = Mapping[str, str | None]
"""Values by column, as text."""


@dataclass(frozen=True)
class Sample:
    """One row that is not the same: whole where only one side has it, else what differs."""

    kind: Difference
    key: Row
    live: Row = field(default_factory=dict)
    restored: Row = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        sides = {"live": dict(self.live), "restored": dict(self.restored)}
        return {"kind": self.kind.key, "key": dict(self.key), **{name: row for name, row in sides.items() if row}}


@dataclass(frozen=True)
class RowFetcher:
    """How rows of one table are found again."""

    pairing: TablePair
    made: RowHash

    @property
    def batch(self) -> int:
        """So many at once."""
        return BATCH if self.pairing.key else BATCH_WITHOUT_KEY

    def rows(self, side: Snapshot, table: TableSnapshot, wanted: Sequence[RowDifference]) -> list[Row]:
        """The common columns of the rows, in the order of the keys; as often as each is wanted."""
        from psycopg import sql

        names = self.pairing.columns
        texts = [sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in side.rows(self.query(table, wanted, texts))]

    def query(self, table: TableSnapshot, wanted: Sequence[RowDifference], columns: Sequence[Composable]) -> Composed:
        """The question for some columns of these rows."""
        from psycopg import sql

        told = sql.SQL(", ").join(columns)
        if not self.pairing.key:
            hashes, times = (
                text_array(each.key.decode() for each in wanted),
                text_array(str(each.times) for each in wanted),
            )
            return self._by_hash(table, told, hashes, times)
        keys = [parts(each.key) for each in wanted]
        names = [sql.Identifier(f"k{place}") for place, _ in enumerate(self.pairing.key)]
        return sql.SQL("select {} from unnest({}) with ordinality k ({}, place) join {} on {} order by k.place").format(
            told,
            sql.SQL(", ").join(
                sql.SQL("{}::text[]").format(text_array(key[place] for key in keys)) for place, _ in enumerate(names)
            ),
            sql.SQL(", ").join(names),
            table.source,
            sql.SQL(" and ").join(
                sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(name), short, sql.SQL(table.columns[name].type))
                for name, short in zip(self.pairing.key, names, strict=True)
            ),
        )

    def _by_hash(self, table: TableSnapshot, columns: Composed, hashes: Composable, times: Composable) -> Composed:
        """One row of each hash, however often it is there."""
        from psycopg import sql

        return sql.SQL(
            "select {} from (select distinct on (h.hash) t.*, k.times as {times}, k.place as {place} from {}"
            " cross join lateral (select {} as hash) h"
            " join unnest({}::bigint[], {}::int[]) with ordinality k (hash, times, place) on k.hash = h.hash) t"
            " cross join generate_series(1, t.{times}) order by t.{place}"
        ).format(
            columns,
            table.source,
            self.made.hash(table, self.pairing),
            hashes,
            times,
            times=sql.Identifier("how often it is wanted"),
            place=sql.Identifier("where it is wanted"),
        )


def samples(
    sides: SnapshotPair, found: RowFetcher, wanted: Mapping[Difference, Sequence[RowDifference]]
) -> list[Sample]:
    """A few rows of each kind, of which those that changed say only what."""
    return [each for kind, some in wanted.items() if some for each in _samples(sides, found, kind, some)]


def _samples(
    sides: SnapshotPair, found: RowFetcher, kind: Difference, some: Sequence[RowDifference]
) -> Iterator[Sample]:
    pairing = found.pairing
    live = found.rows(sides.live, pairing.live, some) if kind is not Difference.ONLY_RESTORED else []
    restored = found.rows(sides.restored, pairing.restored, some) if kind is not Difference.ONLY_LIVE else []
    if kind is not Difference.CHANGED:
        for row in live or restored:
            key = {name: row[name] for name in pairing.key}
            yield Sample(kind, key, live=row if live else {}, restored=row if restored else {})
        return
    for here, there in zip(live, restored, strict=True):
        other = [name for name in pairing.columns if here[name] != there[name]]
        key = {name: here[name] for name in pairing.key}
        yield Sample(kind, key, {name: here[name] for name in other}, {name: there[name] for name in other})


def parts(key: bytes) -> list[str]:
    """The values of a key out of COPY's text form; raises Unreadable for what a database without an encoding holds."""
    try:
        texts = key.decode().split("\t")
    except UnicodeError:
        raise Unreadable(f"a key is no text: {key!r}") from None
    return [ESCAPED.sub(lambda escape: LETTERS.get(escape[1], escape[1]), each) for each in texts]


def text_array(texts: Iterable[str]) -> Composable:
    """A literal of an array of text."""
    from psycopg import sql

    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return sql.Literal("{" + ",".join(quoted) + "}")
