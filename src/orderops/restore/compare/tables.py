"""The tables of two databases, paired by name: their common columns and a common key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orderops.database.catalog import OF_LEDGER
from orderops.errors import UsageError
from orderops.frozen import Frozen, field
from orderops.migrations.sql.parser import identifier
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair
from orderops.text.lists import joined

if TYPE_CHECKING:
    from psycopg.sql import Composed

INTEGERS = {"smallint", "integer", "bigint"}
OURS = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
"""Condition: the schema is not one of PostgreSQL's own."""
# CREATE EXTENSION creates the tables of an extension again, so they are not compared.
NOT_ANOTHERS = f"""
not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
and not {OF_LEDGER}
"""
"""Condition: neither part of an extension nor the ledger, whose version is compared separately."""
# A partitioned table is compared as a whole: a row may be in different partitions of the two databases.
# reltuples is -1 for a table that was never analyzed; its estimate is then NULL.
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
# The search path is pg_catalog, where citext's own "=" is not found: without its schema, texts would be compared.
COLUMNS = """
select a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated::text, a.attidentity <> '',
    y.typname,
    coalesce((select format('operator(%I.=)', e.nspname)
              from pg_operator o join pg_namespace e on e.oid = o.oprnamespace
              where o.oprname = '=' and o.oprleft = y.oid and o.oprright = y.oid limit 1), 'operator(pg_catalog.=)'),
    y.typtype in ('c', 'r', 'm')
        or y.typname in ('jsonb', '_numeric', '_float4', '_float8', '_interval', '_jsonb', '_citext')
        or not coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true)
from pg_attribute a join pg_class c on c.oid = a.attrelid
cross join lateral (
    with recursive basis (oid) as (
        select a.atttypid
        union all select d.typbasetype from basis b join pg_type d on d.oid = b.oid and d.typtype = 'd')
    select d.* from basis b join pg_type d on d.oid = b.oid and d.typtype <> 'd') y
where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum
"""
# A key must identify every row: unique without a condition or expressions, and NOT NULL, since NULLs are never equal.
# A deferrable one (not indimmediate) may be violated inside a transaction. INCLUDE columns are after indnkeyatts.
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
"""Tables truncated, rewritten or dropped since the snapshot, which then sees them as empty.

`relfilenode` is the file as of the snapshot, and pg_relation_filenode() the current one.
"""


class ComparedColumn(Frozen):
    """A column in one database."""

    name: str
    type: str
    generated: bool
    virtual: bool
    """Computed when it is read, so it stores no data that could be lost."""
    identity: bool
    basis: str
    """The type that a domain is based on, or the type itself, without its schema and modifiers."""
    equals: str
    """The operator by which a unique index compares its values."""
    loose: bool
    """Whether equal values may have different texts that no function makes equal."""


class TableSnapshot(Frozen):
    """A table in one database; a partitioned table counts as one."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    unlogged: bool
    rows: int | None
    """The server's last estimate; None before the first ANALYZE."""
    columns: Mapping[str, ComparedColumn]
    keys: Sequence[tuple[str, ...]]
    """The sets of columns that identify a row, the primary key first."""

    @property
    def summary(self) -> str:
        """Its name with its schema, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def spelled(self) -> str:
        """Its name with its schema as an SQL identifier, quoted where needed."""
        return identifier(self.schema, self.name)

    @property
    def source(self) -> Composed:
        """Its FROM item, with the alias t."""
        return source_of(self.schema, self.name, partitioned=self.partitioned)


class TablePair(Frozen):
    """A table that both databases have, and how its rows are compared."""

    live: TableSnapshot
    restored: TableSnapshot
    columns: Sequence[str]
    """The common columns, in the order of live."""
    key: Sequence[str]
    """The common key. If it is empty, only the number of equal rows can be compared."""
    notes: Sequence[str] = field(default=())

    @property
    def summary(self) -> str:
        """Its name with its schema."""
        return self.live.summary

    @property
    def numbered(self) -> bool:
        """Whether the key is one integer, so that rows inserted together have adjacent keys."""
        return len(self.key) == 1 and all(
            table.columns[self.key[0]].type in INTEGERS for table in (self.live, self.restored)
        )

    @property
    def estimate(self) -> int | None:
        """The estimated rows of the larger table; None unless both servers have an estimate."""
        rows = self.live.rows, self.restored.rows
        return None if rows[0] is None or rows[1] is None else max(rows[0], rows[1])

    @property
    def writable(self) -> Sequence[str]:
        """The common columns that accept values, which generated ones do not."""
        return [
            name
            for name in self.columns
            if not (self.live.columns[name].generated or self.restored.columns[name].generated)
        ]


class Tables(Frozen):
    """The tables of both databases: pairs, and those that only one has."""

    pairs: Sequence[TablePair]
    only_live: Sequence[TableSnapshot]
    only_restored: Sequence[TableSnapshot]


def pair_tables(snapshots: SnapshotPair, wanted: Collection[str] = ()) -> Tables:
    """Pair all tables, or only the wanted ones; raises UsageError for a name that neither database has."""
    live, restored = (_tables(snapshot) for snapshot in snapshots.both)
    if wanted:
        live, restored = _chosen(live, restored, wanted)
    return Tables(
        [_paired(table, restored[name]) for name, table in live.items() if name in restored],
        [table for name, table in live.items() if name not in restored],
        [table for name, table in restored.items() if name not in live],
    )


def source_of(schema: str, name: str, *, partitioned: bool) -> Composed:
    """Return the FROM item of a table, with the alias t.

    It includes the rows of partitions, and not those of tables that inherit from the table, which are compared as such.
    """
    from psycopg import sql

    return sql.SQL("{}{} t").format(sql.SQL("" if partitioned else "only "), sql.Identifier(schema, name))


def rewritten(snapshot: Snapshot) -> set[int]:
    """Return the OIDs of tables and partitions that were truncated, rewritten or dropped since the snapshot."""
    return {oid for (oid,) in snapshot.rows(REWRITTEN)}


def partitions(snapshot: Snapshot, table: TableSnapshot) -> set[int]:
    """Return the OIDs of a table and its partitions, as of the snapshot."""
    query = (
        f"with recursive of_it (oid) as (select {table.oid}::oid union all"
        " select i.inhrelid from pg_inherits i join of_it on of_it.oid = i.inhparent) select oid::bigint from of_it"
    )
    return {oid for (oid,) in snapshot.rows(query)} if table.partitioned else {table.oid}


def _tables(snapshot: Snapshot) -> dict[tuple[str, str], TableSnapshot]:
    columns: dict[int, dict[str, ComparedColumn]] = {}
    for oid, name, kind, generated, identity, basis, equals, loose in snapshot.rows(COLUMNS):
        columns.setdefault(oid, {})[name] = ComparedColumn(
            name, kind, bool(generated), generated == "v", identity, basis, equals, loose
        )
    keys: dict[int, list[tuple[str, ...]]] = {}
    for oid, names in snapshot.rows(KEYS):
        keys.setdefault(oid, []).append(tuple(names))
    return {
        (schema, name): TableSnapshot(
            oid, schema, name, partitioned, unlogged, rows, columns.get(oid, {}), tuple(keys.get(oid, ()))
        )
        for oid, schema, name, partitioned, unlogged, rows in snapshot.rows(TABLES)
    }


def _chosen(
    live: Mapping[tuple[str, str], TableSnapshot],
    restored: Mapping[tuple[str, str], TableSnapshot],
    wanted: Collection[str],
) -> tuple[dict[tuple[str, str], TableSnapshot], dict[tuple[str, str], TableSnapshot]]:
    tables = {**restored, **live}
    chosen: set[tuple[str, str]] = set()
    for name in wanted:
        matching = {key for key, table in tables.items() if name in _accepted_names(table)}
        if not matching:
            available = joined([table.summary for table in tables.values()], max_names=10) or "none"
            raise UsageError(f"neither database has a table {name!r}", f"available: {available}")
        chosen |= matching
    return (
        {key: table for key, table in live.items() if key in chosen},
        {key: table for key, table in restored.items() if key in chosen},
    )


def _accepted_names(table: TableSnapshot) -> set[str]:
    """Return the names by which `--table` accepts a table: with or without schema, quoted or not."""
    return {table.name, table.summary, table.spelled, identifier("", table.name)}


def _paired(live: TableSnapshot, restored: TableSnapshot) -> TablePair:
    columns = [
        name
        for name, column in live.columns.items()
        if name in restored.columns and not (column.virtual or restored.columns[name].virtual)
    ]
    # A key with a column that only one database has, or computes on reading, cannot be matched.
    keys = [key for key in live.keys if key in restored.keys and set(key) <= set(columns)]
    return TablePair(live, restored, columns, keys[0] if keys else (), tuple(_notes(live, restored, keys)))


def _notes(live: TableSnapshot, restored: TableSnapshot, keys: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for table, other, name in ((live, restored, "live"), (restored, live, "restored")):
        if single := [column for column in table.columns if column not in other.columns]:
            yield f"column{'s' if len(single) > 1 else ''} {', '.join(single)} only in {name}: not compared"
    if not keys:
        yield "no common key: compared by the number of equal rows"
    elif loose := [name for name in keys[0] if live.columns[name].loose or restored.columns[name].loose]:
        yield f"key {', '.join(loose)}: equal values that are written differently count as two rows"
    # Unlogged tables are not in the WAL, from which a point-in-time restore is made.
    if live.unlogged or restored.unlogged:
        yield "unlogged: empty after a restore"
