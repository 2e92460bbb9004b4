"""The database's changes before the operator's eyes: which database, who agrees, what goes on, what was done."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.database.connection import Login, connect, connect_by_access, login_from_dsn
from orderops.errors import OrderopsError, UsageError
from orderops.migrations import migrator
from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import OnSessionWait, Sessions, opened
from orderops.migrations.execution.transaction import locks_of_file, tables_made
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Author
from orderops.migrations.sql.batches import BatchLimits
from orderops.migrations.sql.files import Migration, SqlFile, read_migrations, sql_folder
from orderops.migrations.sql.locks import ExecutionMode, execution_mode
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import checked
from orderops.operations.options import ChangeOptions, MigrateOptions
from orderops.operations.workspace import confirm_change, open_workspace
from orderops.remote.job import CurrentJob
from orderops.remote.tunnel import tunnel_of
from orderops.text.durations import measured
from orderops.ui import console
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from psycopg import Connection

    from orderops.infra.plan import Plan
    from orderops.infra.workspace import Workspace
    from orderops.operations.locked import LeaseReading
    from orderops.runs.run import Run

DSN = "ORDEROPS_DSN"
FEW = 3
"""Names that are said one by one."""


@dataclass(frozen=True)
class MigrationTarget:
    """The database meant, and how it is reached."""

    login: Login
    author: Author
    name: str
    """What the operator calls it."""
    words: str
    """What leads a command to it again."""
    workspace: Workspace | None = None
    lease: LeaseReading | None = None
    job: CurrentJob | None = None

    @property
    def limits(self) -> BatchLimits:
        """How far a backfill may go at once, as the environment says."""
        settings = settings_of(self.workspace) if self.workspace else self.job.request.settings if self.job else None
        if not settings:
            return BatchLimits()
        return BatchLimits(settings["max_replication_lag_seconds"], settings["max_waiting_sessions"])


@contextmanager
def target(at: MigrateOptions, *, changes: bool = False) -> Iterator[MigrationTarget]:
    """Open the database of an environment, or the one that a connection string names.

    With `changes`, the environment's lease is read meanwhile.
    """
    if login := _login(at.dsn):
        words = f"--dsn {shlex.quote(at.dsn)}" if at.dsn else ""
        yield MigrationTarget(login, _author(_user()), login.describe, _with_sql(words, at.sql))
        return
    if at.job:
        request = at.job.request
        author = Author(request.who, request.host)
        yield MigrationTarget(at.job.login(), author, request.environment, request.options, job=at.job)
        return
    from orderops.operations.locked import read_lease

    workspace = open_workspace(at.env, at.environments)
    lease = read_lease(workspace) if changes else None
    with _way_into(workspace) as login:
        yield MigrationTarget(login, _author(workspace.aws.caller), at.env, lead_of(at.env, at.sql), workspace, lease)


def is_other_database(dsn: str | None) -> bool:
    """Whether a connection string names the database, not the environment."""
    return dsn is not None or bool(os.environ.get(DSN))


def files_of(folder: Path | None) -> dict[str, str]:
    """The files of a folder of migrations by name, once all of them can be read."""
    pairs = read_migrations(sql_folder(folder))
    return {file.name: file.text for each in pairs for file in (each.forwards, each.back)}


def settings_of(workspace: Workspace) -> dict[str, int]:
    """What migrations take from the environment's file."""
    declared = workspace.environment.migrations
    names = ("max_replication_lag_seconds", "max_waiting_sessions")
    return {name: getattr(declared, name) for name in names}


def lead_of(env: str, sql: Path | None) -> str:
    """What leads a command to the same environment and the same files again."""
    return _with_sql(f"--env {env}", sql)


@contextmanager
def looking(at: MigrationTarget) -> Iterator[Connection]:
    """A connection that only looks."""
    with connect(at.login, name="orderops migrate monitor") as connection:
        yield connection


@contextmanager
def carrier(
    at: MigrationTarget, *, wait: timedelta, budget: timedelta, ending: ChangeOptions | None = None
) -> Iterator[tuple[Runner, Progress]]:
    """What carries migrations out: nobody else migrates this database meanwhile.

    Sessions in the way are ended in the manner of `ending`, and left alone where there is none.
    """
    with Progress() as progress, opened(at.login, at.author, wait=wait, waiting=_waiting(at, progress)) as sessions:
        sessions.work.add_notice_handler(lambda told: console.info(f"{told.severity}: {told.message_primary}"))
        eye = LockMonitor(sessions.monitor, sessions.own)
        way = LockWaiter(eye, RetryBudget(budget), may_end=_may_end(ending, progress) if ending else None)
        with Watcher(way, sessions.work.info.backend_pid) as watcher:
            yield Runner(sessions, way, watcher, progress.watch, console.info_folded, at.limits), progress


@contextmanager
def alone(at: MigrationTarget, *, wait: timedelta) -> Iterator[Sessions]:
    """Connections for a word in the ledger: nobody else migrates this database meanwhile."""
    with Progress() as progress, opened(at.login, at.author, wait=wait, waiting=_waiting(at, progress)) as sessions:
        yield sessions


Note = Callable[..., None]
"""Puts something that was done on record."""


@contextmanager
def agreed(at: MigrationTarget, options: ChangeOptions, question: str) -> Iterator[Note]:
    """Ask, and take the environment's lease where there is one; what is noted is put on record where there is one."""
    if at.workspace is None or at.lease is None:
        console.confirm(question, yes=options.yes)
        yield at.job.note if at.job else lambda **_: None
        return
    from orderops.operations.locked import locked_run

    confirm_change(at.workspace, question, options)
    with locked_run(at.workspace, options, at.lease) as run:
        yield run.record.note


@dataclass(frozen=True)
class Carrying:
    """What is done to migrations, in the words of its question, its record and its report, and how patiently."""

    verb: str
    where: str
    action: str
    done: str
    budget: timedelta
    terminate: bool
    """Whether sessions in the way are ended."""


def carry_through(
    at: MigrationTarget,
    options: ChangeOptions,
    wanted: Sequence[MigrationStatus],
    carrying: Carrying,
    carry: Callable[[Runner], Iterator[MigrationStatus]],
) -> None:
    """Ask, carry out what is decided anew under the lock, show and record each, and sum up."""
    ending = options if carrying.terminate else None
    if ending:
        check_somebody_can_be_asked(ending)
    names = ", ".join(line.name for line in wanted[:FEW]) + (f" and {len(wanted) - FEW} more" if wanted[FEW:] else "")
    with (
        agreed(at, options, f"{carrying.verb} {names} {carrying.where} {at.name}?") as note,
        carrier(at, wait=options.wait, budget=carrying.budget, ending=ending) as (carries, progress),
    ):
        ended = show_done(progress, note, carry(carries), carrying.action, carrying.done)
    meanwhile = "" if ended else ": somebody else did it meanwhile"
    console.info(f"{len(ended)} {carrying.done} in {measured(progress.elapsed)}{meanwhile}")
    console.info(f"next: orderops migrate info {at.words}".rstrip())


def show_done(
    progress: Progress, note: Note, done: Iterator[MigrationStatus], action: str, word: str
) -> list[MigrationStatus]:
    """Show each migration when it is done, and put it on record."""
    ended: list[MigrationStatus] = []
    before = progress.elapsed
    for line in done:
        now = progress.elapsed
        progress.finished(f"migration {line.name}", f"{word} in {measured(now - before)}")
        note(migration=line.name, action=action)
        before = now
        ended.append(line)
    return ended


def show_wanted(files: Sequence[SqlFile], action: str) -> None:
    """What files would do, statement by statement."""
    from orderops.ui.migrations import show_statements

    for file in files:
        script = checked(file)
        show_statements(
            file.name,
            [(each, locks_of_file([each], made=tables_made(script)), _way(file, each)) for each in script],
            action,
        )
    if not files:
        console.info("nothing to do")


def check_somebody_can_be_asked(options: ChangeOptions) -> None:
    """Raise UsageError where sessions in the way would be asked about and nobody is there."""
    if not options.yes and not console.is_interactive():
        raise UsageError("nobody is there to be asked about sessions in the way", "say it beforehand: --yes")


def _may_end(options: ChangeOptions, progress: Progress) -> Callable[[Blocker], bool]:
    """The question before a session in the way is ended."""

    def may_end(blocker: Blocker) -> bool:
        if options.yes:
            console.info_folded(f"ends {blocker.describe}")
            return True
        with progress.paused():
            try:
                console.confirm(f"End {blocker.describe}?", yes=False)
            except OrderopsError:
                return False
        return True

    return may_end


# what `up` sees to, in the environments that say so


def migrations_of(workspace: Workspace, folder: Path | None) -> list[Migration]:
    """What `up` sees to; nothing where the environment does not say that it does.

    Raises UsageError where the way to the database leads through a service, which is not there before.
    """
    if not workspace.environment.migrations.on_up:
        return []
    if workspace.environment.database.access != "direct":
        access, name = workspace.environment.database.access, workspace.environment.name
        raise UsageError(
            f'{name}.toml: on_up = true in [migrations] wants access = "direct" in [database], and that is {access!r}',
            f"take out on_up, and migrate after the first release: orderops migrate apply --env {name}",
        )
    return read_migrations(sql_folder(folder))


def migrate(workspace: Workspace, migrations: Sequence[Migration], run: Run) -> None:
    """Apply what is pending, and say so."""
    if not migrations:
        return
    with (
        _of(workspace) as at,
        carrier(at, wait=timedelta(minutes=1), budget=timedelta(minutes=1)) as (carries, progress),
    ):
        show_done(progress, run.record.note, migrator.apply(carries, migrations), "apply", "applied")


def to_migrate(workspace: Workspace, planned: Plan, migrations: Sequence[Migration]) -> list[Migration]:
    """What is pending: all, where the database is still to be made."""
    from orderops.engine.step import Action

    to_create = {step.address for step in planned.changes if step.action is Action.CREATE}
    if not migrations or workspace.stack.pointer.address in to_create:
        return list(migrations)
    with _of(workspace) as at, looking(at) as connection:
        lines = migrator.plan(migrator.overview(connection, migrations))
        return [line.migration for line in lines if line.migration]


def show_pending(workspace: Workspace, planned: Plan, migrations: Sequence[Migration]) -> None:
    """Name what would be applied."""
    try:
        for migration in to_migrate(workspace, planned, migrations):
            console.data(f"+ apply migration {migration.name}")
    except OrderopsError as error:
        console.info(f"migrations: {error.message}")


@contextmanager
def _of(workspace: Workspace) -> Iterator[MigrationTarget]:
    name = workspace.environment.name
    with _way_into(workspace) as login:
        yield MigrationTarget(login, _author(workspace.aws.caller), name, f"--env {name}", workspace)


@contextmanager
def _way_into(workspace: Workspace) -> Iterator[Login]:
    access, name = workspace.environment.database.access, workspace.environment.name
    with connect_by_access(
        workspace.aws, workspace.stack.pointer.name, access=access, name=name, tunnel=tunnel_of(workspace)
    ) as login:
        yield login


def _waiting(at: MigrationTarget, progress: Progress) -> OnSessionWait:
    """Shows who migrates the database, once each, and that it is waited for."""
    said: list[str] = []

    def waiting(told: str, _: float) -> None:
        if told and told not in said:
            console.info_folded(f"{told}; waiting")
        if told or any(said):
            progress.watch(at.name, "waits for whoever migrates it" if told else "")
        said.append(told)

    return waiting


def _way(file: SqlFile, statement: Statement) -> str:
    """How a statement is run, where that is not simply in the file's transaction."""
    if file.head.batch:
        return f"in batches of at most {file.head.batch.size} rows by {file.head.batch.key}"
    if file.head.no_transaction:
        return (
            "in no transaction"
            if execution_mode(statement) is ExecutionMode.NON_TRANSACTIONAL
            else "in a transaction of its own"
        )
    return ""


def _login(given: str | None) -> Login | None:
    """What a connection string opens, if one was given; raises UsageError for one that everybody could read along."""
    if given is None:
        told = os.environ.get(DSN)
        return login_from_dsn(told) if told else None
    if not given.strip():
        raise UsageError(
            "--dsn is empty", "is the variable that it comes from set? Without --dsn it is --env that counts"
        )
    login = login_from_dsn(given)
    if login.password:
        raise UsageError(
            "--dsn holds a password, which everybody on this machine can read in the list of processes",
            f"give it as PGPASSWORD or in ~/.pgpass, or the whole as {DSN}",
        )
    return login


def _with_sql(words: str, sql: Path | None) -> str:
    """What leads to the same database and the same files again."""
    return f"{words} --sql {shlex.quote(str(sql))}".strip() if sql else words


def _author(who: str) -> Author:
    return Author(who, socket.gethostname())


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody known"
