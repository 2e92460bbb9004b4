"""Running statements of one file under the lock discipline.

Before a strong lock is asked for, the way must be free; it is asked for under a short lock_timeout, and again after a
pause, until the budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockWaiter
from orderops.migrations.execution.observer import Observer
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.sessions import Sessions
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import Lock, locks_of
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection, Error
    from psycopg.sql import Composed

LOCK_TIMEOUT = timedelta(milliseconds=50)
"""How long one try waits for a lock, and everybody else behind it."""
STATEMENT_TIMEOUT = timedelta(minutes=10)
"""How long a statement may take that keeps others out."""
AGAIN = ("55P03", "40P01", "40001")
"""No lock in time, a deadlock, a conflict: nothing was done, and it may go well the next time."""


class LockBlocked(Exception):
    """Somebody came into the way while our transaction was open."""


@dataclass
class TransactionRunner:
    """The session that changes the database, for one file."""

    sessions: Sessions
    lock_waiter: LockWaiter
    watcher: Watcher
    file: SqlFile
    observer: Observer = field(default_factory=Observer)
    at: Statement | None = None
    """The statement that runs."""
    _seen: Sequence[Blocker] = ()
    """Who was in its way."""

    @property
    def connection(self) -> Connection:
        """The connection that works."""
        return self.sessions.work

    def execute(self, statement: Statement, text: str = "") -> int:
        """Run a statement, or a text that stands for it, and answer the rows that it touched."""
        self.begin(statement)
        with self.watcher.on(statement, self.lock_waiter.reporter) as watched:
            try:
                rows = self._send(statement, text)
            finally:
                self._seen = watched.blockers or self._seen  # a try is often over before anybody could look
        self.observer.ended(self.connection, self.file, statement)
        return rows

    def begin(self, statement: Statement) -> None:
        """From here on it is this statement that runs."""
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
        """Do something in a transaction, as often as it takes to get its locks.

        Raises OrderopsError when the budget is spent; psycopg's errors for anything that no other try would mend.
        """
        import psycopg

        failed = 0
        while True:
            self.at = first
            self.lock_waiter.wait_until_free(locks, older=self.lock_timeout, what=self.place)
            try:
                self.connection.execute(b"begin; " + self.settings("set local", unlimited=unlimited))
                work()
                self.connection.execute("commit")
                self.observer.settled()
                return
            except LockBlocked:
                self.roll_back()
            except psycopg.Error as error:
                self.roll_back()
                failed += 1
                self.again(failed, error, locks)
            except BaseException:
                self.roll_back()
                raise

    def at_once(self, ending: Composed, locks: Sequence[Lock]) -> bool:
        """The whole file in one way to the server and back, if nobody is in its way; answers whether that was it.

        Whatever goes wrong is rolled back, and shows itself again when the file is carried out by statements.
        """
        import psycopg

        if self.lock_waiter.monitor.blockers(locks, older=self.lock_timeout):
            return False
        begun = b"begin; " + self.settings("set local") + b";\n"
        ended = b"\n; " + ending.as_bytes(self.connection) + b"; commit"
        try:
            self.connection.execute(begun + self.file.text.encode() + ended)
        except psycopg.Error:
            self.roll_back()
            return False
        except BaseException:
            self.roll_back()
            raise
        return True

    def again(self, failed: int, error: Error, locks: Sequence[Lock]) -> None:
        """Pause after a try that may go well the next time; raise the error where none would."""
        if error.sqlstate not in AGAIN:
            raise error
        self.lock_waiter.again(failed, locks, self._seen, self.place)

    def look_once(self, locks: Sequence[Lock]) -> None:
        """While our transaction holds locks it waits for none: raises InTheWay, to let go of all and wait outside."""
        if self.lock_waiter.monitor.blockers(locks, older=self.lock_timeout):
            raise LockBlocked

    def settings(self, scope: str, *, unlimited: bool = False) -> bytes:
        """The limits and the role under which a statement runs; `unlimited` for one that keeps nobody out."""
        head = self.file.head
        lock = timedelta(0) if unlimited else head.lock_timeout or LOCK_TIMEOUT
        statement = head.statement_timeout or (timedelta(0) if unlimited else STATEMENT_TIMEOUT)
        values = {"lock_timeout": lock, "statement_timeout": statement}
        said = [f"{scope} {name} = {int(value / timedelta(milliseconds=1))}" for name, value in values.items()]
        return "; ".join([*said, f"{scope} role {head.owner}"] if head.owner else said).encode()

    def step_back(self) -> None:
        """No statement runs any more, and we are who we are again: the ledger is not the owner's."""
        self.at = None
        self.reset_role()

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Look as the role that the file runs as: it may see and take away what we may not."""
        if self.file.head.owner:
            self.connection.execute(f"set role {self.file.head.owner}".encode())
        try:
            yield
        finally:
            self.reset_role()

    def reset_role(self) -> None:
        """Be who we are, where the file runs as somebody else."""
        if self.file.head.owner:
            self.connection.execute("reset role")

    def roll_back(self) -> None:
        """Give up the transaction, if the connection is there."""
        import psycopg

        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                self.connection.execute("rollback")
        self.observer.settled()

    @property
    def lock_timeout(self) -> float:
        """Seconds that one try may wait for a lock."""
        return (self.file.head.lock_timeout or LOCK_TIMEOUT).total_seconds()

    @property
    def place(self) -> str:
        """Where in the file it is."""
        return f"{self.file.name}:{self.at.line}" if self.at else self.file.name


def locks_of_file(script: Sequence[Statement], *, made: Collection[str] | None = None) -> list[Lock]:
    """The strong locks of some statements, but for those on tables that the file itself makes."""
    new = tables_made(script) if made is None else made
    return list(dict.fromkeys(lock for each in script for lock in locks_of(each) if lock.name not in new))


def tables_made(script: Sequence[Statement]) -> frozenset[str]:
    """The names of the tables that a file makes: nobody else knows them yet."""
    return frozenset(
        each.tree.relation.relname if each.kind == "create_stmt" else each.tree.into.rel.relname
        for each in script
        if each.kind in ("create_stmt", "create_table_as_stmt")
    )
