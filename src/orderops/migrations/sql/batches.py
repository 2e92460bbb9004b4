"""Changing many rows in pieces: in the order of a key, each piece with its line in the ledger in one transaction.

So each row is changed once, wherever the run is cut; and no piece holds its rows for longer than `ASPIRED`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError, UsageError
from orderops.migrations.sql.directives import Batch
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement, identifier, words_at_top

if TYPE_CHECKING:
    from psycopg import Connection

ASPIRED = 0.03
"""Seconds that one piece should take: it holds its rows for so long, and whoever wants one of them waits."""
SMALLEST = 50
REST = 1.0
"""Seconds of pause for a second of work: the other half of the machine is the application's."""


@dataclass(frozen=True)
class Piecewise:
    """A statement with a place in it for the range of keys."""

    schema: str
    table: str
    alias: str
    """What the statement calls the table, as SQL spells it."""
    key: str
    """The column, as the statement may name it."""
    before: str
    """The statement up to its condition."""
    condition: str

    def text(self, above: str | None, upto: str) -> str:
        """The statement for the rows above one key and up to another, both as SQL spells them."""
        lower = f" AND {self.key} > {above}" if above is not None else ""
        condition = f" AND ({self.condition}\n)" if self.condition else ""
        return f"{self.before}\nWHERE {self.key} <= {upto}{lower}{condition}"

    @property
    def relation(self) -> str:
        """The table, as SQL spells it."""
        return identifier(self.schema, self.table)


def check_batch(file: SqlFile, script: Sequence[Statement]) -> Piecewise:
    """The one statement of a file that runs in batches; raises UsageError for any other file."""
    batch = file.head.batch
    assert batch, "asked of a file with a batch in its head"
    if len(script) != 1 or script[0].kind not in ("update_stmt", "delete_stmt"):
        raise UsageError(
            f"{file.path}: batch is for a file with one UPDATE or DELETE, this one holds {len(script)} statements"
            if len(script) != 1
            else f"{file.path}:{script[0].line}: batch is for an UPDATE or DELETE, this is {script[0].begins}",
            "put the UPDATE or DELETE into a file of its own",
        )
    statement = script[0]
    tree = statement.tree
    place = f"{file.path}:{statement.line}"
    if tree.HasField("with_clause"):
        raise UsageError(f"{place}: batch cannot cut a statement that begins with WITH", "write it as a subquery")
    if tree.HasField("returning_clause"):
        raise UsageError(f"{place}: RETURNING gives rows to nobody here", "take it out")
    if batch.name in [each.res_target.name for each in getattr(tree, "target_list", ())]:
        raise UsageError(
            f"{place}: it changes {batch.key}, by which its rows are passed: some would be done twice",
            "batch by another column that is NOT NULL and UNIQUE",
        )
    relation = tree.relation
    alias = identifier("", relation.alias.aliasname if relation.HasField("alias") else relation.relname)
    before, condition = _cut(statement.text)
    return Piecewise(relation.schemaname, relation.relname, alias, f"{alias}.{batch.key}", before, condition)


def _cut(text: str) -> tuple[str, str]:
    """What stands before the condition, and the condition."""
    where = next(((start, end) for word, start, end in words_at_top(text) if word == "WHERE"), None)
    return (text[: where[0]], text[where[1] :]) if where else (text, "")


@dataclass(frozen=True)
class Keys:
    """The column by which a table is passed."""

    piecewise: Piecewise
    kind: str
    """Its type, as SQL spells it."""

    def literal(self, value: str) -> str:
        """A key as SQL spells it."""
        return "'" + value.replace("'", "''") + f"'::{self.kind}"

    def next(self, connection: Connection, after: str | None, size: int) -> tuple[str, int] | None:
        """The key that ends the next piece, and the rows that it passes; None at the end of the table."""
        key, relation, alias = self.piecewise.key, self.piecewise.relation, self.piecewise.alias
        beyond = f" WHERE {key} > {self.literal(after)}" if after is not None else ""
        rows = f"SELECT {key} AS k, row_number() OVER (ORDER BY {key}) AS n FROM {relation} AS {alias}"
        piece = f"{rows}{beyond} ORDER BY {key} LIMIT {size}"
        found = connection.execute(f"SELECT k::text, n FROM ({piece}) p ORDER BY n DESC LIMIT 1".encode()).fetchone()
        return (found[0], found[1]) if found else None


def keys_of(connection: Connection, piecewise: Piecewise, batch: Batch, place: str) -> Keys:
    """The key of a table; raises OrderopsError where it does not tell every row from every other."""
    told = connection.execute(
        "select format_type(a.atttypid, a.atttypmod), a.attnotnull, exists (select from pg_index i"
        " where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null"
        " and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)"
        " from pg_attribute a where a.attrelid = to_regclass(%s) and a.attname = %s and a.attnum > 0"
        " and not a.attisdropped",
        [piecewise.relation, batch.name],
    ).fetchone()
    if told is None:
        raise OrderopsError(f"{place}: {piecewise.table} has no column {batch.key}", "the form is batch 5000 by COLUMN")
    kind, *unique = told
    if not all(unique):
        raise OrderopsError(
            f"{place}: {piecewise.table}.{batch.key} is not unique and NOT NULL: rows could be left out or done twice",
            "batch by the primary key, or by another column that is NOT NULL and UNIQUE",
        )
    return Keys(piecewise, kind)


@dataclass
class Pace:
    """How large the next piece is, and how long to rest after one."""

    most: int
    size: int

    @classmethod
    def beginning(cls, most: int) -> Pace:
        """Small at first: nobody knows yet what a row costs."""
        return cls(most, min(SMALLEST, most))

    def after(self, seconds: float) -> float:
        """Learn from a piece that took so long; answers the seconds to rest."""
        if seconds > ASPIRED:
            self.size = max(min(SMALLEST, self.most), int(self.size * max(0.5, ASPIRED / seconds)))
        elif seconds < ASPIRED / 2:
            self.size = min(self.most, 2 * self.size)
        return min(seconds, 2 * ASPIRED) * REST


@dataclass(frozen=True)
class BatchLimits:
    """What others may suffer while rows are changed in pieces."""

    replication_lag: float = 10.0
    """Seconds that a replica may be behind."""
    waiting: int = 10
    """Sessions that may wait for a lock."""

    def exceeded(self, eye: Connection, own: Sequence[int]) -> str:
        """What is over its limit right now; nothing when all is well."""
        told = eye.execute(
            "select (select coalesce(max(extract(epoch from replay_lag)), 0)::float8 from pg_stat_replication),"
            " (select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            " and pid <> all(%s))",
            [list(own)],
        ).fetchone()
        lag, waiting = told or (0.0, 0)
        if lag > self.replication_lag:
            return f"a replica is {lag:.0f} s behind (limit {self.replication_lag:.0f} s)"
        if waiting > self.waiting:
            return f"{waiting} sessions wait for locks (limit {self.waiting})"
        return ""


def estimate(connection: Connection, piecewise: Piecewise) -> int:
    """About how many rows the table has; 0 where nobody knows."""
    told = connection.execute(
        "select greatest(reltuples, 0)::bigint from pg_class where oid = to_regclass(%s)", [piecewise.relation]
    ).fetchone()
    return int(told[0]) if told else 0


@dataclass
class Rate:
    """How far, how fast, how much longer."""

    total: int
    before: int = 0
    """Rows that an earlier run did."""
    passed: int = 0
    began: float = 0.0

    def describe(self, changed: int) -> str:
        """Progress as an operator reads it."""
        seconds = max(1e-3, time.monotonic() - self.began)
        rate = self.passed / seconds
        done = self.before + self.passed
        share = f"{min(99, 100 * done // self.total)} % of about {self.total:,} rows, " if self.total else ""
        left = max(0, self.total - done) / rate if rate and self.total else None
        remaining = f", about {_minutes(left)} left" if left is not None else ""
        return f"{share}{changed:,} changed, {rate:,.0f} rows/s{remaining}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
