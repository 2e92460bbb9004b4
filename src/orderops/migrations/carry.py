"""Carrying out one file: in one transaction, statement by statement, or in batches, always under one lock discipline.

Before a strong lock is asked for, the way must be free; it is asked for under a short lock_timeout, and again after a
pause, until the budget is spent. What is done is written where its effect is, so that any cut can be gone on from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orderops.errors import Interrupted, OrderopsError
from orderops.migrations import ledger
from orderops.migrations.alone import cleared
from orderops.migrations.batches import Keys, Limits, Pace, Rate, check_batch, estimate, keys_of
from orderops.migrations.blocker import Blocker
from orderops.migrations.broken import broken, lost, unreachable
from orderops.migrations.checks import checked, leaves_settings
from orderops.migrations.files import File, Migration
from orderops.migrations.ledger import Action, Attempt, Entry, State
from orderops.migrations.locks import Course, Lock, course, locks_of
from orderops.migrations.progress import Watched
from orderops.migrations.script import Statement
from orderops.migrations.sessions import Sessions, prepare
from orderops.migrations.voice import Voice
from orderops.migrations.way import Way

if TYPE_CHECKING:
    from psycopg import Error

LOCK_TIMEOUT = timedelta(milliseconds=50)
"""How long one try waits for a lock, and everybody else behind it."""
STATEMENT_TIMEOUT = timedelta(minutes=10)
"""How long a statement may take that keeps others out."""
AGAIN = ("55P03", "40P01", "40001")
"""No lock in time, a deadlock, a conflict: nothing was done, and it may go well the next time."""


class InTheWay(Exception):
    """Somebody came into the way while our transaction was open."""


@dataclass
class Carrier:
    """One run: its connections, its patience, and who is told."""

    sessions: Sessions
    way: Way
    watch: Callable[[str, str], None] = lambda *_: None
    """Told of a file what it waits for or how far it is; nothing when it is done."""
    say: Callable[[str], None] = lambda _: None
    limits: Limits = field(default_factory=Limits)

    def carry_out(self, migration: Migration, action: Action, after: Attempt | None) -> None:
        """Apply a file, or undo by its other one; raises OrderopsError that says how far it came."""
        file = migration.forwards if action is Action.APPLY else migration.back
        script = checked(file)
        before = self.way.patience.tries, self.way.patience.spent
        entry = ledger.begin(
            self.sessions.work,
            self.sessions.author,
            version=migration.version,
            description=migration.description,
            action=action,
            checksum=migration.checksum,
            statements=len(script),
            after=after,
        )
        voice = self.way.voice = Voice(file.name, self.watch, self.say)
        work = _Work(self, file, script, entry, after, before)
        try:
            work.run()
        finally:
            voice.now("")
        if leaves_settings(script):
            prepare(self.sessions.work)


@dataclass
class _Work:
    """One file under way."""

    carrier: Carrier
    file: File
    script: Sequence[Statement]
    entry: Entry
    after: Attempt | None
    before: tuple[int, float]
    at: Statement | None = None
    """The statement that runs."""
    seen: list[Blocker] = field(default_factory=list)
    """Who was in its way."""

    def run(self) -> None:
        import psycopg

        try:
            if self.file.head.batch:
                self._in_batches()
            elif self.file.head.no_transaction:
                self._one_by_one()
            else:
                self._as_one()
        except psycopg.Error as error:
            raise self._stopped(error) from None
        except OrderopsError as error:
            self._fail(error.told[0])
            raise
        except KeyboardInterrupt:
            self._fail("interrupted")
            raise Interrupted([self.file.name]) from None

    # ways to run a file

    def _as_one(self) -> None:
        def work() -> None:
            for number, statement in enumerate(self.script):
                if number:
                    self._look_once(statement)
                self._execute(statement)
            self.at = None
            self._reset_role()
            self._end()

        first = self.script[0] if self.script else None
        self._transaction(work, first, locks_of_file(self.script), self._settings())

    def _one_by_one(self) -> None:
        done = list(self.after.done) if self.after else []
        begun = self.after.begun if self.after else None
        for number, statement in enumerate(self.script):
            if number < len(done):
                self._check_same(done[number], statement.digest, number)
                continue
            if course(statement) is Course.ALONE:
                self._alone(statement, begun=begun == statement.digest)
            else:
                self._by_itself(statement)
        self._end()

    def _by_itself(self, statement: Statement) -> None:
        def work() -> None:
            self._execute(statement)
            self._reset_role()
            self.entry.done(statement.digest)

        free = course(statement) is Course.VALIDATE
        locks = [] if free else locks_of(statement)
        self._transaction(work, statement, locks, self._settings(free=free))

    def _alone(self, statement: Statement, *, begun: bool) -> None:
        work = self.carrier.sessions.work
        self.at = statement
        failed = 0
        while not cleared(work, statement, begun=begun, say=self.carrier.way.voice.line):
            self.entry.begun(statement.digest)
            work.execute(self._settings(free=True, local=False))
            try:
                self._execute(statement)
                break
            except _errors() as error:
                if error.sqlstate not in AGAIN:
                    raise
                begun = True
                failed += 1
                self.carrier.way.again(failed, locks_of(statement), self.seen, self._place(statement))
            finally:
                self._reset_role()
        prepare(work)
        self.entry.done(statement.digest)

    def _in_batches(self) -> None:
        statement = self.at = self.script[0]
        batch = self.file.head.batch
        assert batch, "asked of a file with a batch in its head"
        work = self.carrier.sessions.work
        piecewise = check_batch(self.file, self.script)
        keys = keys_of(work, piecewise, batch, self._place(statement))
        above = self.after.batch_after if self.after else None
        if above is not None and self.after:
            self._check_same(self.after.begun or "", statement.digest, 0)
        changed = (self.after.rows_changed or 0) if self.after else 0
        pace = Pace(batch.size, batch.size)
        rate = Rate(estimate(work, piecewise), began=time.monotonic())
        while piece := keys.next(work, above, pace.size):
            self._wait_for_others()
            upto, passed = piece
            began = time.monotonic()
            changed += self._piece(statement, keys, above, upto)
            above = upto
            rate.passed += passed
            self.carrier.way.voice.now(rate.told(changed))
            self.carrier.way.patience.sleep(pace.after(time.monotonic() - began))
        self._end()

    def _piece(self, statement: Statement, keys: Keys, above: str | None, upto: str) -> int:
        text = keys.piecewise.text(keys.literal(above) if above is not None else None, keys.literal(upto))
        rows = 0

        def work() -> None:
            nonlocal rows
            self.at = statement
            rows = self.carrier.sessions.work.execute(text.encode()).rowcount
            self._reset_role()
            self.entry.passed(statement.digest, upto, rows)

        self._transaction(work, statement, [], self._settings())
        return rows

    # the parts they share

    def _transaction(
        self, work: Callable[[], None], first: Statement | None, locks: Sequence[Lock], settings: bytes
    ) -> None:
        """Do something in a transaction, as often as it takes to get its locks."""
        connection = self.carrier.sessions.work
        way = self.carrier.way
        failed = 0
        while True:
            self.at = first
            way.until_free(locks, older=self._lock_timeout().total_seconds(), what=self._place(first))
            try:
                connection.execute(b"begin; " + settings)
                work()
                connection.execute("commit")
                return
            except InTheWay:
                self._roll_back()
            except _errors() as error:
                self._roll_back()
                if error.sqlstate not in AGAIN:
                    raise
                failed += 1
                way.again(failed, locks, self.seen, self._place(self.at))
            except BaseException:
                self._roll_back()
                raise

    def _execute(self, statement: Statement) -> None:
        self.at = statement
        sessions = self.carrier.sessions
        with Watched(sessions, self.carrier.way.eye, statement, self.carrier.way.voice) as watched:
            try:
                if statement.data is not None:
                    with sessions.work.cursor().copy(statement.text.encode()) as copy:
                        copy.write(statement.data)
                else:
                    sessions.work.execute(statement.text.encode())
            finally:
                self.seen = watched.blockers

    def _look_once(self, statement: Statement) -> None:
        """While our transaction holds locks we do not wait for another: we let go of all and wait outside."""
        older = self._lock_timeout().total_seconds()
        if self.carrier.way.eye.in_the_way(locks_of_file([statement], made=self.script), older=older):
            raise InTheWay

    def _wait_for_others(self) -> None:
        sessions = self.carrier.sessions
        while exceeded := self.carrier.limits.exceeded(sessions.eye, sessions.own):
            self.carrier.way.voice.now(f"pauses: {exceeded}")
            self.carrier.way.patience.sleep(0.5)

    def _lock_timeout(self) -> timedelta:
        return self.file.head.lock_timeout or LOCK_TIMEOUT

    def _settings(self, *, free: bool = False, local: bool = True) -> bytes:
        """The limits under which a statement runs; `free` for one that keeps nobody out."""
        head = self.file.head
        lock = timedelta(0) if free else self._lock_timeout()
        statement = head.statement_timeout or (timedelta(0) if free else STATEMENT_TIMEOUT)
        scope = "set local" if local else "set"
        settings = [
            f"{scope} lock_timeout = {_milliseconds(lock)}",
            f"{scope} statement_timeout = {_milliseconds(statement)}",
        ]
        if head.owner:
            settings.append(f"{scope} role {head.owner}")
        return "; ".join(settings).encode()

    def _reset_role(self) -> None:
        """The ledger is written as who we are."""
        if self.file.head.owner:
            self.carrier.sessions.work.execute("reset role")

    def _check_same(self, was: str, now: str, number: int) -> None:
        if was != now:
            version = self.after.version if self.after else 0
            raise OrderopsError(
                f"{self.file.name} was cut after a part, and statement {number + 1}, which is done, was edited since",
                "put it back as it was, or say how the migration stands, pending or applied: "
                f"orderops migrate repair --version {version} --as pending",
            )

    def _end(self) -> None:
        tries, waited = self._waited()
        self.entry.ended(State.DONE, tries=tries, waited=waited)

    def _fail(self, note: str) -> None:
        """Say in the ledger that it failed; a connection that is lost says it by itself."""
        tries, waited = self._waited()
        with suppress(*_error_types()):
            self.entry.ended(State.FAILED, tries=tries, waited=waited, note=note)

    def _waited(self) -> tuple[int, timedelta]:
        patience = self.carrier.way.patience
        tries, spent = self.before
        return patience.tries - tries, timedelta(seconds=patience.spent - spent)

    def _roll_back(self) -> None:
        with suppress(*_error_types()):
            self.carrier.sessions.work.execute("rollback")

    def _stopped(self, error: Error) -> OrderopsError:
        if lost(error) or self.carrier.sessions.work.closed:
            return unreachable(self.file, error, "what was not committed is rolled back, what was stays")
        self._roll_back()
        refusal = broken(self.file, self.at, error, self._stands())
        self._fail(refusal.told[0])
        return refusal

    def _stands(self) -> str:
        """What of the file is done."""
        if self.file.head.batch:
            return "the rows of the batches before it are changed and stay so"
        if not self.file.head.no_transaction or self.at is None:
            return "nothing of this file was applied"
        number = self.script.index(self.at)
        if number == 0:
            return "nothing of this file was applied"
        before = "statement 1 is" if number == 1 else f"statements 1 to {number} are"
        return f"{before} applied and stay, those from here on are not"

    def _place(self, statement: Statement | None) -> str:
        return f"{self.file.name}:{statement.line if statement else 1}"


def locks_of_file(script: Sequence[Statement], *, made: Sequence[Statement] | None = None) -> list[Lock]:
    """The strong locks of some statements, but for those on tables that the file itself makes."""
    new = {
        each.tree.relation.relname if each.kind == "create_stmt" else each.tree.into.rel.relname
        for each in made or script
        if each.kind in ("create_stmt", "create_table_as_stmt")
    }
    return list(dict.fromkeys(lock for each in script for lock in locks_of(each) if lock.name not in new))


def _milliseconds(duration: timedelta) -> int:
    return int(duration / timedelta(milliseconds=1))


def _errors() -> Any:
    import psycopg

    return psycopg.Error


def _error_types() -> tuple[type[BaseException], ...]:
    return (_errors(),)
