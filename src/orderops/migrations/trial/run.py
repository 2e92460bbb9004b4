"""Apply every migration in a scratch database, and undo and apply again those that are checked.

A version is undone and applied again right after it was applied, so that an undo that is wrong does not disturb the
check of another one: in one transaction, the schema is compared before the commit, and a difference rolls back.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from orderops.database.schema_owner import lent
from orderops.errors import Interrupted, OrderopsError, UsageError
from orderops.frozen import replace
from orderops.migrations.execution.failures import StatementFailed
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.observer import Observer
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import opened
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.table import AttemptAction, Author
from orderops.migrations.lint.executed import Execution, Failure, NotExecuted
from orderops.migrations.sql.files import Migration, SqlFile
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import checked
from orderops.migrations.trial.schema_difference import Schema, difference_between, schema
from orderops.migrations.trial.scratch_database import ScratchDatabase
from orderops.migrations.trial.server_wide import is_lack_of_server, reach_of, shared_changes

if TYPE_CHECKING:
    from psycopg import Connection

# No session but this run's uses the database, so a lock that takes longer is not going to be free.
LOCK_BUDGET = timedelta(minutes=1)


class LeftOut(OrderopsError):
    """A file cannot run in a scratch database; the message says why. Its transaction is rolled back."""


class UndoDiffers(OrderopsError):
    """An undo left another schema than the one before its V file, and was rolled back."""

    def __init__(self, after: Schema) -> None:
        super().__init__("the undo leaves another schema")
        self.after = after


@dataclass
class Inspector(Observer):
    """Looks at what a file did before its transaction ends."""

    last: Statement | None = None
    """The statement after which the transaction ends; None if each has its own."""
    before: Schema | None = None
    """The schema that the file has to leave; None if it is a V file, or has no transaction of its own."""

    def ended(self, connection: Connection, file: SqlFile, statement: Statement) -> None:
        """Refuse changes of the whole server, and an undo that leaves another schema."""
        if self.last and statement.position != self.last.position:
            return
        if changes := shared_changes(connection):
            raise LeftOut(changes)
        if self.before is not None and (after := schema(connection)) != self.before:
            raise UndoDiffers(after)


@dataclass
class Trial:
    """A run over the migrations in one scratch database."""

    scratch: ScratchDatabase
    on_file: Callable[[str], None]
    """Called with the name of each file before it runs."""
    _applied: list[Migration] = field(default_factory=list)
    _gap: str = ""
    """The first V file that was not executed, or failed: a later file may fail for want of it."""
    _inspector: Inspector = field(default_factory=Inspector)
    _open: ExitStack = field(default_factory=ExitStack)
    _runner: Runner | None = None

    def __enter__(self) -> Trial:
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def execute(self, migration: Migration, *, undo: bool) -> Execution | None:
        """Apply a version; with `undo`, also undo it and apply it again. None if it was applied and nothing else."""
        before = schema(self._connection) if undo else None
        if execution := self._run(migration, AttemptAction.APPLY):
            self._gap = self._gap or migration.name
            return execution
        self._applied.append(migration)
        return self._undo(migration, before) if before is not None else None

    def _undo(self, migration: Migration, before: Schema) -> Execution:
        try:
            if execution := self._run(migration, AttemptAction.UNDO, before):
                return execution
            # In one transaction, the schema was compared before the commit.
            after = before if self._inspector.before is not None else schema(self._connection)
        except UndoDiffers as error:
            after = error.after
        if after != before:
            if _in_pieces(migration.back):
                self._rebuild()
            return Execution(difference=difference_between(before, schema(self._connection), after), undone=True)
        if not checked(migration.back):
            return Execution(undone=True)
        self._applied.pop()
        again = self._run(migration, AttemptAction.APPLY)
        self._applied.append(migration)
        if again is None:
            return Execution(undone=True)
        # The schema does not show what is left, such as rows.
        self._rebuild()
        return replace(again, failure=again.failure and replace(again.failure, again=True), undone=True)

    def _run(self, migration: Migration, action: AttemptAction, before: Schema | None = None) -> Execution | None:
        """Run a file. None if that succeeded, else why not, and the database is as before the file."""
        file = migration.back if action is AttemptAction.UNDO else migration.forwards
        self.on_file(file.name)
        try:
            script = checked(file)
        except UsageError as error:
            return _not_executed(file, f"apply refuses the file: {error.lines[0]}")
        if reason := reach_of(script, repeatable=file.head.repeatable):
            return _not_executed(file, reason)
        whole = bool(script) and not _in_pieces(file)
        self._inspector.last = script[-1] if whole else None
        self._inspector.before = before if whole else None
        assert self._runner, "opened"
        try:
            self._runner.run(migration, action, None)
        except LeftOut as error:
            execution = _not_executed(file, error.message)
        except StatementFailed as error:
            execution = self._failed(file, error)
        else:
            return None
        if not whole:
            self._rebuild()
        return execution

    def _failed(self, file: SqlFile, error: StatementFailed) -> Execution:
        if is_lack_of_server(error.sqlstate, error.reason):
            return _not_executed(file, f"line {error.line}: {error.reason}")
        if self._gap:
            why = f"line {error.line}: {error.reason}, maybe since {self._gap} was not executed"
            return _not_executed(file, why)
        return Execution(failure=Failure(file.path, error.line, error.column, error.reason))

    def _rebuild(self) -> None:
        """Make the database as after the versions that were applied."""
        self._open.close()
        self.scratch.recreate()
        self._connect()
        self._inspector.last = self._inspector.before = None
        assert self._runner, "opened"
        for migration in self._applied:
            self._runner.run(migration, AttemptAction.APPLY, None)

    def _connect(self) -> None:
        author = Author("migrate lint", socket.gethostname())
        self._open = ExitStack()
        sessions = self._open.enter_context(
            opened(self.scratch.login, author, wait=timedelta(0), waiting=lambda *_: None)
        )
        ledger.make(sessions.work)
        owner = lent(sessions.work)
        lock_waiter = LockWaiter(LockMonitor(sessions.monitor, sessions.own), RetryBudget(LOCK_BUDGET))
        watcher = self._open.enter_context(Watcher(lock_waiter, sessions.work.info.backend_pid))
        self._runner = Runner(sessions, lock_waiter, watcher, observer=self._inspector, owner=owner)

    @property
    def _connection(self) -> Connection:
        assert self._runner, "opened"
        return self._runner.sessions.work


def execute(
    scratch: ScratchDatabase,
    migrations: Sequence[Migration],
    *,
    only: Collection[int],
    on_file: Callable[[str], None] = lambda _: None,
) -> dict[int, Execution]:
    """Execute the migrations in order; return what is known of each version in `only`, and of others that failed."""
    found: dict[int, Execution] = {}
    try:
        with Trial(scratch, on_file) as trial:
            for migration in migrations:
                if execution := trial.execute(migration, undo=migration.version in only):
                    found[migration.version] = execution
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted([]) from None
    return found


def _not_executed(file: SqlFile, reason: str) -> Execution:
    return Execution(NotExecuted(file.path, reason))


def _in_pieces(file: SqlFile) -> bool:
    """Whether a file has no transaction around all of its statements."""
    return file.head.no_transaction or file.head.batch is not None
