"""The tables of two databases, found from their catalogues and put side by side: common columns, and a common key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orderops.errors import UsageError
from orderops.migrations.sql.parser import identifier
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair

if TYPE_CHECKING:
    from psycopg.sql import Composed

INTEGERS = {"smallint", "integer", "bigint"}
OURS = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
"""Schemas whose things are the operator's."""
NOT_ANOTHERS = """
not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
and not (n.nspname = 'orderops' and c.relname ~ '^(ledger|migrations)')
"""
"""Nor of orderops' own: how far a ledger is is told apart, and what else stands in its schema is somebody's."""
TABLES = f"""
select c.oid::bigint, n.nspname, c.relname, c.relkind = 'p', c.relpersistence = 'u',
    (with recursive of_it (oid) as (
        select c.oid union all select i.inhrelid from pg_inherits i join of_it on of_it.oid = i.inhparent)
     select case when min(l.reltuples) < 0 then null else coalesce(sum(l.reltuples), 0) end::bigint
     from pg_class l join of_it on of_it.oid = l.oid where l.relkind = 'r')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and {OURS} and {NOT_ANOTHERS}
order by 2, 3
"""
COLUMNS = """
select a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated::text, a.attidentity <> ''
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum
"""
KEYS = """
select i.indrelid::bigint, array_agg(a.attname::text order by k.place)
from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality k (number, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
where i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
    and k.place <= i.indnkeyatts
group by i.indexrelid, i.indrelid, i.indisprimary, i.indnkeyatts having bool_and(a.attnotnull)
order by not i.indisprimary, i.indnkeyatts, 2
"""
REWRITTEN = """
select c.oid::bigint from pg_class c where c.relkind = 'r' and c.relfilenode <> 0
    and pg_relation_filenode(c.oid) is distinct from c.relfilenode
"""
"""A table emptied or rewritten since the snapshot shows itself empty: the catalogue as of then, and as of now."""


@dataclass(frozen=True)
class ComparedColumn:
    """A column as one side has it."""

    name: str
    type: str
    generated: bool
    virtual: bool
    """Computed when it is read: there is nothing that could have been lost."""
    identity: bool


@dataclass(frozen=True)
class TableSnapshot:
    """A table as one side has it; a partitioned one is one table."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    unlogged: bool
    rows: int | None
    """As the server last estimated; none where it never did."""
    columns: Mapping[str, ComparedColumn]
    keys: Sequence[tuple[str, ...]]
    """Columns by which a row is one of its kind, the primary key first."""

    @property
    def summary(self) -> str:
        """Its name, with its schema, as an operator would type it."""
        return f"{self.schema}.{self.name}"

    @property
    def spelled(self) -> str:
        """Its name as SQL spells it."""
        return identifier(self.schema, self.name)

    @property
    def source(self) -> Composed:
        """Its rows, called t."""
        return source_of(self.schema, self.name, partitioned=self.partitioned)


@dataclass(frozen=True)
class TablePair:
    """A table that both have, and how the one is compared with the other."""

    live: TableSnapshot
    restored: TableSnapshot
    columns: Sequence[str]
    """Those that both have, in the order of live."""
    key: Sequence[str]
    """None: then only how often each row is there can be compared."""
    notes: Sequence[str] = field(default=())

    @property
    def summary(self) -> str:
        """Its name, with its schema."""
        return self.live.summary

    @property
    def numbered(self) -> bool:
        """Whether one integer is the key: then rows that came together lie together."""
        return len(self.key) == 1 and all(
            each.columns[self.key[0]].type in INTEGERS for each in (self.live, self.restored)
        )

    @property
    def estimate(self) -> int | None:
        """About how many rows the larger one has, where both servers know."""
        rows = self.live.rows, self.restored.rows
        return None if rows[0] is None or rows[1] is None else max(rows[0], rows[1])

    @property
    def writable(self) -> Sequence[str]:
        """The common columns into which a value can be written."""
        return [
            name
            for name in self.columns
            if not (self.live.columns[name].generated or self.restored.columns[name].generated)
        ]


@dataclass(frozen=True)
class Tables:
    """The tables of both, side by side."""

    pairs: Sequence[TablePair]
    only_live: Sequence[TableSnapshot]
    only_restored: Sequence[TableSnapshot]


def pair_tables(snapshots: SnapshotPair, wanted: Collection[str] = ()) -> Tables:
    """Every table of the two, or those that are named; raises UsageError for a name that neither has."""
    live, restored = (_tables(side) for side in snapshots.both)
    if wanted:
        live, restored = _chosen(live, restored, wanted)
    return Tables(
        [_paired(table, restored[name]) for name, table in live.items() if name in restored],
        [table for name, table in live.items() if name not in restored],
        [table for name, table in restored.items() if name not in live],
    )


def source_of(schema: str, name: str, *, partitioned: bool) -> Composed:
    """The rows of a table, called t: those of its partitions, and not those of tables that only inherit from it."""
    from psycopg import sql

    return sql.SQL("{}{} t").format(sql.SQL("" if partitioned else "only "), sql.Identifier(schema, name))


def rewritten(side: Snapshot) -> set[int]:
    """The tables that were emptied, rewritten or dropped since the snapshot, partitions among them."""
    return {oid for (oid,) in side.rows(REWRITTEN)}


def partitions(side: Snapshot, table: TableSnapshot) -> set[int]:
    """The table's own number and those of its partitions, as of the snapshot."""
    query = (
        f"with recursive of_it (oid) as (select {table.oid}::oid union all"
        " select i.inhrelid from pg_inherits i join of_it on of_it.oid = i.inhparent) select oid::bigint from of_it"
    )
    return {oid for (oid,) in side.rows(query)} if table.partitioned else {table.oid}


def _tables(side: Snapshot) -> dict[tuple[str, str], TableSnapshot]:
    columns: dict[int, dict[str, ComparedColumn]] = {}
    for oid, name, kind, generated, identity in side.rows(COLUMNS):
        columns.setdefault(oid, {})[name] = ComparedColumn(name, kind, bool(generated), generated == "v", identity)
    keys: dict[int, list[tuple[str, ...]]] = {}
    for oid, names in side.rows(KEYS):
        keys.setdefault(oid, []).append(tuple(names))
    return {
        (schema, name): TableSnapshot(
            oid, schema, name, partitioned, unlogged, rows, columns.get(oid, {}), tuple(keys.get(oid, ()))
        )
        for oid, schema, name, partitioned, unlogged, rows in side.rows(TABLES)
    }


def _chosen(
    live: Mapping[tuple[str, str], TableSnapshot],
    restored: Mapping[tuple[str, str], TableSnapshot],
    wanted: Collection[str],
) -> tuple[dict[tuple[str, str], TableSnapshot], dict[tuple[str, str], TableSnapshot]]:
    every = {**restored, **live}
    names: set[tuple[str, str]] = set()
    for each in wanted:
        meant = {key for key, table in every.items() if each in _called(table)}
        if not meant:
            raise UsageError(f"neither database has a table {each!r}", f"there are: {_listed(every)}")
        names |= meant
    return {k: v for k, v in live.items() if k in names}, {k: v for k, v in restored.items() if k in names}


def _called(table: TableSnapshot) -> set[str]:
    """What an operator may call it."""
    return {table.name, table.summary, table.spelled, identifier("", table.name)}


def _listed(tables: Mapping[tuple[str, str], TableSnapshot]) -> str:
    names = [table.summary for table in tables.values()]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "none"


def _paired(live: TableSnapshot, restored: TableSnapshot) -> TablePair:
    columns = [
        name
        for name, column in live.columns.items()
        if name in restored.columns and not (column.virtual or restored.columns[name].virtual)
    ]
    keys = [key for key in live.keys if key in restored.keys and set(key) <= set(columns)]
    return TablePair(live, restored, columns, keys[0] if keys else (), tuple(_notes(live, restored, keys)))


def _notes(live: TableSnapshot, restored: TableSnapshot, keys: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for here, there, where in ((live, restored, "live"), (restored, live, "restored")):
        if single := [name for name in here.columns if name not in there.columns]:
            yield f"column{'s' if len(single) > 1 else ''} {', '.join(single)} only in {where}: not compared"
    if not keys:
        yield "no common key: compared by how often each row is there"
    if live.unlogged or restored.unlogged:
        yield "unlogged: a restore leaves such a table empty"
