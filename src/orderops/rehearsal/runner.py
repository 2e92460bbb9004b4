"""The rehearsal: apply pending migrations under load, undo them, and apply them behind a blocking session.

The database is a disposable copy. Everything may be done to it, so an interrupted rehearsal leaves nothing to repair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orderops import __version__
from orderops.database.connection import Login
from orderops.errors import Interrupted, OrderopsError
from orderops.migrations import migrator
from orderops.migrations.data_loss.check import losses
from orderops.migrations.lint.linter import lint
from orderops.migrations.schema_snapshot import differences, digest_of, schema_lines, thing_of
from orderops.migrations.sql.files import Migration
from orderops.migrations.sql.validation import checked
from orderops.rehearsal.blocking_session import BlockingSession
from orderops.rehearsal.canaries import read_canaries
from orderops.rehearsal.coverage import Coverage, load_tables
from orderops.rehearsal.harness import LOCK_BUDGET, Harness, OnHarnessWait, open_harness, open_reader
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
from orderops.rehearsal.verdict import Evaluator, failed_verdict, overall_verdict, unseen_verdict, worse_of
from orderops.rehearsal.workload import Workload, workload_for
from orderops.text.durations import measured

if TYPE_CHECKING:
    from psycopg import Connection

HELD_FOR = timedelta(seconds=30)
# All blocking sessions together stay open for at most this many times HELD_FOR, so that a rehearsal of twenty
# migrations does not take ten minutes more.
TOTAL_HELD_FACTOR = 3
BASELINE_DURATION = timedelta(seconds=3)
# Seconds. A transaction as old as this counts as long-running for the lock wait, so it has to be that old first.
HEAD_START = 0.1
BEHIND_OPEN_TRANSACTION = ", behind a transaction that stays open"


def rehearse(
    copy: Login,
    migrations: Sequence[Migration],
    *,
    queries: Sequence[Query] = (),
    canaries: Sequence[Query] | None = None,
    held_for: timedelta = HELD_FOR,
    baseline_seconds: float = BASELINE_DURATION.total_seconds(),
    on_wait: OnHarnessWait = lambda *_: None,
    on_verdict: Callable[[str], None] = lambda _: None,
) -> Report:
    """Apply the pending migrations to a disposable copy and report what they would do to the clients of the original.

    `queries` are the queries of the original, from `queries_of`. Without `canaries`, those next to the migrations are
    used. Raises OrderopsError if nothing is pending, if apply would refuse, or if the copy becomes unavailable.
    """
    started, began = datetime.now(UTC), time.monotonic()
    if canaries is None:
        canaries = read_canaries(migrations[0].forwards.path.parent) if migrations else []
    with open_reader(copy) as reader:
        pending = _pending(reader, migrations, copy)
        workload = workload_for(reader, [migration.forwards for migration in pending], canaries, queries)
        before, dump = schema_lines(reader), schema_dump(copy)
        with open_harness(copy, reader, workload, on_wait) as harness:
            run = _Rehearsal(
                harness,
                migrations,
                on_verdict,
                queries=_service_queries(workload, canaries, queries),
                queries_known=bool(queries),
                notes=list(workload.notes),
            )
            run.measure_baseline(baseline_seconds)
            run.apply(pending, before)
            run.undo()
            dump_result = _dump_result(dump, copy) if run.all_undone else ""
            run.apply_again(held_for.total_seconds())
        on_wait("rehearsal", "")
        return Report(
            started,
            time.monotonic() - began,
            __version__,
            reader.info.parameter_status("server_version") or "",
            digest_of(before),
            run.schema_after or digest_of(before),
            overall_verdict(run.reports),
            tuple(run.reports),
            tuple(_group_reports(workload, run.evaluator.baseline)),
            dump_result,
            tuple(run.notes),
        )


def _pending(reader: Connection, migrations: Sequence[Migration], copy: Login) -> list[Migration]:
    planned = migrator.plan(migrator.overview(reader, migrations))
    pending = [status.migration for status in planned if status.migration]
    if not pending:
        raise OrderopsError(f"nothing is pending on {copy.describe}", "the state of each: orderops migrate info")
    return pending


def _service_queries(workload: Workload, canaries: Sequence[Query], queries: Sequence[Query]) -> list[Query]:
    """Every distinct query of the service: the canaries that run, then the queries of the original."""
    running = {group.query.name for group in workload.families}
    kept = [canary for canary in canaries if canary.name in running]
    fingerprints = {canary.fingerprint for canary in kept}
    return [*kept, *(query for query in queries if query.fingerprint not in fingerprints)]


def _group_reports(workload: Workload, baseline: Mapping[str, float]) -> list[QueryGroupReport]:
    return [
        QueryGroupReport(group.name, group.query.shown, group.rate, baseline[group.name], str(group.query.origin))
        for group in workload.families
    ]


def _dump_result(dump: tuple[str, str], copy: Login) -> str:
    """Compare pg_dump's schema from before with the one after all undos: "same", "differs", or why there is none."""
    before, why_missing = dump
    if why_missing:
        return why_missing
    after, why_missing = schema_dump(copy)
    return why_missing or ("same" if after == before else "differs")


@dataclass
class _Rehearsal:
    """A rehearsal in progress: one report for each migration, completed phase by phase."""

    harness: Harness
    migrations: Sequence[Migration]
    on_verdict: Callable[[str], None]
    queries: Sequence[Query]
    queries_known: bool
    """Whether `queries` come from the original, so that a derived query is known to be nobody's."""
    notes: list[str]
    evaluator: Evaluator = field(default_factory=lambda: Evaluator((), {}))
    reports: list[MigrationReport] = field(default_factory=list)
    _schemas: list[Sequence[str]] = field(default_factory=list)
    """The schema before the first migration and after each."""
    _left_by_undos: set[str] = field(default_factory=set)
    """Schema objects that earlier undos left different, so that each is reported once."""

    def __post_init__(self) -> None:
        self._watchdog = Watchdog(self.harness, self.queries, queries_known=self.queries_known)
        self._coverage = Coverage(load_tables(self.harness.reader), self.harness.workload.families)

    @property
    def all_undone(self) -> bool:
        """Whether every migration was applied and undone."""
        return all(report.undo and not report.undo.failed for report in self.reports)

    @property
    def schema_after(self) -> str:
        """The digest of the schema after the last migration that was applied; "" if none was."""
        return next((report.schema_after for report in reversed(self.reports) if report.schema_after), "")

    def measure_baseline(self, seconds: float) -> None:
        """Measure the load alone, and note what fails already: that says nothing about a migration."""
        families = self.harness.workload.families
        self.evaluator = Evaluator(families, self.harness.measure_baseline(seconds))
        if not families:
            self.notes.append("no query ran during the rehearsal, so no wait could be observed")
        for name, why in self._watchdog.already_failing():
            self.notes.append(f"{name!r} fails before any migration: {why}")

    def apply(self, pending: Sequence[Migration], before: Sequence[str]) -> None:
        """Apply each migration in order, up to the first that fails."""
        self._schemas = [before]
        for number, migration in enumerate(pending):
            self.harness.on_wait("rehearsal", f"applies {migration.name}, {number + 1} of {len(pending)}")
            report = self._apply(migration)
            self.reports.append(report)
            self.on_verdict(f"{migration.name}: {report.verdict.sentence}")
            if report.failed:
                why = f"not tried, since {migration.name} fails"
                self.reports += [_report(later, failed=why) for later in pending[number + 1 :]]
                return

    def undo(self) -> None:
        """Undo each migration, newest first, and compare the schema with the one before it."""
        if any(report.failed for report in self.reports):
            self.notes.append("nothing was undone or applied again, since not every migration could be applied")
            return
        for number in reversed(range(len(self.reports))):
            report = self.reports[number]
            self.harness.on_wait("rehearsal", f"undoes {report.file}")
            undone = self._undo(self._migration_of(report), self._schemas[number])
            self.reports[number] = replace(report, undo=undone)
            if undone.failed:
                self._skip_undo(number, f"not tried, since {report.file} cannot be undone")
                return

    def apply_again(self, seconds: float) -> None:
        """Apply each undone migration once more while a session that used its tables keeps its transaction open."""
        undone = [report for report in self.reports if report.undo and not report.undo.failed]
        if not undone:
            return
        held = min(seconds, TOTAL_HELD_FACTOR * seconds / len(undone))
        failed = ""
        for number, report in enumerate(self.reports):
            if report not in undone:
                continue
            if failed:
                self.reports[number] = replace(report, worst_case=WorstCase(failed=f"not tried, since {failed} fails"))
                continue
            worst = self._apply_behind_session(report, held)
            failed = report.file if worst.failed else ""
            verdict = self.evaluator.verdict_on(worst.stalls, where=BEHIND_OPEN_TRANSACTION)
            both = worse_of(report.verdict, verdict) if verdict.holds_up else report.verdict
            self.reports[number] = replace(report, worst_case=worst, verdict=both)

    def _apply(self, migration: Migration) -> MigrationReport:
        tables = load_tables(self.harness.reader)
        began = time.monotonic()
        failed = ""
        with self.harness.recorded(migration.forwards) as (runner, recorder):
            try:
                done = list(migrator.apply(runner, self.migrations, to=migration.version))
                assert done, f"{migration.name} was pending"
            except Interrupted:
                raise
            except OrderopsError as error:
                failed = error.message
            seconds = time.monotonic() - began
        self.harness.check()
        statements = tuple(statement_reports(recorder, self.harness.load, self.harness.sampler))
        broken = tuple(self._watchdog.newly_broken(began))
        uncovered = self._coverage.uncovered_locks(statements, tables)
        self.notes += self._watchdog.notes(migration.name)
        if names := ", ".join(sorted({lock.relation for _, lock in uncovered})):
            self.notes.append(f"{migration.name} locks {names}, and no query ran there that would have waited")
        after = schema_lines(self.harness.reader)
        self._schemas.append(after)
        report = _report(migration, failed, seconds, digest_of(after), statements, broken)
        return self._with_verdict(report, uncovered)

    def _with_verdict(self, report: MigrationReport, uncovered: Sequence[tuple[int, HeldLock]]) -> MigrationReport:
        # A migration that failed gets no advice: the rewrite of a statement that fails would fail as well.
        if report.failed:
            return replace(report, verdict=failed_verdict(report.failed))
        stalls = [stall for statement in report.statements for stall in statement.stalls]
        verdict = self.evaluator.verdict_on(stalls, report.broken)
        if not verdict.holds_up:
            verdict = unseen_verdict(lock for _, lock in uncovered) or verdict
        if not verdict.holds_up:
            return replace(report, verdict=verdict)
        lines = {stall.line for stall in stalls if self.evaluator.is_noticed(stall)}
        lines |= {line for line, lock in uncovered if unseen_verdict([lock])}
        return replace(report, verdict=verdict, advice=self._advice(self._migration_of(report), lines))

    def _advice(self, migration: Migration, lines: set[int]) -> str:
        """The rewrites that lint suggests for these lines, or for the whole file if it has none for them; or ""."""
        try:
            findings = [finding for finding in lint(self.migrations, only={migration.version}) if finding.rewrite]
        except OrderopsError:
            # Lint runs squawk, which may not be installed; a rehearsal does not need it.
            return ""
        forwards = [finding for finding in findings if finding.file == migration.forwards.path]
        matching = [finding for finding in forwards if finding.line in lines] or forwards
        return "\n".join(dict.fromkeys(finding.rewrite for finding in matching))

    def _undo(self, migration: Migration, before: Sequence[str]) -> UndoReport:
        reader = self.harness.reader
        lost = tuple(loss.describe for loss in losses(reader, [(migration.back, checked(migration.back))]))
        accepted = _every_table(reader)
        began = time.monotonic()
        failed = ""
        with self.harness.recorded(migration.back) as (runner, recorder):
            try:
                list(migrator.undo(runner, self.migrations, accepted=accepted))
            except Interrupted:
                raise
            except OrderopsError as error:
                failed = error.message
            seconds = time.monotonic() - began
        self.harness.check()
        stalls = _longest_stalls(statement_reports(recorder, self.harness.load, self.harness.sampler))
        return UndoReport(seconds, lost, () if failed else self._new_differences(before), stalls, failed)

    def _new_differences(self, before: Sequence[str]) -> tuple[str, ...]:
        """What this undo leaves different, without what earlier undos left."""
        found = differences(before, schema_lines(self.harness.reader))
        new = [difference for difference in found if thing_of(difference) not in self._left_by_undos]
        self._left_by_undos.update(map(thing_of, new))
        return tuple(new)

    def _skip_undo(self, above: int, why: str) -> None:
        for number, report in enumerate(self.reports[:above]):
            self.reports[number] = replace(report, undo=UndoReport(failed=why))

    def _apply_behind_session(self, report: MigrationReport, held: float) -> WorstCase:
        migration = self._migration_of(report)
        locked = {lock.relation for statement in report.statements for lock in statement.locks}
        tables = self.harness.tables_touched(migration.forwards, locked)
        held = held if tables else 0.0
        kept = [row for group in self.harness.workload.families for row in group.rows]
        still = f", while a transaction stays open for {measured(held)}" if held else ""
        self.harness.on_wait("rehearsal", f"applies {migration.name} again{still}")
        failed = ""
        with BlockingSession(self.harness.login, tables, held, kept) as session:
            time.sleep(min(held, HEAD_START))
            began = time.monotonic()
            budget = timedelta(seconds=held) + LOCK_BUDGET
            with self.harness.recorded(migration.forwards, budget=budget) as (runner, recorder):
                try:
                    list(migrator.apply(runner, self.migrations, to=migration.version))
                except Interrupted:
                    raise
                except OrderopsError as error:
                    failed = error.message
                done = time.monotonic()
        self.harness.check()
        stalls = _longest_stalls(statement_reports(recorder, self.harness.load, self.harness.sampler))
        after = max(0.0, done - session.ended) if session.ended and held else done - began
        return WorstCase(held, done - began, after, stalls, failed)

    def _migration_of(self, report: MigrationReport) -> Migration:
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
        failed_verdict(failed),
        after,
        seconds,
        statements,
        broken,
        failed,
    )


def _longest_stalls(statements: Sequence[StatementReport]) -> tuple[Stall, ...]:
    """The longest stall of each query group, longest first."""
    longest: dict[str, Stall] = {}
    for stall in (stall for statement in statements for stall in statement.stalls):
        if stall.family not in longest or stall.seconds > longest[stall.family].seconds:
            longest[stall.family] = stall
    return tuple(sorted(longest.values(), key=lambda stall: -stall.seconds))


def _every_table(connection: Connection) -> list[str]:
    """Every spelling of every table's name: on a copy, an undo may drop all rows."""
    rows = connection.execute(
        "select c.relname, c.oid::regclass::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm')"
        " and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
    ).fetchall()
    return [name for row in rows for name in row]
