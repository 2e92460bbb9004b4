"""Fetching rows by their keys from the same snapshot, as text that reads back as the same value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orderops.frozen import Frozen, field
from orderops.restore.compare.merge import Difference, RowDifference
from orderops.restore.compare.row_diff import RowHash
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import TablePair, TableSnapshot

if TYPE_CHECKING:
    from psycopg.sql import Composable, Composed

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
BATCH = 1_000
"""Rows that one query fetches."""
# Without a key each query reads the whole table, so it should fetch as many rows as fit into memory.
BATCH_WITHOUT_KEY = 50_000

Row = Mapping[str, str | None]
"""Values by column, as text."""


class Sample(Frozen):
    """A row that differs: all columns if only one database has it, else the columns that changed."""

    kind: Difference
    key: Row
    live: Row = field(default_factory=dict)
    restored: Row = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        rows = {"live": dict(self.live), "restored": dict(self.restored)}
        return {"kind": self.kind.key, "key": dict(self.key), **{name: row for name, row in rows.items() if row}}


class RowFetcher(Frozen):
    """Fetches rows of one table by key, or by hash if it has no key."""

    pair: TablePair
    row_hash: RowHash

    @property
    def batch(self) -> int:
        """The number of rows to fetch at once."""
        return BATCH if self.pair.key else BATCH_WITHOUT_KEY

    def rows(self, snapshot: Snapshot, table: TableSnapshot, wanted: Sequence[RowDifference]) -> list[Row]:
        """Return the common columns of the wanted rows, in their order, each as often as it is wanted."""
        from psycopg import sql

        names = self.pair.columns
        texts = [sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in snapshot.rows(self.query(table, wanted, texts))]

    def query(self, table: TableSnapshot, wanted: Sequence[RowDifference], columns: Sequence[Composable]) -> Composed:
        """Return the query for some columns of the wanted rows."""
        from psycopg import sql

        selected = sql.SQL(", ").join(columns)
        if not self.pair.key:
            return self._by_hash(table, selected, wanted)
        # The keys are passed as text and cast to the columns' types, so that the key's index is used.
        keys = [key_values(difference.key) for difference in wanted]
        names = [sql.Identifier(f"k{index}") for index, _ in enumerate(self.pair.key)]
        arrays = [sql.SQL("{}::text[]").format(text_array(key[index] for key in keys)) for index, _ in enumerate(names)]
        conditions = [
            sql.SQL("t.{} {} k.{}::{}").format(
                sql.Identifier(column), sql.SQL(table.columns[column].equals), name, sql.SQL(table.columns[column].type)
            )
            for column, name in zip(self.pair.key, names, strict=True)
        ]
        return sql.SQL("select {} from unnest({}) with ordinality k ({}, place) join {} on {} order by k.place").format(
            selected,
            sql.SQL(", ").join(arrays),
            sql.SQL(", ").join(names),
            table.source,
            sql.SQL(" and ").join(conditions),
        )

    def _by_hash(self, table: TableSnapshot, columns: Composed, wanted: Sequence[RowDifference]) -> Composed:
        """Return the query by hash: rows with the same hash are equal, so fetching one is enough."""
        from psycopg import sql

        return sql.SQL(
            "select {} from (select distinct on (h.hash) t.*, k.times as {times}, k.place as {place} from {}"
            " cross join lateral (select {} as hash) h"
            " join unnest({}::bigint[], {}::int[]) with ordinality k (hash, times, place) on k.hash = h.hash) t"
            " cross join generate_series(1, t.{times}) order by t.{place}"
        ).format(
            columns,
            table.source,
            self.row_hash.hash(table, self.pair),
            text_array(difference.key.decode() for difference in wanted),
            text_array(str(difference.times) for difference in wanted),
            # Names with spaces, so that they cannot be names of the table's own columns.
            times=sql.Identifier("how often it is wanted"),
            place=sql.Identifier("where it is wanted"),
        )


def samples(
    snapshots: SnapshotPair, fetcher: RowFetcher, wanted: Mapping[Difference, Sequence[RowDifference]]
) -> list[Sample]:
    """Fetch the wanted rows of each kind."""
    return [
        sample
        for kind, differences in wanted.items()
        if differences
        for sample in _samples(snapshots, fetcher, kind, differences)
    ]


def _samples(
    snapshots: SnapshotPair, fetcher: RowFetcher, kind: Difference, differences: Sequence[RowDifference]
) -> Iterator[Sample]:
    pair = fetcher.pair
    live: list[Row] = []
    restored: list[Row] = []
    if kind is not Difference.ONLY_RESTORED:
        live = fetcher.rows(snapshots.live, pair.live, differences)
    if kind is not Difference.ONLY_LIVE:
        restored = fetcher.rows(snapshots.restored, pair.restored, differences)
    if kind is not Difference.CHANGED:
        for row in live or restored:
            key = {name: row[name] for name in pair.key}
            yield Sample(kind, key, live=row if live else {}, restored=row if restored else {})
        return
    for live_row, restored_row in zip(live, restored, strict=True):
        changed = [name for name in pair.columns if live_row[name] != restored_row[name]]
        key = {name: live_row[name] for name in pair.key}
        yield Sample(
            kind, key, {name: live_row[name] for name in changed}, {name: restored_row[name] for name in changed}
        )


def key_values(key: bytes) -> list[str]:
    """Split a key in COPY's text format into its values; raises Unreadable for bytes that are not UTF-8."""
    try:
        texts = key.decode().split("\t")
    except UnicodeError:
        # A SQL_ASCII database stores any bytes.
        raise Unreadable(f"a key is not valid text: {key!r}") from None
    return [ESCAPED.sub(lambda escape: LETTERS.get(escape[1], escape[1]), text) for text in texts]


def text_array(texts: Iterable[str | None]) -> Composable:
    """Return an array of text as an SQL literal."""
    from psycopg import sql

    quoted = ("NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return sql.Literal("{" + ",".join(quoted) + "}")
