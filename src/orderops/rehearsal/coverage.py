"""Locks on tables without load: nothing ran there that could have waited, so their effect is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orderops.frozen import Frozen
from orderops.rehearsal.recorder import MODES, STRONG
from orderops.rehearsal.report import HeldLock, StatementReport
from orderops.rehearsal.workload import QueryGroup

if TYPE_CHECKING:
    from psycopg import Connection


class TableRef(Frozen):
    """A table by OID, and the partitioned table it belongs to: itself if it is not a partition."""

    number: int
    root: int
    root_name: str


def load_tables(connection: Connection) -> dict[str, TableRef]:
    """Every table, by name."""
    rows = connection.execute(
        "select c.oid::regclass::text, c.oid::int8, r.root::oid::int8, r.root::text from pg_class c"
        " cross join lateral (select coalesce(pg_partition_root(c.oid), c.oid::regclass) as root) r"
        " where c.relkind in ('r', 'p', 'm')"
    ).fetchall()
    return {name: TableRef(*rest) for name, *rest in rows}


class Coverage(Frozen):
    """Which tables the load covers, among those that existed before the first migration: new ones have no clients."""

    tables: Mapping[str, TableRef]
    families: Sequence[QueryGroup]

    def uncovered_locks(
        self, statements: Sequence[StatementReport], existing: Mapping[str, TableRef]
    ) -> list[tuple[int, HeldLock]]:
        """Strong locks on tables without a query that would have waited, each with the line that took it.

        `existing` holds the tables at the start of these statements.
        """
        known = {table.number for table in self.tables.values()}
        found = []
        for statement in statements:
            for lock in statement.locks:
                table = existing.get(lock.relation)
                if lock.mode not in STRONG or table is None or table.number not in known:
                    continue
                if not {table.number, table.root} & self._watched(lock.mode):
                    found.append((statement.line, HeldLock(table.root_name, lock.mode, lock.seconds)))
        return found

    def _watched(self, mode: str) -> set[int]:
        """OIDs of the tables with load that conflicts with a mode: any query, or only writes."""
        if mode == MODES[-1]:
            return {number for group in self.families for number in group.tables}
        writers = (group for group in self.families if group.query.kind == "writes")
        return {self.tables[name].number for writer in writers for name in writer.names if name in self.tables}
