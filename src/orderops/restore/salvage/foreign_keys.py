"""What a row is tied to in the database that it comes back to: rows of other tables, triggers, the order of it all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from orderops.restore.compare.samples import Row, text_array
from orderops.restore.compare.snapshots import Snapshot
from orderops.restore.compare.tables import TablePair, TableSnapshot

TIES = """
select o.conname, o.confrelid::bigint, n.nspname, p.relname, o.condeferrable,
    array(select a.attname::text from unnest(o.conkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number order by k.place),
    array(select a.attname::text from unnest(o.confkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number order by k.place),
    array(select format_type(a.atttypid, a.atttypmod) from unnest(o.confkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number order by k.place)
from pg_constraint o join pg_class p on p.oid = o.confrelid join pg_namespace n on n.oid = p.relnamespace
where o.contype = 'f' and o.conparentid = 0 and o.conrelid = {} order by 1
"""
TRIGGERS = """
select tgname from pg_trigger where tgrelid = {} and not tgisinternal and tgenabled not in ('D', 'R') order by 1
"""
NAMED = 5
"""Missing rows that are named one by one."""


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key."""

    name: str
    parent: int
    schema: str
    table: str
    deferrable: bool
    columns: Sequence[str]
    parent_columns: Sequence[str]
    types: Sequence[str]

    @property
    def summary(self) -> str:
        """The table that it refers to."""
        return f"{self.schema}.{self.table}"

    def missing(self, side: Snapshot, rows: Sequence[Row]) -> list[tuple[str, ...]]:
        """The values that no row of the other table has, of those that some row refers to."""
        from psycopg import sql

        wanted = {tuple(row[name] for name in self.columns) for row in rows if set(self.columns) <= row.keys()}
        whole = [tuple(value for value in values if value is not None) for values in wanted if None not in values]
        if not whole:
            return []
        names = [sql.Identifier(f"k{place}") for place, _ in enumerate(self.columns)]
        asked = sql.SQL("select k.* from unnest({}) k ({}) where not exists (select from {} t where {}) order by 1")
        met = sql.SQL(" and ").join(
            sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(column), short, sql.SQL(kind))
            for column, short, kind in zip(self.parent_columns, names, self.types, strict=True)
        )
        texts = [
            sql.SQL("{}::text[]").format(text_array(values[place] for values in whole)) for place, _ in enumerate(names)
        ]
        rows_of = sql.Identifier(self.schema, self.table)
        with side.releasing_locks():
            return side.rows(asked.format(sql.SQL(", ").join(texts), sql.SQL(", ").join(names), rows_of, met))


@dataclass(frozen=True)
class Part:
    """A table whose rows come back, and what it is tied to there."""

    pairing: TablePair
    into: TableSnapshot
    ties: Sequence[ForeignKey]
    loose: Sequence[ForeignKey]
    """Those of its ties of which the other end does not come along."""
    triggers: Sequence[str]

    @property
    def of_itself(self) -> bool:
        """Whether its rows refer to rows of its own: then all of them have to come in one statement."""
        return any(tie.parent == self.into.oid for tie in self.ties)


def parts_of(
    side: Snapshot, pairings: Sequence[tuple[TablePair, TableSnapshot]], coming: Collection[int]
) -> list[Part]:
    """The tables with their ties in the database that the rows go to; every missing row of `coming` comes along."""
    parts: list[Part] = []
    for pairing, table in pairings:
        ties = [ForeignKey(*row) for row in side.rows(TIES.format(table.oid))]
        triggers = [name for (name,) in side.rows(TRIGGERS.format(table.oid))]
        parts.append(Part(pairing, table, ties, [tie for tie in ties if tie.parent not in coming], triggers))
    return parts


def in_order(parts: Sequence[Part]) -> tuple[list[Part], str]:
    """Those that are referred to first; and which of them refer to each other in a circle, if any do."""
    by_oid: Mapping[int, Part] = {part.into.oid: part for part in parts}
    graph = {
        oid: {tie.parent for tie in part.ties if tie.parent in by_oid and tie.parent != oid}
        for oid, part in by_oid.items()
    }
    try:
        return [by_oid[oid] for oid in TopologicalSorter(graph).static_order()], ""
    except CycleError as error:
        return list(parts), " -> ".join(by_oid[oid].into.summary for oid in error.args[1])
