"""What was locked where nobody asked: there no wait could be seen, and so nothing is known of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderops.rehearsal.recorder import MODES, STRONG
from orderops.rehearsal.report import HeldLock, StatementReport
from orderops.rehearsal.workload import QueryGroup

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True)
class TableRef:
    """A table that is there, and the one that it is a partition of: itself where it is none."""

    number: int
    root: int
    root_name: str


def places(connection: Connection) -> dict[str, TableRef]:
    """Every table by its name."""
    rows = connection.execute(
        "select c.oid::regclass::text, c.oid::int8, r.root::oid::int8, r.root::text from pg_class c"
        " cross join lateral (select coalesce(pg_partition_root(c.oid), c.oid::regclass) as root) r"
        " where c.relkind in ('r', 'p', 'm')"
    ).fetchall()
    return {name: TableRef(*rest) for name, *rest in rows}


@dataclass(frozen=True)
class UncoveredTables:
    """Compares with what was there before the first migration: what is new, nobody asks for yet."""

    first: Mapping[str, TableRef]
    families: Sequence[QueryGroup]

    def among(self, statements: Sequence[StatementReport], there: Mapping[str, TableRef]) -> list[tuple[int, HeldLock]]:
        """The locks beside which no query went on that would have waited, each with the line that took it.

        `there` is what was there when the first of these statements began.
        """
        known = {each.number for each in self.first.values()}
        found = []
        for statement in statements:
            for lock in statement.locks:
                place = there.get(lock.relation)
                if lock.mode not in STRONG or place is None or place.number not in known:
                    continue
                if not {place.number, place.root} & self._watched(lock.mode):
                    found.append((statement.line, HeldLock(place.root_name, lock.mode, lock.seconds)))
        return found

    def _watched(self, mode: str) -> set[int]:
        """The tables on which somebody would have waited: beside most locks, only who writes."""
        if mode == MODES[-1]:
            return {number for group in self.families for number in group.tables}
        writers = (group for group in self.families if group.query.kind == "writes")
        return {self.first[name].number for writer in writers for name in writer.names if name in self.first}
