"""Carrying out one file: in one transaction, statement by statement, or in batches.

What is done is written where its effect is, so that any cut can be gone on from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.errors import Interrupted, OrderopsError
from orderops.migrations.data_loss.check import check_still_accepted
from orderops.migrations.execution.backfill import Backfill
from orderops.migrations.execution.failures import broken, edited, lost, unreachable
from orderops.migrations.execution.fast_path import large_relations, takes_fast_path
from orderops.migrations.execution.lock_wait import LockWaiter
from orderops.migrations.execution.non_transactional import cleared, is_invalid
from orderops.migrations.execution.observer import Observer
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.reporter import Reporter
from orderops.migrations.execution.sessions import Sessions, prepare
from orderops.migrations.execution.transaction import TransactionRunner, locks_of_file, tables_made
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.table import Attempt, AttemptAction, AttemptRecord, AttemptState, Expected, Subject
from orderops.migrations.sql.batches import BatchLimits
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.migrations.sql.locks import ExecutionMode, Mode, execution_mode, locks_of
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import checked, leaves_settings

if TYPE_CHECKING:
    import psycopg


@dataclass
class Runner:
    """One run: its connections, its patience, and who is told."""

    sessions: Sessions
    lock_waiter: LockWaiter
    watcher: Watcher
    on_wait: Callable[[str, str], None] = lambda *_: None
    """Told of a file what it waits for or how far it is; nothing when it is done."""
    say: Callable[[str], None] = lambda _: None
    limits: BatchLimits = field(default_factory=BatchLimits)
    accepted: Collection[str] | None = None
    """The tables whose rows may go, where anything is to be taken away."""
    observer: Observer | None = None
    """Told of each statement; then nothing goes to the server whole."""
    expected: Mapping[int, Expected] = field(default_factory=dict)
    """What rehearsals said of the migrations that are applied, by version."""
    _large: frozenset[str] | None = None

    def run(self, migration: Migration, action: AttemptAction, after: Attempt | None) -> None:
        """Apply a file, or undo by its other one; raises OrderopsError that says how far it came."""
        file = migration.forwards if action is AttemptAction.APPLY else migration.back
        script = checked(file)
        worker = TransactionRunner(self.sessions, self.lock_waiter, self.watcher, file, self.observer or Observer())
        author = self.sessions.author
        expected = self.expected.get(migration.version) if action is AttemptAction.APPLY else None
        subject = Subject(
            author, migration.version, migration.description, action, migration.checksum, len(script), expected
        )
        self.lock_waiter.reporter = Reporter(file.name, self.on_wait, self.say)
        try:
            if not (
                self._is_brief(file, script) and worker.at_once(ledger.completed_insert(subject), locks_of_file(script))
            ):
                entry = ledger.begin(self.sessions.work, subject, after)
                _FileRun(self, worker, script, entry, after).run()
        except KeyboardInterrupt:
            raise Interrupted([file.name]) from None
        finally:
            self.lock_waiter.reporter.over()
        if leaves_settings(script):
            prepare(self.sessions.work)

    def _is_brief(self, file: SqlFile, script: Sequence[Statement]) -> bool:
        """What is large is looked up anew after each file that may have made it so."""
        if self.accepted is not None or self.observer is not None:
            return False
        if self._large is None:
            self._large = large_relations(self.sessions.work)
        brief = takes_fast_path(file, script, self._large)
        if not brief:
            self._large = None
        return brief


class _FileRun:
    """One file under way."""

    def __init__(
        self,
        carrier: Runner,
        worker: TransactionRunner,
        script: Sequence[Statement],
        entry: AttemptRecord,
        after: Attempt | None,
    ) -> None:
        self._carrier = carrier
        self._worker = worker
        self._script = script
        self._entry = entry
        self._after = after
        self._number = 0
        """Statements before the one that is under way."""
        self._before = carrier.lock_waiter.retry_budget.tries, carrier.lock_waiter.retry_budget.spent

    def run(self) -> None:
        """To the end; raises OrderopsError, and writes into the ledger how it ended."""
        import psycopg

        file = self._worker.file
        try:
            if file.head.batch:
                Backfill(self._worker, self._script, self._entry, self._carrier.limits, self._after).run()
                self._end()
            elif file.head.no_transaction:
                self._one_by_one()
            else:
                self._as_one()
        except psycopg.Error as error:
            raise self._stopped(error) from None
        except OrderopsError as error:
            self._fail(error.lines[0])
            raise
        except KeyboardInterrupt:
            self._fail("interrupted")
            raise

    def _as_one(self) -> None:
        worker = self._worker
        made = tables_made(self._script)

        def work() -> None:
            for number, statement in enumerate(self._script):
                if number:
                    worker.look_once(locks_of_file([statement], made=made))
                self._execute(statement)
            worker.step_back()
            self._end()

        worker.transaction(work, first=next(iter(self._script), None), locks=locks_of_file(self._script))

    def _one_by_one(self) -> None:
        done = self._after.done if self._after else ()
        begun = self._after.begun if self._after else None
        for number, statement in enumerate(self._script):
            self._number = number
            if number < len(done):
                if done[number] != statement.digest:
                    raise edited(self._worker.file, number + 1)
            elif execution_mode(statement) is ExecutionMode.NON_TRANSACTIONAL:
                self._alone(statement, begun=begun == statement.digest)
            else:
                self._by_itself(statement)
        self._end()

    def _by_itself(self, statement: Statement) -> None:
        worker = self._worker

        def work() -> None:
            self._execute(statement)
            worker.reset_role()
            self._entry.done(statement.digest)

        keeps_nobody_out = execution_mode(statement) is ExecutionMode.VALIDATE
        locks = [] if keeps_nobody_out else locks_of(statement)
        worker.transaction(work, first=statement, locks=locks, unlimited=keeps_nobody_out)

    def _execute(self, statement: Statement) -> None:
        worker, accepted = self._worker, self._carrier.accepted
        worker.begin(statement)
        if accepted is not None:
            check_still_accepted(worker.connection, worker.file, statement, accepted)
        worker.execute(statement)

    def _alone(self, statement: Statement, *, begun: bool) -> None:
        """In no transaction: whether it was done shows in what is there, and so it is looked at first."""
        import psycopg

        worker = self._worker
        worker.at = statement
        locks = locks_of(statement)
        keeps_nobody_out = all(lock.mode is Mode.SHARE_UPDATE_EXCLUSIVE for lock in locks)
        failed = 0
        while not self._is_done(statement, begun=begun):
            worker.lock_waiter.wait_until_free(
                [] if keeps_nobody_out else locks, older=worker.lock_timeout, what=worker.place
            )
            self._entry.begun(statement.digest)
            worker.connection.execute(worker.settings("set", unlimited=keeps_nobody_out))
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
        prepare(worker.connection)
        self._entry.done(statement.digest)

    def _is_done(self, statement: Statement, *, begun: bool) -> bool:
        with self._worker.as_owner():
            return cleared(self._worker.connection, statement, begun=begun, say=self._carrier.lock_waiter.reporter.line)

    def _end(self) -> None:
        tries, waited = self._waited()
        self._entry.ended(AttemptState.DONE, tries=tries, waited=waited)

    def _fail(self, note: str) -> None:
        """Say in the ledger that it failed; a connection that is lost says it by itself."""
        import psycopg

        tries, waited = self._waited()
        with suppress(psycopg.Error, OrderopsError):
            self._entry.ended(AttemptState.FAILED, tries=tries, waited=waited, note=note)

    def _waited(self) -> tuple[int, timedelta]:
        patience = self._carrier.lock_waiter.retry_budget
        tries, spent = self._before
        return patience.tries - tries, timedelta(seconds=patience.spent - spent)

    def _stopped(self, error: psycopg.Error) -> OrderopsError:
        worker = self._worker
        if lost(error) or worker.connection.closed:
            return unreachable(worker.file, error, "what was not committed is rolled back, what was stays")
        worker.roll_back()
        refusal = broken(worker.file, worker.at, error, self._stands())
        self._fail(refusal.lines[0])
        return refusal

    def _stands(self) -> str:
        """What of the file is done."""
        head = self._worker.file.head
        if head.batch:
            return "the rows of the batches before are changed and stay so"
        number = self._number if head.no_transaction else 0
        left = self._left_half_built()
        if number == 0:
            return f"nothing of this file was applied{left}"
        before = "statement 1 is applied and stays" if number == 1 else f"statements 1 to {number} are applied and stay"
        return f"{before}, those from here on are not{left}"

    def _left_half_built(self) -> str:
        """The index that a CONCURRENTLY which failed has left: nobody reads it, and every write keeps it up."""
        statement = self._script[self._number] if self._script else None
        if statement is None or statement.kind != "index_stmt" or not statement.tree.concurrent:
            return ""
        name = statement.tree.idxname
        return (
            f"; the index {name} is left half built, and the same command drops it"
            if is_invalid(self._worker.connection, statement)
            else ""
        )
