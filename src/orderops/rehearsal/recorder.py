"""What each statement did: how long it took, what it locked until when, what it wrote anew, who waited meanwhile."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, LiteralString

from orderops.migrations.execution.observer import Observer
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement
from orderops.rehearsal.load import LoadProcess
from orderops.rehearsal.lock_sampler import EVERY, Sampler
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
"""The strongest last."""
STRONG = MODES[MODES.index("ShareLock") :]
"""Those beside which nobody writes."""
NOTED = 0.02
"""Seconds from which a wait is told of a statement."""
SLACK = 0.005
"""Seconds by which two clocks of one machine may be read apart."""
GAUGE: LiteralString = """
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


@dataclass(frozen=True)
class Gauge:
    """How much there is, and what a session holds."""

    at: float
    wal: int
    size: int
    files: Mapping[int, int]
    """The file of each table and index, by its number."""
    locks: frozenset[tuple[int, str]]


def gauge(connection: Connection, tables: Sequence[int]) -> Gauge:
    """Look now, as this session sees it."""
    row = connection.execute(GAUGE, {"tables": list(tables)}).fetchone()
    assert row, "one row always"
    wal, size, numbers, files, relations, modes = row
    return Gauge(
        time.monotonic(),
        wal,
        size,
        dict(zip(numbers, files, strict=True)),
        frozenset(zip(relations, modes, strict=True)),
    )


@dataclass(frozen=True)
class Relations:
    """What is there before a file, by number: nobody else knows what it makes."""

    touched: Sequence[int]
    """The tables that its statements name."""
    names: Mapping[int, str]
    """Of every table and index."""
    indexes: frozenset[int]


def relations(connection: Connection, touched: Sequence[int]) -> Relations:
    """What is there now."""
    rows = connection.execute(
        "select c.oid::int8, c.oid::regclass::text, c.relkind in ('i', 'I') from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm', 'i', 'I')"
        " and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'orderops')"
    ).fetchall()
    indexes = frozenset(number for number, _, index in rows if index)
    return Relations(list(touched), {number: name for number, name, _ in rows}, indexes)


@dataclass
class StatementTiming:
    """One statement, over all tries and pieces of it."""

    statement: Statement
    began: datetime
    seconds: float = 0.0
    tries: int = 0
    wal: int = 0
    size: int = 0
    rewritten: set[str] = field(default_factory=set)
    locks: dict[str, HeldLock] = field(default_factory=dict)


@dataclass
class Span:
    """A time in which locks may be held: a transaction, or a statement that runs in none."""

    begin: float
    end: float = float("inf")
    statements: list[tuple[float, int]] = field(default_factory=list)
    """When which statement began, by its place in the file."""
    taken: list[tuple[int, int, str]] = field(default_factory=list)
    """Which statement took which lock on what."""


class Recorder(Observer):
    """Writes down one file under way."""

    def __init__(self, sampler: Sampler, before: Gauge, relations: Relations, wal_rate: float) -> None:
        self._sampler = sampler
        self._relations = relations
        self._wal_rate = wal_rate
        self._before = before
        self.runs: dict[int, StatementTiming] = {}
        self.spans: list[Span] = []
        self._open: Span | None = None
        self._running: StatementTiming | None = None
        self._in_pieces: StatementTiming | None = None
        self._begun = 0.0
        self._taken: list[tuple[StatementTiming, int, str, float]] = []
        """Locks of the open transaction: whose, on what, how, since when."""
        sampler.forget()

    def begins(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """See Observer."""
        run = self.runs.setdefault(statement.position, StatementTiming(statement, datetime.now(UTC)))
        if self._running is run:
            return
        now = time.monotonic()
        if self._open is None:
            self._open = Span(now)
            self.spans.append(self._open)
        self._open.statements.append((now, statement.position))
        self._running, self._begun = run, now
        run.tries = 1 if file.head.batch else run.tries + 1

    def ended(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """See Observer."""
        import psycopg

        now = time.monotonic()
        run = self.runs[statement.position]
        self._running = None
        taken = now - self._begun
        run.seconds = run.seconds + taken if file.head.batch else taken
        alone = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if alone:
            self._settle(now)
        if file.head.batch:
            self._in_pieces = run
            return  # a gauge for each piece would be a load of its own
        after = gauge(connection, self._relations.touched)
        self.measure(run, after)
        if not alone:
            for relation, mode in after.locks - {(number, mode) for _, number, mode, _ in self._taken}:
                self._taken.append((run, relation, mode, self._seen(relation, mode, now)))

    def settled(self) -> None:
        """See Observer."""
        self._settle(time.monotonic())

    def measure(self, run: StatementTiming, after: Gauge) -> None:
        """What has changed since the last look is this statement's doing."""
        before, self._before = self._before, after
        calm = self._wal_rate * (after.at - before.at)
        run.wal = max(0, round(after.wal - before.wal - calm))
        run.size = after.size - before.size
        run.rewritten |= {
            self._relations.names[number]
            for number, file in after.files.items()
            if number in before.files and before.files[number] != file and number in self._relations.names
        }

    def close(self, after: Gauge) -> None:
        """The file is done: what ran in pieces is measured as a whole."""
        if self._in_pieces:
            self.measure(self._in_pieces, after)

    def _settle(self, now: float) -> None:
        if self._open is None:
            return
        self._open.end = now
        held = self._sampler.forget()
        for run, relation, mode, since in self._taken:
            self._open.taken.append((run.statement.position, relation, mode))
            self._hold(run, relation, mode, now - since)
        if not self._taken:
            self._hold_as_seen(held, now)
        self._open, self._running, self._taken = None, None, []

    def _hold_as_seen(self, held: Mapping[tuple[int, str], tuple[float, float]], now: float) -> None:
        """In no transaction, or in one that was given up, only what was seen is known."""
        assert self._open, "called while it is"
        run = self.runs[self._open.statements[-1][1]]
        for (relation, mode), (first, last) in held.items():
            self._hold(run, relation, mode, min(now, last + EVERY) - max(first, self._open.begin))

    def _seen(self, relation: int, mode: str, now: float) -> float:
        """Since when the statement that has just ended holds a lock."""
        if seen := self._sampler.held.get((relation, mode)):
            return max(self._begun, seen[0])
        return self._begun if now - self._begun <= 3 * EVERY else now

    def _hold(self, run: StatementTiming, relation: int, mode: str, seconds: float) -> None:
        name = self._relations.names.get(relation)
        if name is None or relation in self._relations.indexes or mode not in MODES:
            return
        before = run.locks.get(name)
        if before is None or MODES.index(mode) > MODES.index(before.mode):
            run.locks[name] = HeldLock(name, mode, seconds)
        elif before.mode == mode:
            run.locks[name] = HeldLock(name, mode, max(seconds, before.seconds))


def statement_reports(recorder: Recorder, traffic: LoadProcess, sampler: Sampler) -> list[StatementReport]:
    """Every statement of a file in its order, with the longest that each family waited because of it."""
    stalls = stalls_of(recorder, traffic, sampler)
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
        for position, run in sorted(recorder.runs.items())
    ]


def stalls_of(recorder: Recorder, traffic: LoadProcess, sampler: Sampler) -> dict[int, list[Stall]]:
    """The longest that each family waited at each statement, by its place in the file; the longest first.

    A wait counts for the statement that took the lock, even where that was held on while others ran; one that lasts
    into the next transaction counts for that as well, from its beginning on.
    """
    spans = recorder.spans
    worst: dict[int, dict[int, Stall]] = {}
    begins, ends = [span.begin for span in spans], [span.end for span in spans]
    for call in traffic.calls:
        for span in spans[bisect_left(ends, call.due) : bisect_right(begins, call.answered)]:
            since = max(call.due, span.begin)
            seconds = call.answered - since
            place = _at(span, since, traffic.families[call.family])
            found = worst.setdefault(place, {})
            if seconds >= NOTED and (call.family not in found or seconds > found[call.family].seconds):
                line = recorder.runs[place].statement.line
                for_lock = sampler.waited(call.family, since, call.answered)
                found[call.family] = Stall(traffic.families[call.family].name, seconds, line, for_lock)
    return {place: sorted(found.values(), key=lambda each: -each.seconds) for place, found in worst.items()}


def _at(span: Span, since: float, family: QueryGroup) -> int:
    """The statement that keeps a family out from a time on: the last to lock what it needs, or that which runs then.

    What it needs beside its own tables, as those that a foreign key refers to, is not known: then any lock counts.
    """
    begun = [place for at, place in span.statements if at <= since + SLACK] or [span.statements[0][1]]
    strong = STRONG if family.query.kind == "writes" else MODES[-1:]
    taken = [(place, relation) for place, relation, mode in span.taken if mode in strong]
    own = {place for place, relation in taken if relation in family.tables}
    keeps_out = own or {place for place, _ in taken}
    return next((place for place in reversed(begun) if place in keeps_out), begun[-1])
