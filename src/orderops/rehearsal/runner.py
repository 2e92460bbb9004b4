"""The rehearsal: what is pending is applied to a copy under traffic, undone, and applied again behind a holder.

The copy is disposable: everything may be done to it, and wherever a rehearsal is cut there is nothing to mend.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orderops import __version__
from orderops.database.connection import Login
from orderops.errors import Interrupted, OrderopsError
from orderops.migrations import migrator
from orderops.migrations.data_loss.check import losses
from orderops.migrations.schema_snapshot import differences, digest_of, schema_lines, thing_of
from orderops.migrations.sql.files import Migration
from orderops.migrations.sql.validation import checked
from orderops.rehearsal.blocking_session import BlockingSession
from orderops.rehearsal.canaries import read_canaries
from orderops.rehearsal.coverage import UncoveredTables, places
from orderops.rehearsal.harness import PATIENCE, Harness, OnHarnessWait, looking, open_harness
from orderops.rehearsal.queries import Query
from orderops.rehearsal.recorder import statement_reports
from orderops.rehearsal.regressions import Watchdog
from orderops.rehearsal.report import (
    BrokenQuery,
    HeldLock,
    MigrationReport,
    QueryGroupReport,
    Report,
    Stall,
    StatementReport,
    UndoReport,
    WorstCase,
)
from orderops.rehearsal.schema_dump import schema_dump
from orderops.rehearsal.suggestions import safe_way
from orderops.rehearsal.verdict import Evaluator, failing, overall, span, unseen, worse
from orderops.rehearsal.workload import workload_for

if TYPE_CHECKING:
    from psycopg import Connection

HELD = timedelta(seconds=30)
IN_ALL = 3
"""Times as long as one transaction stays open, all of them may, however many migrations there are."""
CALM = timedelta(seconds=3)
OLD = 0.1
"""Seconds after which a transaction is no passing one."""
BEHIND = ", behind a transaction that stays open"


def rehearse(
    copy: Login,
    migrations: Sequence[Migration],
    *,
    queries: Sequence[Query] = (),
    canaries: Sequence[Query] | None = None,
    holder: timedelta = HELD,
    seconds_before: float = CALM.total_seconds(),
    watch: OnHarnessWait = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Apply what is pending to a copy that may be ruined, and say what it would do to those who use the original.

    `queries` is what the original is asked, as `queries_of` tells; `canaries` stand beside the migrations where none
    are given. Raises OrderopsError where nothing is pending, where apply would refuse, or where the copy goes away.
    """
    started, began = datetime.now(UTC), time.monotonic()
    if canaries is None:
        canaries = read_canaries(migrations[0].forwards.path.parent) if migrations else []
    with looking(copy) as eye:
        pending = [line.migration for line in migrator.plan(migrator.overview(eye, migrations)) if line.migration]
        if not pending:
            raise OrderopsError(f"nothing is pending on {copy.describe}", "how it stands: orderops migrate info")
        told = workload_for(eye, [each.forwards for each in pending], canaries, queries)
        known = {group.query.name for group in told.families}
        kept_up = [canary for canary in canaries if canary.name in known]
        prints = {each.fingerprint for each in kept_up}
        asked = [*kept_up, *(query for query in queries if query.fingerprint not in prints)]
        before, (dumped, no_dump) = schema_lines(eye), schema_dump(copy)
        with open_harness(copy, eye, told, watch) as stage:
            play = _Rehearsal(stage, migrations, say, asked=asked, live=bool(queries), notes=list(told.notes))
            calm = stage.calm(seconds_before)
            play.judge = Evaluator(told.families, calm)
            play.look_at_calm()
            play.apply(pending, before)
            play.undo()
            dump = (no_dump or _compared(dumped, copy)) if play.undone else ""
            play.apply_again(holder.total_seconds())
        watch("rehearsal", "")
        families = [
            QueryGroupReport(group.name, group.query.text, group.rate, calm[group.name], str(group.query.origin))
            for group in told.families
        ]
        return Report(
            started,
            time.monotonic() - began,
            __version__,
            eye.info.parameter_status("server_version") or "",
            digest_of(before),
            next((report.schema_after for report in reversed(play.reports) if report.schema_after), digest_of(before)),
            overall(play.reports),
            tuple(play.reports),
            tuple(families),
            dump,
            tuple(play.notes),
        )


@dataclass
class _Rehearsal:
    """A rehearsal under way: a report for each migration, completed as it goes."""

    stage: Harness
    migrations: Sequence[Migration]
    say: Callable[[str], None]
    asked: Sequence[Query]
    live: bool
    notes: list[str]
    judge: Evaluator = field(default_factory=lambda: Evaluator((), {}))
    reports: list[MigrationReport] = field(default_factory=list)
    _schemas: list[Sequence[str]] = field(default_factory=list)
    """Before the first migration, and after each."""
    _left: set[str] = field(default_factory=set)
    """What undos have left otherwise than it was."""

    def __post_init__(self) -> None:
        self._watchdog = Watchdog(self.stage, self.asked, live=self.live)
        self._unseen = UncoveredTables(places(self.stage.eye), self.stage.told.families)

    def look_at_calm(self) -> None:
        """What fails while nothing was done says nothing of a migration."""
        if not self.stage.told.families:
            self.notes.append("no query went on beside it, so nobody could be seen to wait")
        for name, why in self._watchdog.already_failing():
            self.notes.append(f"{name!r} fails before anything is done: {why}")

    def apply(self, pending: Sequence[Migration], before: Sequence[str]) -> None:
        """Each migration in its turn, as far as they go."""
        self._schemas = [before]
        for number, migration in enumerate(pending):
            self.stage.watch("rehearsal", f"applies {migration.name}, {number + 1} of {len(pending)}")
            report = self._apply(migration)
            self.reports.append(report)
            self.say(f"{migration.name}: {report.verdict.sentence}")
            if report.failed:
                left = [
                    _report(each, failed=f"not tried, since {migration.name} fails") for each in pending[number + 1 :]
                ]
                self.reports += left
                return

    def undo(self) -> None:
        """Each again in reverse, with a look at whether it leaves anything behind."""
        if any(report.failed for report in self.reports):
            self.notes.append("nothing was undone, and nothing applied again, since not everything could be applied")
            return
        for number in reversed(range(len(self.reports))):
            report = self.reports[number]
            self.stage.watch("rehearsal", f"undoes {report.file}")
            undone = self._undo(self._of(report), self._schemas[number])
            self.reports[number] = replace(report, undo=undone)
            if undone.failed:
                self._skip_undo(number, f"not tried, since {report.file} cannot be undone")
                return

    @property
    def undone(self) -> bool:
        """Whether every one of them was."""
        return all(report.undo and not report.undo.failed for report in self.reports)

    def apply_again(self, seconds: float) -> None:
        """Each once more, while somebody who used its tables leaves a transaction open."""
        undone = [report for report in self.reports if report.undo and not report.undo.failed]
        if not undone:
            return
        held = min(seconds, IN_ALL * seconds / len(undone))
        failed = ""
        for number, report in enumerate(self.reports):
            if report not in undone:
                continue
            if failed:
                self.reports[number] = replace(report, worst_case=WorstCase(failed=f"not tried, since {failed} fails"))
                continue
            worst = self._behind_holder(report, held)
            failed = report.file if worst.failed else ""
            verdict = self.judge.of(worst.stalls, where=BEHIND)
            both = worse(report.verdict, verdict) if verdict.holds_up else report.verdict
            self.reports[number] = replace(report, worst_case=worst, verdict=both)

    def _apply(self, migration: Migration) -> MigrationReport:
        there = places(self.stage.eye)
        began = time.monotonic()
        failed = ""
        with self.stage.recorded(migration.forwards) as (carrier, recorder):
            try:
                done = list(migrator.apply(carrier, self.migrations, to=migration.version))
                assert done, f"{migration.name} was pending"
            except Interrupted:
                raise
            except OrderopsError as error:
                failed = error.message
            seconds = time.monotonic() - began
        self.stage.check()
        statements = tuple(statement_reports(recorder, self.stage.traffic, self.stage.sampler))
        broken = tuple(self._watchdog.broken(began))
        unwatched = self._unseen.among(statements, there)
        self.notes += self._watchdog.notes(migration.name)
        if named := ", ".join(sorted({lock.relation for _, lock in unwatched})):
            self.notes.append(f"{migration.name} locks {named}, on which no query went on that would wait")
        after = schema_lines(self.stage.eye)
        self._schemas.append(after)
        return self._judged(_report(migration, failed, seconds, digest_of(after), statements, broken), unwatched)

    def _judged(self, report: MigrationReport, unwatched: Sequence[tuple[int, HeldLock]]) -> MigrationReport:
        """What failed gets no advice: that would fail as well."""
        if report.failed:
            return replace(report, verdict=failing(report.failed))
        stalls = [stall for statement in report.statements for stall in statement.stalls]
        verdict = self.judge.of(stalls, report.broken)
        if not verdict.holds_up:
            verdict = unseen(lock for _, lock in unwatched) or verdict
        if not verdict.holds_up:
            return replace(report, verdict=verdict)
        lines = {stall.line for stall in stalls if self.judge.counts(stall)}
        lines |= {line for line, lock in unwatched if unseen([lock])}
        return replace(report, verdict=verdict, advice=safe_way(self.migrations, self._of(report), lines))

    def _undo(self, migration: Migration, before: Sequence[str]) -> UndoReport:
        lost = tuple(loss.describe for loss in losses(self.stage.eye, [(migration.back, checked(migration.back))]))
        accepted = _every_table(self.stage.eye)
        began = time.monotonic()
        failed = ""
        with self.stage.recorded(migration.back) as (carrier, recorder):
            try:
                list(migrator.undo(carrier, self.migrations, accepted=accepted))
            except Interrupted:
                raise
            except OrderopsError as error:
                failed = error.message
            seconds = time.monotonic() - began
        self.stage.check()
        stalls = _stalls(statement_reports(recorder, self.stage.traffic, self.stage.sampler))
        return UndoReport(seconds, lost, () if failed else self._left_by_undo(before), stalls, failed)

    def _left_by_undo(self, before: Sequence[str]) -> tuple[str, ...]:
        """What it leaves, beside what those before it have left already."""
        found = differences(before, schema_lines(self.stage.eye))
        new = [each for each in found if thing_of(each) not in self._left]
        self._left.update(map(thing_of, new))
        return tuple(new)

    def _skip_undo(self, above: int, why: str) -> None:
        for number, report in enumerate(self.reports[:above]):
            self.reports[number] = replace(report, undo=UndoReport(failed=why))

    def _behind_holder(self, report: MigrationReport, held: float) -> WorstCase:
        migration = self._of(report)
        locked = {lock.relation for statement in report.statements for lock in statement.locks}
        tables = self.stage.touched(migration.forwards, locked)
        held = held if tables else 0.0
        kept = [row for group in self.stage.told.families for row in group.rows]
        still = f", while a transaction stays open for {span(held)}" if held else ""
        self.stage.watch("rehearsal", f"applies {migration.name} again{still}")
        failed = ""
        with BlockingSession(self.stage.to, tables, held, kept) as idle:
            time.sleep(min(held, OLD))
            began = time.monotonic()
            budget = timedelta(seconds=held) + PATIENCE
            with self.stage.recorded(migration.forwards, budget=budget) as (carrier, recorder):
                try:
                    list(migrator.apply(carrier, self.migrations, to=migration.version))
                except Interrupted:
                    raise
                except OrderopsError as error:
                    failed = error.message
                done = time.monotonic()
        self.stage.check()
        stalls = _stalls(statement_reports(recorder, self.stage.traffic, self.stage.sampler))
        after = max(0.0, done - idle.ended) if idle.ended and held else done - began
        return WorstCase(held, done - began, after, stalls, failed)

    def _of(self, report: MigrationReport) -> Migration:
        return next(migration for migration in self.migrations if migration.version == report.version)


def _report(
    migration: Migration,
    failed: str = "",
    seconds: float = 0.0,
    after: str = "",
    statements: tuple[StatementReport, ...] = (),
    broken: tuple[BrokenQuery, ...] = (),
) -> MigrationReport:
    return MigrationReport(
        migration.version,
        migration.description,
        migration.name,
        migration.checksum,
        migration.back.checksum,
        failing(failed),
        after,
        seconds,
        statements,
        broken,
        failed,
    )


def _stalls(statements: Sequence[StatementReport]) -> tuple[Stall, ...]:
    """The longest of each family."""
    longest: dict[str, Stall] = {}
    for stall in (stall for statement in statements for stall in statement.stalls):
        if stall.family not in longest or stall.seconds > longest[stall.family].seconds:
            longest[stall.family] = stall
    return tuple(sorted(longest.values(), key=lambda each: -each.seconds))


def _every_table(connection: Connection) -> list[str]:
    """Every name of every table: on a copy all rows may go."""
    rows = connection.execute(
        "select c.relname, c.oid::regclass::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm')"
        " and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
    ).fetchall()
    return [name for row in rows for name in row]


def _compared(before: str, copy: Login) -> str:
    after, why = schema_dump(copy)
    return why or ("same" if after == before else "differs")
