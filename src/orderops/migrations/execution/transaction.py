"""Runs statements of one file under the lock discipline.

Before a strong lock is requested, orderops waits until no old transaction blocks it. The request has a short
lock_timeout and is repeated after a pause, until the retry budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.schema_owner import SchemaOwner
from orderops.migrations.data_loss.effects import LossSuspectedError
from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockWaiter
from orderops.migrations.execution.observer import Observer
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.sessions import LOCKS, WORK_LOCK, Sessions
from orderops.migrations.sql.file_role import become, role_of
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import Lock, locks_of
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection, Error
    from psycopg.sql import Composed

LOCK_TIMEOUT = timedelta(milliseconds=50)
# Every query on the table queues behind the request, so this is also the delay that clients can see.
STATEMENT_TIMEOUT = timedelta(minutes=10)
"""Longest duration of a statement that blocks clients."""
RESET_ROLE = b"reset session authorization; reset role"
AGAIN = ("55P03", "40P01", "40001")
"""lock_not_available, deadlock_detected, serialization_failure: nothing was done, and a retry may succeed."""


class LockBlocked(Exception):
    """Another session took a conflicting lock while the transaction was open."""


@dataclass
class TransactionRunner:
    """Runs the statements of one file in the working session."""

    sessions: Sessions
    lock_waiter: LockWaiter
    watcher: Watcher
    file: SqlFile
    observer: Observer = field(default_factory=Observer)
    owner: SchemaOwner | None = None
    """The role that the database was handed over to."""
    at: Statement | None = None
    """The current statement."""
    _seen: Sequence[Blocker] = ()
    """Sessions that blocked it at the last check."""

    @property
    def role(self) -> str | None:
        """The role that runs the statements; None for the user that logs in."""
        return role_of(self.file, self.owner)

    @property
    def connection(self) -> Connection:
        """The connection that runs statements."""
        return self.sessions.work

    def execute(self, statement: Statement, text: str = "") -> int:
        """Run a statement, or `text` in its place, and return the number of rows it touched."""
        self.begin(statement)
        with self.watcher.on(statement, self.lock_waiter.reporter) as watched:
            try:
                rows = self._send(statement, text)
            finally:
                self._seen = watched.blockers or self._seen  # a try is often over before the monitor's first check
        self.observer.ended(self.connection, self.file, statement)
        return rows

    def begin(self, statement: Statement) -> None:
        """Make this the current statement."""
        self.at = statement
        self.observer.begins(self.connection, self.file, statement)

    def _send(self, statement: Statement, text: str) -> int:
        if statement.data is None:
            return self.connection.execute((text or statement.text).encode()).rowcount
        with self.connection.cursor() as cursor:
            with cursor.copy(statement.text.encode()) as copy:
                copy.write(statement.data)
            return cursor.rowcount

    def transaction(
        self,
        work: Callable[[], None],
        *,
        first: Statement | None,
        locks: Sequence[Lock] = (),
        unlimited: bool = False,
    ) -> None:
        """Run `work` in a transaction, retried until it gets its locks.

        Raises OrderopsError when the retry budget is spent, and psycopg's errors that a retry cannot fix.
        """
        import psycopg

        failed = 0
        while True:
            self.at = first
            self.lock_waiter.wait_until_free(locks, older=self.lock_timeout, what=self.place)
            try:
                self.connection.execute(self._beginning(unlimited=unlimited))
                work()
                # The server rolls back by itself if this commit never arrives.
                self.connection.execute("commit")
                self.observer.settled()
                return
            except (LockBlocked, LossSuspectedError):
                # Not a failed try: no lock was refused, so the next wait starts without a pause.
                self.roll_back()
            except psycopg.Error as error:
                self.roll_back()
                failed += 1
                self.again(failed, error, locks)
            except BaseException:
                self.roll_back()
                raise

    def run_whole(self, script: Sequence[Statement], ending: Composed, locks: Sequence[Lock]) -> bool:
        """Send all statements in one round trip if no session blocks them; return whether that succeeded.

        Any error is rolled back; it occurs again, with its position, when the file is run statement by statement.
        """
        import psycopg

        # A blocked file would cost one lock timeout here; the statement-wise run waits without a lock request.
        if self.lock_waiter.monitor.blockers(locks, older=self.lock_timeout):
            return False
        begun = self._beginning(unlimited=False) + b";\n"
        ended = b"\n; " + RESET_ROLE + b"; " + ending.as_bytes(self.connection) + b"; commit"
        try:
            # Not the file's text: a COMMIT around its statements would end the transaction before the ledger's row.
            # On lines of their own: a statement may end with a comment.
            statements = "\n;\n".join(statement.text for statement in script)
            self.connection.execute(begun + statements.encode() + ended)
        except psycopg.Error:
            self.roll_back()
            return False
        except BaseException:
            self.roll_back()
            raise
        return True

    def _beginning(self, *, unlimited: bool) -> bytes:
        # The file can release the session's lock, in a function, but not the transaction's.
        lock = f"; select pg_advisory_xact_lock({LOCKS}, {WORK_LOCK})"
        return b"begin; " + self.settings("set local", unlimited=unlimited) + lock.encode()

    def again(self, failed: int, error: Error, locks: Sequence[Lock]) -> None:
        """Pause before a retry; re-raise an error that a retry cannot fix."""
        if error.sqlstate not in AGAIN:
            raise error
        self.lock_waiter.again(failed, locks, self._seen, self.place)

    def check_not_blocked(self, locks: Sequence[Lock]) -> None:
        """Raise LockBlocked if a session blocks these locks: a transaction that holds locks must not wait for more."""
        if self.lock_waiter.monitor.blockers(locks, older=self.lock_timeout):
            raise LockBlocked

    def settings(self, scope: str, *, unlimited: bool = False, long: bool = False) -> bytes:
        """SQL that sets timeouts and role.

        `unlimited` is for statements that block no client, `long` for those that commit now and then.
        """
        head = self.file.head
        # 0 means no timeout in PostgreSQL.
        lock = timedelta(0) if unlimited else head.lock_timeout or LOCK_TIMEOUT
        statement = head.statement_timeout or (timedelta(0) if unlimited or long else STATEMENT_TIMEOUT)
        values = {"lock_timeout": lock, "statement_timeout": statement}
        commands = [f"{scope} {name} = {int(value / timedelta(milliseconds=1))}" for name, value in values.items()]
        role = become(self.file, self.owner, scope)
        return "; ".join([*commands, role] if role else commands).encode()

    def leave_statement(self) -> None:
        """Clear the current statement and reset the role, since another one may not write to the ledger."""
        self.at = None
        self.reset_role()

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Use the file's role inside the `with` block; it may see and drop objects that the login may not."""
        role = become(self.file, self.owner, "set")
        if role:
            self.connection.execute(role.encode())
        try:
            yield
        finally:
            if role:
                self.reset_role()

    def reset_role(self) -> None:
        """Return to the login role, also if a function has changed it."""
        self.connection.execute(RESET_ROLE)

    def roll_back(self) -> None:
        """Roll back an open transaction; errors of a lost connection are ignored."""
        import psycopg

        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                self.connection.execute("rollback")
        self.observer.settled()

    @property
    def lock_timeout(self) -> float:
        """Lock timeout of one try, in seconds."""
        return (self.file.head.lock_timeout or LOCK_TIMEOUT).total_seconds()

    @property
    def place(self) -> str:
        """File name and line of the current statement."""
        return f"{self.file.name}:{self.at.line}" if self.at else self.file.name


def locks_of_file(script: Sequence[Statement], *, made: Collection[str] | None = None) -> list[Lock]:
    """Strong locks of these statements, without those on tables that the file itself creates."""
    new = tables_made(script) if made is None else made
    return list(dict.fromkeys(lock for statement in script for lock in locks_of(statement) if lock.name not in new))


def tables_made(script: Sequence[Statement]) -> frozenset[str]:
    """Names of the tables that a file creates: no other session can hold a lock on them."""
    return frozenset(
        statement.tree.relation.relname if statement.kind == "create_stmt" else statement.tree.into.rel.relname
        for statement in script
        if statement.kind in ("create_stmt", "create_table_as_stmt")
    )
