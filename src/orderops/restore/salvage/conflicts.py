"""Conflicts: rows that the destination cannot take, since another of its rows has a value that must be unique."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orderops.frozen import Frozen
from orderops.restore.compare.samples import Row, text_array
from orderops.restore.compare.snapshots import Snapshot, Unreadable
from orderops.restore.compare.tables import TablePair, TableSnapshot

if TYPE_CHECKING:
    from psycopg.sql import Composed

# indnullsnotdistinct exists since PostgreSQL 15. An exclusion constraint has operators of its own; those of a unique
# index are the ones for equality (strategy 3) of its operator classes.
UNIQUE_INDEXES = """
select x.relname, coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false), coalesce(o.condeferrable, false),
    array(select case when not i.indisexclusion then a.attname::text else '' end
          from generate_series(1, i.indnkeyatts) p
          left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[p - 1] and a.attnum > 0
          order by p),
    array(select pg_get_indexdef(i.indexrelid, p, true) from generate_series(1, i.indnkeyatts) p order by p),
    array(select format('operator(%I.%s)', e.nspname, r.oprname)
          from generate_series(1, i.indnkeyatts) p join pg_opclass s on s.oid = i.indclass[p - 1]
          join pg_operator r on r.oid = coalesce(o.conexclop[p], (
              select a.amopopr from pg_amop a where a.amopfamily = s.opcfamily and a.amopstrategy = 3
                  and a.amoplefttype = s.opcintype and a.amoprighttype = s.opcintype))
          join pg_namespace e on e.oid = r.oprnamespace order by p),
    pg_get_expr(i.indpred, i.indrelid, true)
from pg_index i join pg_class x on x.oid = i.indexrelid
left join pg_constraint o on o.conindid = x.oid and o.contype in ('p', 'u', 'x')
where i.indrelid = {} and (i.indisunique or i.indisexclusion) and i.indisvalid order by 1
"""


class UniqueIndex(Frozen):
    """A unique index, or the index of an exclusion constraint."""

    name: str
    nulls_equal: bool
    deferrable: bool
    """ON CONFLICT does not look at it, so a conflict ends the script."""
    columns: Sequence[str | None]
    """Their names; None for an expression, "" if they are compared by other operators than equality."""
    expressions: Sequence[str]
    operators: Sequence[str]
    predicate: str | None

    def is_key(self, pair: TablePair) -> bool:
        """Whether it is the key by which rows are paired, so that rows of one database alone cannot conflict by it."""
        return {*pair.key} == {*self.columns} and not any(
            table.columns[name].loose for table in (pair.live, pair.restored) for name in pair.key
        )

    def conflicting(
        self, snapshot: Snapshot, table: TableSnapshot, names: Sequence[str], rows: Sequence[Row]
    ) -> set[int]:
        """Return the places of the rows that conflict with another row of the table; raises Unreadable."""
        from psycopg import sql

        places = [sql.Identifier(f"c{index}") for index, _ in enumerate(names)]
        typed = [
            sql.SQL("k.{}::{} as {}").format(place, sql.SQL(table.columns[name].type), sql.Identifier(name))
            for place, name in zip(places, names, strict=True)
        ]
        values = [sql.SQL("{}::text[]").format(text_array(row[name] for row in rows)) for name in names]
        # The expressions name columns without their table, so each is evaluated where only one table is in sight.
        compared = sql.SQL(", ").join(
            sql.SQL("({}) as {}").format(sql.SQL(text), sql.Identifier(f"orderops {index}"))
            for index, text in enumerate(self.expressions)
        )
        where = sql.SQL("where {}").format(sql.SQL(self.predicate or "true"))
        conditions = [self._condition(index, operator) for index, operator in enumerate(self.operators)]
        query = sql.SQL(
            "select distinct w.{number} from (select {number}, {compared} from (select {typed}, k.{number}"
            " from unnest({values}) with ordinality k ({places}, {number})) r {where}) w"
            " join (select {compared} from {source} {where}) d on {conditions}"
        ).format(
            number=sql.Identifier("orderops row"),
            compared=compared,
            typed=sql.SQL(", ").join(typed),
            values=sql.SQL(", ").join(values),
            places=sql.SQL(", ").join(places),
            where=where,
            source=table.source,
            conditions=sql.SQL(" and ").join(conditions),
        )
        with snapshot.releasing_locks():
            return {number - 1 for (number,) in snapshot.rows(query)}

    def _condition(self, index: int, operator: str) -> Composed:
        from psycopg import sql

        name = sql.Identifier(f"orderops {index}")
        equal = sql.SQL("w.{} {} d.{}").format(name, sql.SQL(operator), name)
        if not self.nulls_equal:
            return equal
        return sql.SQL("({} or (w.{} is null and d.{} is null))").format(equal, name, name)


def unique_indexes(snapshot: Snapshot, pair: TablePair, table: TableSnapshot) -> list[UniqueIndex]:
    """Return the indexes by which a row of one database can conflict with another row of the table."""
    indexes = [UniqueIndex(*row) for row in snapshot.rows(UNIQUE_INDEXES.format(table.oid))]
    return [index for index in indexes if not index.is_key(pair)]


def conflicts(
    snapshot: Snapshot, part: tuple[TablePair, TableSnapshot], indexes: Sequence[UniqueIndex], rows: Sequence[Row]
) -> Iterator[tuple[Row, UniqueIndex]]:
    """Yield the rows that another row of the table conflicts with, with the index that finds the conflict."""
    pair, table = part
    for index in indexes:
        try:
            places = index.conflicting(snapshot, table, pair.columns, rows)
        except Unreadable:
            # The index has a column that the rows lack. The script itself still finds the conflict.
            continue
        yield from ((rows[place], index) for place in sorted(places))
