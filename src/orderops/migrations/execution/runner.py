"""Runs one file: in one transaction, statement by statement, or in batches.

The ledger is written in the transaction of the change that it records, so an interrupted run can always be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.read_only import READ_ONLY, why_read_only
from orderops.database.schema_owner import SchemaOwner, owner_of
from orderops.errors import Interrupted, OrderopsError
from orderops.migrations.data_loss.effects import LossGuard
from orderops.migrations.execution.backfill import Backfill
from orderops.migrations.execution.failures import broken, edited, lost, unreachable
from orderops.migrations.execution.fast_path import large_relations, takes_fast_path
from orderops.migrations.execution.lock_wait import LockWaiter
from orderops.migrations.execution.non_transactional import cleared, is_invalid
from orderops.migrations.execution.observer import Observer
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.reporter import Reporter
from orderops.migrations.execution.sessions import Sessions
from orderops.migrations.execution.transaction import TransactionRunner, locks_of_file, tables_made
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptRecord, AttemptState, Expected, Subject
from orderops.migrations.sql.batches import BatchLimits
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.migrations.sql.locks import ExecutionMode, Mode, execution_mode, locks_of
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import checked

if TYPE_CHECKING:
    import psycopg


@dataclass
class Runner:
    """A migration run: its connections, its lock wait and its callbacks."""

    sessions: Sessions
    lock_waiter: LockWaiter
    watcher: Watcher
    on_wait: Callable[[str, str], None] = lambda *_: None
    """Called with a file's name and its progress or wait; with an empty text when it is done."""
    say: Callable[[str], None] = lambda _: None
    limits: BatchLimits = field(default_factory=BatchLimits)
    accepted: Collection[str] | None = None
    """Tables whose data may be lost in an undo; None for apply."""
    observer: Observer | None = None
    """Observes each statement; turns the fast path off."""
    expected: Mapping[int, Expected] = field(default_factory=dict)
    """Predictions of rehearsals, by version."""
    owner: SchemaOwner | None = None
    """The owner of the schema, where the database does not say it."""
    _large: frozenset[str] | None = None

    def run(self, migration: Migration, action: AttemptAction, after: Attempt | None) -> None:
        """Run the V file, or the U file for an undo; raises OrderopsError that says how much is applied."""
        file = migration.forwards if action is AttemptAction.APPLY else migration.back
        script = checked(file)
        # Read again before each file: the one before may have handed the database over, or taken it back.
        owner = self.owner or owner_of(self.sessions.work)
        observer = self.observer or Observer()
        worker = TransactionRunner(self.sessions, self.lock_waiter, self.watcher, file, observer, owner)
        author = self.sessions.author
        expected = self.expected.get(migration.version) if action is AttemptAction.APPLY else None
        subject = Subject(
            author, migration.version, migration.description, action, migration.checksum, len(script), expected
        )
        self.lock_waiter.reporter = Reporter(file.name, self.on_wait, self.say)
        # Whatever the last file left must not reach this one, which may belong to another author.
        self.sessions.clean()
        try:
            if not (
                self._is_brief(file, script)
                and worker.run_whole(script, ledger.completed_insert(subject), locks_of_file(script))
            ):
                entry = ledger.begin(self.sessions.work, subject, after)
                _FileRun(self, worker, script, entry, after).run()
        except KeyboardInterrupt:
            raise Interrupted([file.name]) from None
        finally:
            self.lock_waiter.reporter.over()

    def _is_brief(self, file: SqlFile, script: Sequence[Statement]) -> bool:
        # Read again after each file off the fast path: it may have filled a table.
        if self.accepted is not None or self.observer is not None:
            return False
        if self._large is None:
            self._large = large_relations(self.sessions.work)
        brief = takes_fast_path(file, script, self._large)
        if not brief:
            self._large = None
        return brief


class _FileRun:
    """The run of one file."""

    def __init__(
        self,
        runner: Runner,
        worker: TransactionRunner,
        script: Sequence[Statement],
        entry: AttemptRecord,
        after: Attempt | None,
    ) -> None:
        self._runner = runner
        self._worker = worker
        self._script = script
        self._entry = entry
        self._after = after
        self._number = 0
        """Number of statements before the current one."""
        accepted, sessions = runner.accepted, worker.sessions
        self._guard = None if accepted is None else LossGuard(sessions.work, sessions.monitor, worker.file, accepted)
        self._before = runner.lock_waiter.retry_budget.tries, runner.lock_waiter.retry_budget.spent

    def run(self) -> None:
        """Run the file and record the result in the ledger; raises OrderopsError if it fails."""
        import psycopg

        file = self._worker.file
        try:
            if file.head.batch:
                Backfill(self._worker, self._script, self._entry, self._runner.limits, self._after, self._guard).run()
                self._end()
            elif file.head.no_transaction:
                self._run_statement_by_statement()
            else:
                self._run_in_one_transaction()
        except psycopg.Error as error:
            raise self._stopped(error) from None
        except OrderopsError as error:
            self._fail(error.lines[0])
            raise
        except KeyboardInterrupt:
            self._fail("interrupted")
            raise

    def _run_in_one_transaction(self) -> None:
        worker = self._worker
        made = tables_made(self._script)

        def work() -> None:
            for number, statement in enumerate(self._script):
                # The transaction's own wait covers the first statement; later ones may meet new blockers.
                if number:
                    worker.check_not_blocked(locks_of_file([statement], made=made))
                self._execute(statement)
            worker.leave_statement()
            self._end()

        worker.transaction(work, first=next(iter(self._script), None), locks=locks_of_file(self._script))

    def _run_statement_by_statement(self) -> None:
        done = self._after.done if self._after else ()
        begun = self._after.begun if self._after else None
        for number, statement in enumerate(self._script):
            self._number = number
            # The ledger stores digests in order, so a changed or moved statement shows here.
            if number < len(done):
                if done[number] != statement.digest:
                    raise edited(self._worker.file, number + 1)
                continue
            mode = execution_mode(statement, repeatable=self._worker.file.head.repeatable)
            if mode in (ExecutionMode.NON_TRANSACTIONAL, ExecutionMode.COMMITS):
                self._run_without_transaction(statement, mode, begun=begun == statement.digest)
            else:
                self._run_in_own_transaction(statement)
        self._end()

    def _run_in_own_transaction(self, statement: Statement) -> None:
        worker = self._worker

        def work() -> None:
            self._execute(statement)
            worker.reset_role()
            self._entry.done(statement.digest)

        blocks_nothing = execution_mode(statement) is ExecutionMode.VALIDATE
        # VALIDATE takes minutes on a large table and blocks no client, so it has no timeout and need not wait.
        locks = [] if blocks_nothing else locks_of(statement)
        worker.transaction(work, first=statement, locks=locks, unlimited=blocks_nothing)
        # A run that resumes here would have a new session.
        worker.sessions.clean()

    def _execute(self, statement: Statement) -> None:
        self._worker.begin(statement)
        with self._guard.around(statement) if self._guard else nullcontext():
            self._worker.execute(statement)

    def _run_without_transaction(self, statement: Statement, mode: ExecutionMode, *, begun: bool) -> None:
        # Outside a transaction the ledger cannot be written with the effect, so the catalogue is checked first.
        import psycopg

        worker = self._worker
        worker.at = statement
        locks = locks_of(statement)
        commits = mode is ExecutionMode.COMMITS
        # Which locks a body takes is unknown.
        blocks_nothing = not commits and all(lock.mode is Mode.SHARE_UPDATE_EXCLUSIVE for lock in locks)
        failed = 0
        while not self._is_done(statement, begun=begun):
            worker.lock_waiter.wait_until_free(
                [] if blocks_nothing else locks, older=worker.lock_timeout, what=worker.place
            )
            # Recorded before the statement: if the run is killed now, the next one has to check the catalogue.
            self._entry.begun(statement.digest)
            worker.connection.execute(worker.settings("set", unlimited=blocks_nothing, long=commits))
            try:
                worker.execute(statement)
                worker.observer.settled()
                break
            except psycopg.Error as error:
                worker.observer.settled()
                failed, begun = failed + 1, True
                worker.again(failed, error, locks)
            finally:
                with suppress(psycopg.Error):
                    worker.reset_role()
        worker.sessions.clean()
        self._entry.done(statement.digest)

    def _is_done(self, statement: Statement, *, begun: bool) -> bool:
        with self._worker.as_owner():
            return cleared(self._worker.connection, statement, begun=begun, say=self._runner.lock_waiter.reporter.line)

    def _end(self) -> None:
        tries, waited = self._waited()
        self._entry.ended(AttemptState.DONE, tries=tries, waited=waited)

    def _fail(self, note: str) -> None:
        # On a lost connection nothing can be written; the next run marks the attempt as interrupted.
        import psycopg

        tries, waited = self._waited()
        with suppress(psycopg.Error, OrderopsError):
            self._entry.ended(AttemptState.FAILED, tries=tries, waited=waited, note=note)

    def _waited(self) -> tuple[int, timedelta]:
        budget = self._runner.lock_waiter.retry_budget
        tries, spent = self._before
        return budget.tries - tries, timedelta(seconds=budget.spent - spent)

    def _stopped(self, error: psycopg.Error) -> OrderopsError:
        worker = self._worker
        if lost(error) or worker.connection.closed:
            return unreachable(worker.file, error, "uncommitted changes are rolled back, committed ones stay")
        worker.roll_back()
        failure = broken(worker.file, worker.at, error, self._applied_part(), role=worker.role)
        if error.sqlstate == READ_ONLY:
            failure.hint = why_read_only(worker.connection)
        self._fail(failure.lines[0])
        return failure

    def _applied_part(self) -> str:
        """Which part of the file is applied, in words."""
        head = self._worker.file.head
        if head.batch:
            return "the rows of the earlier batches are changed and committed"
        number = self._number if head.no_transaction else 0
        left = self._left_half_built()
        if number == 0:
            return f"nothing of this file was applied{left}"
        before = "statement 1 is applied and stays" if number == 1 else f"statements 1 to {number} are applied and stay"
        return f"{before}, the others are not{left}"

    def _left_half_built(self) -> str:
        """Words for what a failed statement leaves: an invalid index, unused but written to, or commits of a body."""
        statement = self._script[self._number] if self._script else None
        if (
            statement
            and execution_mode(statement, repeatable=self._worker.file.head.repeatable) is ExecutionMode.COMMITS
        ):
            return "; what it has committed stays"
        if statement is None or statement.kind != "index_stmt" or not statement.tree.concurrent:
            return ""
        name = statement.tree.idxname
        return (
            f"; the index {name} is invalid; re-running this command drops it"
            if is_invalid(self._worker.connection, statement)
            else ""
        )
