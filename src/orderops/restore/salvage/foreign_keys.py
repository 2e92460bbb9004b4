"""What rows depend on in the database that they are inserted into: foreign keys, triggers and the order of tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from orderops.frozen import Frozen
from orderops.restore.compare.samples import Row, text_array
from orderops.restore.compare.snapshots import Snapshot
from orderops.restore.compare.tables import TablePair, TableSnapshot

# conparentid is set on the copies of a foreign key that PostgreSQL creates for partitions.
FOREIGN_KEYS = """
select o.conname, o.confrelid::bigint, n.nspname, p.relname, o.condeferrable,
    array(select a.attname::text from unnest(o.conkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number order by k.place),
    array(select a.attname::text from unnest(o.confkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number order by k.place),
    array(select format_type(a.atttypid, a.atttypmod) from unnest(o.confkey) with ordinality k (number, place)
          join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number order by k.place),
    array(select format('operator(%I.%s)', e.nspname, r.oprname)
          from unnest(o.conpfeqop) with ordinality k (operator, place) join pg_operator r on r.oid = k.operator
          join pg_namespace e on e.oid = r.oprnamespace order by k.place)
from pg_constraint o join pg_class p on p.oid = o.confrelid join pg_namespace n on n.oid = p.relnamespace
where o.contype = 'f' and o.conparentid = 0 and o.conrelid = {} order by 1
"""
# tgenabled D is disabled, and R fires only during replication.
TRIGGERS = """
select tgname from pg_trigger where tgrelid = {} and not tgisinternal and tgenabled not in ('D', 'R') order by 1
"""


class ForeignKey(Frozen):
    """A foreign key of a table."""

    name: str
    parent: int
    schema: str
    table: str
    deferrable: bool
    columns: Sequence[str]
    parent_columns: Sequence[str]
    types: Sequence[str]
    operators: Sequence[str]

    @property
    def summary(self) -> str:
        """The referenced table."""
        return f"{self.schema}.{self.table}"

    def missing(self, snapshot: Snapshot, rows: Sequence[Row]) -> list[tuple[str, ...]]:
        """Return the values that `rows` refer to and that the referenced table does not have."""
        from psycopg import sql

        references = {tuple(row[name] for name in self.columns) for row in rows if set(self.columns) <= row.keys()}
        # A foreign key with a NULL in any column is not checked (MATCH SIMPLE).
        complete = [
            tuple(value for value in values if value is not None) for values in references if None not in values
        ]
        if not complete:
            return []
        names = [sql.Identifier(f"k{index}") for index, _ in enumerate(self.columns)]
        query = sql.SQL("select k.* from unnest({}) k ({}) where not exists (select from {} t where {}) order by 1")
        conditions = sql.SQL(" and ").join(
            sql.SQL("t.{} {} k.{}::{}").format(sql.Identifier(column), sql.SQL(operator), name, sql.SQL(kind))
            for column, operator, name, kind in zip(self.parent_columns, self.operators, names, self.types, strict=True)
        )
        arrays = [
            sql.SQL("{}::text[]").format(text_array(values[index] for values in complete))
            for index, _ in enumerate(names)
        ]
        parent = sql.Identifier(self.schema, self.table)
        with snapshot.releasing_locks():
            return snapshot.rows(
                query.format(sql.SQL(", ").join(arrays), sql.SQL(", ").join(names), parent, conditions)
            )


class TablePart(Frozen):
    """The script's part for one table, and what its rows depend on in the destination."""

    pair: TablePair
    into: TableSnapshot
    foreign_keys: Sequence[ForeignKey]
    unmet: Sequence[ForeignKey]
    """Foreign keys to tables that are not part of the script, so their rows may be missing."""
    triggers: Sequence[str]


def parts_of(
    snapshot: Snapshot, tables: Sequence[tuple[TablePair, TableSnapshot]], inserted: Collection[int]
) -> list[TablePart]:
    """Return the parts for pairs and their tables in the destination. The script inserts into the OIDs `inserted`."""
    parts: list[TablePart] = []
    for pair, table in tables:
        foreign_keys = [ForeignKey(*row) for row in snapshot.rows(FOREIGN_KEYS.format(table.oid))]
        unmet = [foreign_key for foreign_key in foreign_keys if foreign_key.parent not in inserted]
        triggers = [name for (name,) in snapshot.rows(TRIGGERS.format(table.oid))]
        parts.append(TablePart(pair, table, foreign_keys, unmet, triggers))
    return parts


def in_order(parts: Sequence[TablePart]) -> tuple[list[TablePart], str]:
    """Sort referenced tables first. Where that is impossible, return the cycle of tables as well, else ""."""
    by_oid: Mapping[int, TablePart] = {part.into.oid: part for part in parts}
    # A table that refers to itself needs no order: its rows are inserted by one statement.
    graph = {
        oid: {key.parent for key in part.foreign_keys if key.parent in by_oid and key.parent != oid}
        for oid, part in by_oid.items()
    }
    try:
        return [by_oid[oid] for oid in TopologicalSorter(graph).static_order()], ""
    except CycleError as error:
        return list(parts), " -> ".join(by_oid[oid].into.summary for oid in error.args[1])
