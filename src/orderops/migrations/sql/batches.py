"""Batches: change many rows in the order of a key, each batch in one transaction with its ledger entry.

So each row is changed once, even after an interruption, and no batch locks its rows much longer than `TARGET_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.migrations.sql.directives import Batch
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement, identifier, words_at_top
from orderops.text.durations import in_words

if TYPE_CHECKING:
    from psycopg import Connection

TARGET_SECONDS = 0.03
# A batch locks its rows until it commits, so this is the wait of a client that updates one of them.
# Below 50 rows the round trips and commits cost more than the rows.
SMALLEST_BATCH = 50
REST_RATIO = 1.0
# Seconds of pause for a second of work: half of the server's capacity is left to the application.


class Piecewise(Frozen):
    """A statement that can be limited to a range of keys."""

    schema: str
    table: str
    alias: str
    """The table's name or alias in the statement, as spelled in SQL."""
    key: str
    """The batch column, qualified by the alias."""
    before: str
    """The statement up to its WHERE."""
    condition: str

    def text(self, above: str | None, upto: str) -> str:
        """The statement for the rows above one key and up to another, both given as SQL literals."""
        lower = f" AND {self.key} > {above}" if above is not None else ""
        condition = f" AND ({self.condition}\n)" if self.condition else ""
        return f"{self.before}\nWHERE {self.key} <= {upto}{lower}{condition}"

    @property
    def relation(self) -> str:
        """The table, as spelled in SQL."""
        return identifier(self.schema, self.table)


def check_batch(file: SqlFile, script: Sequence[Statement]) -> Piecewise:
    """Parse the one statement of a file that runs in batches; raises UsageError for any other file."""
    batch = file.head.batch
    assert batch, "only for files with a batch directive"
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
        raise UsageError(f"{place}: batch cannot return rows", "remove it")
    if batch.name in [target.res_target.name for target in getattr(tree, "target_list", ())]:
        raise UsageError(
            f"{place}: it changes the batch column {batch.key}: some rows would be changed twice",
            "batch by another column that is NOT NULL and UNIQUE",
        )
    relation = tree.relation
    alias = identifier("", relation.alias.aliasname if relation.HasField("alias") else relation.relname)
    before, condition = _cut(statement.text)
    return Piecewise(relation.schemaname, relation.relname, alias, f"{alias}.{batch.key}", before, condition)


def _cut(text: str) -> tuple[str, str]:
    """Split a statement at its WHERE."""
    where = next(((start, end) for word, start, end in words_at_top(text) if word == "WHERE"), None)
    return (text[: where[0]], text[where[1] :]) if where else (text, "")


class Keys(Frozen):
    """The batch column of a table."""

    piecewise: Piecewise
    kind: str
    """Its type, as spelled in SQL."""

    def literal(self, value: str) -> str:
        """A key as an SQL literal."""
        return "'" + value.replace("'", "''") + f"'::{self.kind}"

    def next(self, connection: Connection, after: str | None, size: int) -> tuple[str, int] | None:
        """Last key and row count of the next batch; None at the end of the table."""
        key, relation, alias = self.piecewise.key, self.piecewise.relation, self.piecewise.alias
        beyond = f" WHERE {key} > {self.literal(after)}" if after is not None else ""
        rows = f"SELECT {key} AS k, row_number() OVER (ORDER BY {key}) AS n FROM {relation} AS {alias}"
        piece = f"{rows}{beyond} ORDER BY {key} LIMIT {size}"
        found = connection.execute(f"SELECT k::text, n FROM ({piece}) p ORDER BY n DESC LIMIT 1".encode()).fetchone()
        return (found[0], found[1]) if found else None


def keys_of(connection: Connection, piecewise: Piecewise, batch: Batch, place: str) -> Keys:
    """Read the batch column; raises OrderopsError if it is not unique and NOT NULL."""
    row = connection.execute(
        "select format_type(a.atttypid, a.atttypmod), a.attnotnull, exists (select from pg_index i"
        " where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null"
        " and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)"
        " from pg_attribute a where a.attrelid = to_regclass(%s) and a.attname = %s and a.attnum > 0"
        " and not a.attisdropped",
        [piecewise.relation, batch.name],
    ).fetchone()
    if row is None:
        raise OrderopsError(f"{place}: {piecewise.table} has no column {batch.key}", "the form is batch 5000 by COLUMN")
    kind, *unique = row
    if not all(unique):
        raise OrderopsError(
            f"{place}: {piecewise.table}.{batch.key} is not UNIQUE and NOT NULL: rows could be skipped or repeated",
            "batch by the primary key, or by another column that is NOT NULL and UNIQUE",
        )
    return Keys(piecewise, kind)


@dataclass
class Pace:
    """Size of the next batch, and the pause after each."""

    largest: int
    size: int

    @classmethod
    def beginning(cls, largest: int) -> Pace:
        # Start small: the cost of a row is not known yet.
        return cls(largest, min(SMALLEST_BATCH, largest))

    def after(self, seconds: float) -> float:
        """Adapt the size to the duration of the last batch; return the seconds to pause."""
        if seconds > TARGET_SECONDS:
            self.size = max(min(SMALLEST_BATCH, self.largest), int(self.size * max(0.5, TARGET_SECONDS / seconds)))
        elif seconds < TARGET_SECONDS / 2:
            self.size = min(self.largest, 2 * self.size)
        # A batch that waited for a row lock is no measure of the load, so its pause is limited.
        return min(seconds, 2 * TARGET_SECONDS) * REST_RATIO


class BatchLimits(Frozen):
    """Limits of the load on other sessions; a backfill pauses while one is exceeded."""

    replication_lag: float = 10.0
    """Longest lag of a replica, in seconds."""
    waiting: int = 10
    """Most sessions that wait for a lock."""

    def exceeded(self, monitor: Connection, own: Sequence[int]) -> str:
        """Describe the limit that is exceeded right now; empty if none is."""
        row = monitor.execute(
            "select (select coalesce(max(extract(epoch from replay_lag)), 0)::float8 from pg_stat_replication),"
            " (select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            " and pid <> all(%s))",
            [list(own)],
        ).fetchone()
        lag, waiting = row or (0.0, 0)
        if lag > self.replication_lag:
            return f"a replica is {lag:.0f} s behind (limit {self.replication_lag:.0f} s)"
        if waiting > self.waiting:
            return f"{waiting} sessions wait for locks (limit {self.waiting})"
        return ""


def estimate(connection: Connection, piecewise: Piecewise) -> int:
    """Estimated rows of the table; 0 if there are no statistics."""
    row = connection.execute(
        "select greatest(reltuples, 0)::bigint from pg_class where oid = to_regclass(%s)", [piecewise.relation]
    ).fetchone()
    return int(row[0]) if row else 0


@dataclass
class Rate:
    """Progress, rate and remaining time of a backfill."""

    total: int
    before: int = 0
    """Rows changed by an earlier run."""
    passed: int = 0
    began: float = 0.0

    def describe(self, changed: int) -> str:
        """Progress, rate and remaining time in words."""
        seconds = max(1e-3, time.monotonic() - self.began)
        rate = self.passed / seconds
        done = self.before + self.passed
        # The row count is an estimate, so 100 % could be shown too early.
        share = f"{min(99, 100 * done // self.total)} % of about {self.total:,} rows, " if self.total else ""
        left = max(0, self.total - done) / rate if rate and self.total else None
        remaining = f", about {in_words(left)} left" if left is not None else ""
        return f"{share}{changed:,} changed, {rate:,.0f} rows/s{remaining}"
