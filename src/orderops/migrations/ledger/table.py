"""The ledger: every attempt to change a database, in a schema of its own in that database.

An attempt is inserted when it starts and completed in the transaction that changes the schema, or after each statement
that runs outside a transaction. So the ledger is always true. An attempt in state `running` without a session that
holds the lock was interrupted, and the statements that it lists as done are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, LiteralString

from orderops import __version__
from orderops.database.catalog import FORMER_LEDGER, FORMER_LEDGER_SCHEMA, LEDGER_SCHEMA
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

MAKE_SCHEMA: LiteralString = """
do $$ begin -- a role that may not create schemas can use one that was made for it
    if to_regnamespace('orderops_ledger') is null then create schema orderops_ledger; end if;
end $$
"""
# Not the schema as a whole: by the search path of the role orderops, tables of the service may be in it.
MOVE: LiteralString = """
set local lock_timeout = '10s'; -- somebody who reads the ledger meanwhile, such as pg_dump, must not stop the run
alter table orderops.ledger set schema orderops_ledger;
alter view if exists orderops.migrations set schema orderops_ledger;
comment on table orderops_ledger.ledger is
    'what was done to this database, an attempt a row; see orderops_ledger.migrations';
do $$ begin drop schema orderops;
    exception when dependent_objects_still_exist or insufficient_privilege then null;
end $$
"""
TABLES: LiteralString = """
create table if not exists orderops_ledger.ledger (
    id              bigint generated always as identity primary key,
    version         bigint      not null,
    description     text        not null,
    action          text        not null check (action in ('apply', 'undo', 'baseline', 'forget')),
    state           text        not null check (state in ('running', 'done', 'failed')),
    checksum        text        not null,
    who             text        not null,
    database_user   text        not null default session_user,
    host            text        not null,
    tool_version    text        not null,
    started         timestamptz not null default clock_timestamp(),
    finished        timestamptz,
    duration        interval    generated always as (finished - started) stored,
    lock_tries      integer     not null default 0,
    lock_waited     interval    not null default '0',
    statements      integer     not null default 0,
    statements_done integer     not null default 0,
    begun           text,
    done            text[]      not null default '{}',
    batch_after     text,
    rows_changed    bigint,
    note            text,
    predicted       interval,
    receipt         text
);
comment on table orderops_ledger.ledger is
    'what was done to this database, an attempt a row; see orderops_ledger.migrations';
comment on column orderops_ledger.ledger.checksum is 'SHA-256 of the V file, with the line ends of Unix';
comment on column orderops_ledger.ledger.lock_tries is 'how often a lock was asked for and not had in time';
comment on column orderops_ledger.ledger.lock_waited is 'time spent until the way was free';
comment on column orderops_ledger.ledger.begun is 'digest of a statement that runs in no one transaction and was begun';
comment on column orderops_ledger.ledger.done is 'digests of the statements that are done';
comment on column orderops_ledger.ledger.predicted is 'what it took when it was rehearsed on a copy';
comment on column orderops_ledger.ledger.receipt is 'of which rehearsal, or why there was none';
comment on column orderops_ledger.ledger.batch_after is 'the key up to which a file that runs in batches is done';
create index if not exists ledger_by_version on orderops_ledger.ledger (version, id);
create or replace view orderops_ledger.migrations as
select distinct on (version) version, description,
    case when state <> 'done' and (done <> '{}' or begun is not null or batch_after is not null)
             then case action when 'undo' then 'partly undone' else 'partly applied' end
         when (select action from orderops_ledger.ledger d where d.version = l.version and state = 'done'
               order by id desc limit 1) in ('apply', 'baseline') then 'applied'
         else 'pending' end as state,
    finished, duration, who, host, checksum
from orderops_ledger.ledger l where version > 0 order by version, id desc;
comment on view orderops_ledger.migrations is 'how each migration stands, and the latest attempt at it';
"""
COLUMNS: LiteralString = """
id, version, description, action, state, checksum, who, host, tool_version, started, finished, lock_tries,
lock_waited, statements, statements_done, begun, done, batch_after, rows_changed, note, predicted, receipt
"""
INTERRUPTED = "interrupted"
"""Note of an attempt that Ctrl+C ended; its last statement may be done nevertheless."""


class AttemptAction(StrEnum):
    """Kind of an attempt."""

    APPLY = "apply"
    UNDO = "undo"
    BASELINE = "baseline"
    """Marked as applied: its changes existed already."""
    FORGET = "forget"
    """Marked as pending: its changes are gone."""


class AttemptState(StrEnum):
    """State of an attempt."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Author(Frozen):
    """Operator and host of an attempt."""

    who: str
    host: str


class Attempt(Frozen):
    """One row of the ledger."""

    id: int
    version: int
    description: str
    action: str
    state: str
    checksum: str
    who: str
    host: str
    tool_version: str
    started: datetime
    finished: datetime | None
    lock_tries: int
    lock_waited: timedelta
    statements: int
    statements_done: int
    begun: str | None
    done: Sequence[str]
    batch_after: str | None
    rows_changed: int | None
    note: str | None
    predicted: timedelta | None
    receipt: str | None

    @property
    def partial(self) -> bool:
        """Whether it is incomplete after a part was done, or after a statement whose result is unknown."""
        return self.state != AttemptState.DONE and bool(self.done or self.begun or self.batch_after is not None)


class History(Frozen):
    """The attempts at one version, in order."""

    attempts: Sequence[Attempt]

    @property
    def applied(self) -> Attempt | None:
        """The attempt that applied it; None if it is not applied."""
        done = [attempt for attempt in self.attempts if attempt.state == AttemptState.DONE]
        return done[-1] if done and done[-1].action in (AttemptAction.APPLY, AttemptAction.BASELINE) else None

    @property
    def latest(self) -> Attempt:
        """The last attempt, in any state."""
        return self.attempts[-1]

    @property
    def partial(self) -> Attempt | None:
        """The last attempt, if it is partial."""
        return self.latest if self.latest.partial else None

    @property
    def status(self) -> bool:
        """Whether it is applied, wholly or in part; other versions without a file are not listed."""
        return bool(self.applied or self.partial)


def make(connection: Connection) -> None:
    """Create the ledger in a database that has none, or move it from the schema where it was once.

    Raises OrderopsError if a role has the name of its schema.
    """
    # Not CREATE IF NOT EXISTS alone: a role without CREATE on the database could then never use an existing ledger.
    place = _schema(connection)
    if place == LEDGER_SCHEMA:
        return
    _check_no_role(connection)
    with connection.transaction():
        connection.execute(MAKE_SCHEMA)
        if place is None:
            connection.execute(TABLES)
        else:
            connection.execute(MOVE)


def read(connection: Connection) -> dict[int, History]:
    """Read the history of every version in the ledger; empty in a database without a ledger."""
    place = _schema(connection)
    if place is None:
        return {}
    found: dict[int, list[Attempt]] = {}
    for row in connection.execute("select " + COLUMNS + " from " + place + ".ledger order by 1"):
        attempt = Attempt(*row)
        found.setdefault(attempt.version, []).append(attempt)
    return {version: History(attempts) for version, attempts in found.items()}


def _schema(connection: Connection) -> LiteralString | None:
    """The schema of the ledger; None in a database without one."""
    row = connection.execute("select to_regclass('orderops_ledger.ledger') is not null, " + FORMER_LEDGER).fetchone()
    exists, former = row or (False, False)
    return LEDGER_SCHEMA if exists else FORMER_LEDGER_SCHEMA if former else None


def _check_no_role(connection: Connection) -> None:
    if connection.execute("select 1 from pg_roles where rolname = %s", [LEDGER_SCHEMA]).fetchone():
        raise OrderopsError(
            f"the role {LEDGER_SCHEMA} has the name of the ledger's schema, so its tables would be made in it",
            f"rename it: alter role {LEDGER_SCHEMA} rename to …",
        )


class Expected(Frozen):
    """Duration that a rehearsal measured, and its receipt or the reason why there is none."""

    receipt: str
    predicted: timedelta | None = None


class Subject(Frozen):
    """The columns of an attempt that are known before it starts."""

    author: Author
    version: int
    description: str
    action: AttemptAction
    checksum: str
    statements: int
    expected: Expected | None = None

    @property
    def values(self) -> dict[str, object]:
        """The values by column."""
        return {
            "version": self.version,
            "description": self.description,
            "action": self.action.value,
            "checksum": self.checksum,
            "who": self.author.who,
            "host": self.author.host,
            "tool_version": __version__,
            "statements": self.statements,
            **({"predicted": self.expected.predicted, "receipt": self.expected.receipt} if self.expected else {}),
        }


def begin(connection: Connection, subject: Subject, after: Attempt | None) -> AttemptRecord:
    """Insert a running attempt, with the progress of the interrupted attempt `after`."""
    # The commit need not be on disk before later ones are: the write-ahead log is flushed in order.
    from psycopg import sql

    left = ("begun", "done", "batch_after", "rows_changed", "statements_done")
    values = {**subject.values, "state": AttemptState.RUNNING.value}
    values |= {column: getattr(after, column) for column in left} if after else {}
    statement = sql.SQL("begin;  set local synchronous_commit = off; {}; commit").format(_insert(values))
    connection.execute(statement)
    return AttemptRecord(connection, subject.version)


def completed_insert(subject: Subject) -> Composed:
    """SQL that inserts a completed attempt, for the transaction of its effect."""
    from psycopg import sql

    values = {**subject.values, "state": AttemptState.DONE.value, "statements_done": subject.statements}
    now = {"started": sql.SQL("now()"), "finished": sql.SQL("clock_timestamp()")}
    return _insert({**values, **now})


def _insert(values: Mapping[str, object]) -> Composed:
    from psycopg import sql

    columns = sql.SQL(", ").join(map(sql.Identifier, values))
    literals = [value if isinstance(value, sql.Composable) else sql.Literal(value) for value in values.values()]
    return sql.SQL("insert into orderops_ledger.ledger ({}) values ({})").format(columns, sql.SQL(", ").join(literals))


def record(
    connection: Connection,
    author: Author,
    versions: Iterable[tuple[int, str, str]],
    *,
    action: AttemptAction,
    note: str,
) -> None:
    """Insert baseline or forget rows for versions (number, description, checksum)."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into orderops_ledger.ledger (version, description, action, state, checksum, who, host,"
            " tool_version, finished, note) values (%s, %s, %s, 'done', %s, %s, %s, %s, clock_timestamp(), %s)",
            [
                [version, description, action, checksum, author.who, author.host, __version__, note]
                for version, description, checksum in versions
            ],
        )


def mark_interrupted(connection: Connection) -> None:
    """Mark running attempts as interrupted. Call only while holding the lock."""
    connection.execute("update orderops_ledger.ledger set state = 'failed', note = 'cut off' where state = 'running'")


def highest(histories: Mapping[int, History]) -> int:
    """The highest applied version; 0 if there is none."""
    return max((version for version, history in histories.items() if history.applied), default=0)


class AttemptRecord:
    """The running attempt at a version; its updates commit with the transaction that they are made in."""

    def __init__(self, connection: Connection, version: int) -> None:
        self._connection = connection
        self._version = version

    def begun(self, digest: str) -> None:
        """Record the start of a statement outside a transaction."""
        self._write("begun = {}", digest)

    def done(self, digest: str) -> None:
        """Record a completed statement."""
        self._write("done = done || {}::text, statements_done = statements_done + 1, begun = null", digest)

    def record_batch(self, digest: str, after: str, rows: int) -> None:
        """Record a completed batch: its last key, and the rows it changed."""
        self._write("begun = {}, batch_after = {}, rows_changed = coalesce(rows_changed, 0) + {}", digest, after, rows)

    def ended(self, state: AttemptState, *, tries: int, waited: timedelta, note: str | None = None) -> None:
        """Record the end of the attempt."""
        # A statement that the server rejected left nothing behind, so there is nothing to resume.
        more = ""
        if state is AttemptState.DONE:
            more = ", statements_done = statements"
        elif note != INTERRUPTED:
            more = ", begun = case when batch_after is null then null else begun end"
        self._write(
            "state = {}, lock_tries = {}, lock_waited = {}, note = {}, finished = clock_timestamp()" + more,
            state.value,
            tries,
            waited,
            note,
        )

    def _write(self, what: LiteralString, *values: object) -> None:
        from psycopg import sql

        where: LiteralString = "update orderops_ledger.ledger set " + what + " where version = {} and state = 'running'"
        done = self._connection.execute(sql.SQL(where).format(*map(sql.Literal, [*values, self._version])))
        # A migration may change this table; continuing without a record would make resuming unsafe.
        if not done.rowcount:
            raise OrderopsError(
                f"the line of version {self._version} in orderops_ledger.ledger is gone; it cannot be recorded",
                "does the file or another session change that table? Uncommitted changes are rolled back",
            )
