"""Data that a statement has removed, read from the catalogue after it ran: code in bodies and triggers cannot be read.

A statement that may run such code is compared with the state before it, in its transaction. Deleted rows are counted by
the server. Of a dropped table, a dropped column or a table that is now empty, nothing shows whether it held data, and
no other session can look, so the transaction is rolled back and run again with the table locked and checked first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.database.catalog import LEDGER_SCHEMA
from orderops.frozen import Frozen
from orderops.migrations.data_loss.analysis import AffectedData
from orderops.migrations.data_loss.check import Part, check_affected, check_parts, check_still_accepted, names_of
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

TABLES: LiteralString = """
select c.oid, c.relfilenode, c.oid::regclass::text, n.nspname::text, c.relname::text, pg_table_is_visible(c.oid),
    coalesce(pg_stat_get_xact_tuples_deleted(c.oid) - pg_stat_get_xact_tuples_inserted(c.oid), 0),
    (select coalesce(json_object_agg(attnum, attname), '{}') from pg_attribute
        where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''),
    array(select inhparent::int8 from pg_inherits where inhrelid = c.oid order by inhseqno)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname <> all(%s)
"""
OTHER_SCHEMAS = ["pg_catalog", "pg_toast", "information_schema", LEDGER_SCHEMA]
READABLE = frozenset(
    f"{kind}_stmt"
    for kind in [
        "alter_enum",
        "alter_object_schema",
        "alter_owner",
        "alter_seq",
        "alter_table",
        "comment",
        "composite_type",
        "create_domain",
        "create_enum",
        "create_function",
        "create_policy",
        "create_schema",
        "create_seq",
        "create",
        "create_trig",
        "drop",
        "grant",
        "grant_role",
        "index",
        "lock",
        "reindex",
        "rename",
        "rule",
        "variable_set",
        "variable_show",
        "view",
    ]
)
"""Kinds of statements that run no code but that of functions which they call by name."""
# The server has counted the deleted rows, so nothing is asked again.
HOLDS = "select true"


class LossSuspectedError(Exception):
    """A statement removed tables or columns unseen: roll back, and run the transaction again."""


class _Table(Frozen):
    """A table at one moment of a transaction."""

    storage: int
    """Number of its file; TRUNCATE gives it a new one."""
    text: str
    """As spelled in SQL."""
    schema: str
    name: str
    visible: bool
    deleted: int
    """Rows deleted less rows inserted by the session, as far as they are not yet in the server's statistics."""
    columns: Mapping[str, str]
    """Names of the columns that are not computed, by their numbers."""
    parents: Collection[int]

    @property
    def names(self) -> frozenset[str]:
        """Names that `--accept-data-loss` accepts for it."""
        return names_of(self.text, self.schema, self.name, visible=self.visible)


@dataclass
class LossGuard:
    """Stops an undo before its commit if a statement removed data of a table that is not in `accepted`."""

    connection: Connection
    other: Connection
    """A connection to the same database that sees what is committed."""
    file: SqlFile
    accepted: Collection[str]
    _suspected: dict[int, set[Part]] = field(default_factory=dict)
    """What a try that was rolled back had removed, by the position of the statement."""

    @contextmanager
    def around(self, statement: Statement, *, whole: bool = True) -> Iterator[None]:
        """Check a statement that runs inside the `with` block; raises LossSuspectedError or OrderopsError.

        `whole` is False for a batch: what can be read of its statement was checked before the first one.
        """
        place, left = f"{self.file.name}:{statement.line}", self._left
        looked_at: set[Part] = set()
        if whole:
            looked_at |= check_still_accepted(self.connection, self.file, statement, self.accepted, left)
        if not may_run_code(statement):
            yield
            return
        suspected = self._suspected.setdefault(statement.position, set())
        check_parts(self.connection, place, suspected, self.accepted, left)
        before = self._tables()
        yield
        after = self._tables()
        removed = set(self._removed(before, after))
        new = {part for part in removed if not self._is_known(part, looked_at | suspected, before)}
        # A partition that goes with its table is looked at with it.
        if new := self._older({part for part in new if not self._is_known(part, new - {part}, before)}):
            suspected |= new
            raise LossSuspectedError
        rows = self._older({(oid, "") for oid in _deleted(before, after)})
        deleted = [AffectedData(oid, [HOLDS], all_rows=False) for oid, _ in sorted(rows)]
        check_affected(self.connection, place, deleted, self.accepted, left)

    @property
    def _left(self) -> str:
        head = self.file.head
        alone = head.no_transaction or head.batch
        return "the statement was rolled back" if alone else f"nothing of {self.file.name} was undone"

    def _tables(self) -> dict[int, _Table]:
        rows = self.connection.execute(TABLES, [OTHER_SCHEMAS]).fetchall()
        return {row[0]: _Table(*row[1:9]) for row in rows}

    def _removed(self, before: Mapping[int, _Table], after: Mapping[int, _Table]) -> Iterator[Part]:
        """Tables that are gone or have new, empty storage, and columns that are gone."""
        for oid, table in before.items():
            now = after.get(oid)
            if now is None or (now.storage != table.storage and self._is_empty(oid)):
                yield oid, ""
            else:
                yield from ((oid, name) for number, name in table.columns.items() if number not in now.columns)

    def _is_empty(self, oid: int) -> bool:
        # Needs no privilege on the table, unlike reading it.
        row = self.connection.execute("select pg_relation_size(%s::oid) = 0", [oid]).fetchone()
        return bool(row and row[0])

    def _older(self, parts: Collection[Part]) -> set[Part]:
        """Leave out tables of this transaction: what they hold is the file's own."""
        rows = self.other.execute(
            "select oid from pg_class where oid = any(%s)", [[oid for oid, _ in parts]]
        ).fetchall()
        committed = {oid for (oid,) in rows}
        return {part for part in parts if part[0] in committed}

    def _is_known(self, part: Part, known: Collection[Part], tables: Mapping[int, _Table]) -> bool:
        """Whether the data, or that of the table it is a partition or child of, was looked at or may be lost."""
        oid, column = part
        return any(
            not {(number, ""), (number, column)}.isdisjoint(known) or not tables[number].names.isdisjoint(self.accepted)
            for number in _with_parents(oid, tables)
        )


def may_run_code(statement: Statement) -> bool:
    """Whether a statement may run a body, a function or a trigger."""
    return statement.kind not in READABLE or _calls(statement.tree)


def _calls(message: Any) -> bool:
    for part, value in message.ListFields():
        if part.type == part.TYPE_MESSAGE:
            for nested in value if part.is_repeated else [value]:
                if nested.DESCRIPTOR.name == "FuncCall" or _calls(nested):
                    return True
    return False


def _deleted(before: Mapping[int, _Table], after: Mapping[int, _Table]) -> list[int]:
    """Tables of which more rows were deleted than inserted; partitions count for their table, as rows may move."""
    counts = Counter[int]()
    for oid in before.keys() & after.keys():
        root = [*_with_parents(oid, before)][-1]
        counts[root] += after[oid].deleted - before[oid].deleted
    return sorted(oid for oid, count in counts.items() if count > 0)


def _with_parents(oid: int, tables: Mapping[int, _Table]) -> Iterator[int]:
    yield oid
    for parent in tables[oid].parents:
        if parent in tables:
            yield from _with_parents(parent, tables)
