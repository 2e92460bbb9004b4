"""What each statement did: its duration, the locks it held and for how long, what it rewrote, and who waited."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, LiteralString

from orderops.database.catalog import USER_SCHEMAS
from orderops.frozen import Frozen
from orderops.migrations.execution.observer import Observer
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement
from orderops.rehearsal.load import LoadProcess
from orderops.rehearsal.lock_sampler import INTERVAL, LockSampler
from orderops.rehearsal.report import HeldLock, Stall, StatementReport
from orderops.rehearsal.workload import QueryGroup

if TYPE_CHECKING:
    from psycopg import Connection

MODES = (
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""Weakest first."""
STRONG = MODES[MODES.index("ShareLock") :]
"""Modes that conflict with writes."""
REPORTED_FROM = 0.02
"""Seconds from which a wait is reported for a statement."""
# Seconds. Two processes read the same clock at slightly different moments.
CLOCK_TOLERANCE = 0.005
MEASUREMENT: LiteralString = """
with recursive mine(oid, relkind) as (
    select c.oid, c.relkind from pg_class c where c.oid = any(%(tables)s::oid[])
    union select c.oid, c.relkind from mine
    join pg_inherits h on h.inhparent = mine.oid join pg_class c on c.oid = h.inhrelid
), every as (
    select oid, relkind from mine union
    select c.oid, c.relkind from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid in (select oid from mine))
select (pg_current_wal_insert_lsn() - '0/0')::int8,
    (select coalesce(sum(pg_total_relation_size(oid)), 0)::int8 from mine where relkind <> 'p'),
    (select coalesce(array_agg(oid::int8 order by oid), '{}') from every),
    (select coalesce(array_agg(coalesce(pg_relation_filenode(oid), 0)::int8 order by oid), '{}') from every),
    (select coalesce(array_agg(relation::int8 order by relation, mode), '{}') from pg_locks
        where pid = pg_backend_pid() and granted and locktype = 'relation'),
    (select coalesce(array_agg(mode order by relation, mode), '{}') from pg_locks
        where pid = pg_backend_pid() and granted and locktype = 'relation')
"""


class Measurement(Frozen):
    """WAL position, size and files of some tables, and the locks of a session, at one moment."""

    at: float
    wal: int
    size: int
    files: Mapping[int, int]
    """The file node of each table and index, by OID: another one means that it was rewritten."""
    locks: frozenset[tuple[int, str]]


def measure(connection: Connection, tables: Sequence[int]) -> Measurement:
    """Measure now, as this session sees it."""
    row = connection.execute(MEASUREMENT, {"tables": list(tables)}).fetchone()
    assert row, "the query always returns one row"
    wal, size, numbers, files, relations, modes = row
    return Measurement(
        time.monotonic(),
        wal,
        size,
        dict(zip(numbers, files, strict=True)),
        frozenset(zip(relations, modes, strict=True)),
    )


class Relations(Frozen):
    """Tables and indexes that exist before a file is applied, by OID; what the file creates has no clients yet."""

    touched: Sequence[int]
    """Tables that the statements name."""
    names: Mapping[int, str]
    """Names of every table and index."""
    indexes: frozenset[int]


def relations(connection: Connection, touched: Sequence[int]) -> Relations:
    """Load the tables and indexes that exist now."""
    rows = connection.execute(
        "select c.oid::int8, c.oid::regclass::text, c.relkind in ('i', 'I') from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm', 'i', 'I') and "
        + USER_SCHEMAS
    ).fetchall()
    indexes = frozenset(number for number, _, index in rows if index)
    return Relations(list(touched), {number: name for number, name, _ in rows}, indexes)


@dataclass
class StatementTiming:
    """One statement, over all of its tries or batches."""

    statement: Statement
    began: datetime
    seconds: float = 0.0
    tries: int = 0
    wal: int = 0
    size: int = 0
    rewritten: set[str] = field(default_factory=set)
    locks: dict[str, HeldLock] = field(default_factory=dict)


@dataclass
class LockSpan:
    """A period in which locks may be held: a transaction, or a statement outside of one."""

    begin: float
    end: float = float("inf")
    statements: list[tuple[float, int]] = field(default_factory=list)
    """When each statement began, by its position in the file."""
    taken: list[tuple[int, int, str]] = field(default_factory=list)
    """Position of a statement, and the relation and mode of a lock that it took."""


class Recorder(Observer):
    """Records the statements of one file as they run."""

    def __init__(self, sampler: LockSampler, before: Measurement, relations: Relations, wal_rate: float) -> None:
        self._sampler = sampler
        self._relations = relations
        self._wal_rate = wal_rate
        self._before = before
        self.timings: dict[int, StatementTiming] = {}
        self.spans: list[LockSpan] = []
        self._open: LockSpan | None = None
        self._running: StatementTiming | None = None
        self._in_pieces: StatementTiming | None = None
        self._began = 0.0
        self._taken: list[tuple[StatementTiming, int, str, float]] = []
        """Locks of the open transaction: statement, relation, mode, since when."""
        sampler.take_held()

    def begins(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """See Observer."""
        run = self.timings.setdefault(statement.position, StatementTiming(statement, datetime.now(UTC)))
        if self._running is run:
            return
        now = time.monotonic()
        if self._open is None:
            self._open = LockSpan(now)
            self.spans.append(self._open)
        self._open.statements.append((now, statement.position))
        self._running, self._began = run, now
        run.tries = 1 if file.head.batch else run.tries + 1

    def ended(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """See Observer."""
        import psycopg

        now = time.monotonic()
        run = self.timings[statement.position]
        self._running = None
        taken = now - self._began
        run.seconds = run.seconds + taken if file.head.batch else taken
        in_no_transaction = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if in_no_transaction:
            self._close_span(now)
        if file.head.batch:
            self._in_pieces = run
            # Measuring each batch would be a load of its own; `close` measures them together.
            return
        after = measure(connection, self._relations.touched)
        self.add_measurement(run, after)
        if not in_no_transaction:
            for relation, mode in after.locks - {(number, mode) for _, number, mode, _ in self._taken}:
                self._taken.append((run, relation, mode, self._locked_since(relation, mode, now)))

    def settled(self) -> None:
        """See Observer."""
        self._close_span(time.monotonic())

    def add_measurement(self, run: StatementTiming, after: Measurement) -> None:
        """Attribute what changed since the last measurement to this statement."""
        before, self._before = self._before, after
        # The load writes WAL as well, at the rate that it had before the migration.
        by_load = self._wal_rate * (after.at - before.at)
        run.wal = max(0, round(after.wal - before.wal - by_load))
        run.size = after.size - before.size
        run.rewritten |= {
            self._relations.names[number]
            for number, file in after.files.items()
            if number in before.files and before.files[number] != file and number in self._relations.names
        }

    def close(self, after: Measurement) -> None:
        """Measure a statement that ran in batches, once the file is done."""
        if self._in_pieces:
            self.add_measurement(self._in_pieces, after)

    def _close_span(self, now: float) -> None:
        if self._open is None:
            return
        self._open.end = now
        held = self._sampler.take_held()
        for run, relation, mode, since in self._taken:
            self._open.taken.append((run.statement.position, relation, mode))
            self._add_lock(run, relation, mode, now - since)
        if not self._taken:
            self._add_sampled_locks(held, now)
        self._open, self._running, self._taken = None, None, []

    def _add_sampled_locks(self, held: Mapping[tuple[int, str], tuple[float, float]], now: float) -> None:
        """Without a transaction, or after a rollback, only sampled locks are known."""
        assert self._open, "called while a span is open"
        run = self.timings[self._open.statements[-1][1]]
        for (relation, mode), (first, last) in held.items():
            self._add_lock(run, relation, mode, min(now, last + INTERVAL) - max(first, self._open.begin))

    def _locked_since(self, relation: int, mode: str, now: float) -> float:
        """Since when the statement that has just ended has held a lock."""
        if seen := self._sampler.held.get((relation, mode)):
            return max(self._began, seen[0])
        # A lock of a short statement may fall between two samples.
        return self._began if now - self._began <= 3 * INTERVAL else now

    def _add_lock(self, run: StatementTiming, relation: int, mode: str, seconds: float) -> None:
        name = self._relations.names.get(relation)
        if name is None or relation in self._relations.indexes or mode not in MODES:
            return
        before = run.locks.get(name)
        if before is None or MODES.index(mode) > MODES.index(before.mode):
            run.locks[name] = HeldLock(name, mode, seconds)
        elif before.mode == mode:
            run.locks[name] = HeldLock(name, mode, max(seconds, before.seconds))


def statement_reports(recorder: Recorder, load: LoadProcess, sampler: LockSampler) -> list[StatementReport]:
    """Every statement of a file in order, with the longest wait of each query group that it caused."""
    stalls = stalls_of(recorder, load, sampler)
    return [
        StatementReport(
            run.statement.line,
            run.statement.begins,
            run.seconds,
            tuple(run.locks.values()),
            tuple(sorted(run.rewritten)),
            run.wal,
            run.size,
            tuple(stalls.get(position, ())),
            run.tries,
            run.began,
        )
        for position, run in sorted(recorder.timings.items())
    ]


def stalls_of(recorder: Recorder, load: LoadProcess, sampler: LockSampler) -> dict[int, list[Stall]]:
    """The longest wait of each query group at each statement, by position in the file; longest first.

    A wait counts for the statement that took the lock, even if later statements ran while it was held. A wait that
    lasts into the next transaction counts for that one as well, from its beginning on.
    """
    spans = recorder.spans
    worst: dict[int, dict[int, Stall]] = {}
    begins, ends = [span.begin for span in spans], [span.end for span in spans]
    for query in load.slow_queries:
        for span in spans[bisect_left(ends, query.due) : bisect_right(begins, query.answered)]:
            since = max(query.due, span.begin)
            seconds = query.answered - since
            group = load.families[query.family]
            position = _blocking_statement(span, since, group)
            stalls = worst.setdefault(position, {})
            if seconds >= REPORTED_FROM and (query.family not in stalls or seconds > stalls[query.family].seconds):
                line = recorder.timings[position].statement.line
                for_lock = sampler.waited(query.family, since, query.answered)
                stalls[query.family] = Stall(group.name, seconds, line, for_lock)
    return {position: sorted(stalls.values(), key=lambda stall: -stall.seconds) for position, stalls in worst.items()}


def _blocking_statement(span: LockSpan, since: float, group: QueryGroup) -> int:
    """Position of the statement that blocks a query group from a time on: the last that locked one of its tables.

    A group may need more tables than it names, such as those that a foreign key refers to. So if none of its tables is
    locked, any strong lock counts; and without one, the statement that runs at that time.
    """
    begun = [position for at, position in span.statements if at <= since + CLOCK_TOLERANCE]
    begun = begun or [span.statements[0][1]]
    strong = STRONG if group.query.kind == "writes" else MODES[-1:]
    taken = [(position, relation) for position, relation, mode in span.taken if mode in strong]
    own = {position for position, relation in taken if relation in group.tables}
    blocking = own or {position for position, _ in taken}
    return next((position for position in reversed(begun) if position in blocking), begun[-1])
