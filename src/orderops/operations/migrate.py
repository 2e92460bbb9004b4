"""What all migration commands share: the question, the run and its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.engine.task import RecentWrites
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen, field
from orderops.migrations import migrator
from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import OnSessionWait, Sessions, opened
from orderops.migrations.execution.transaction import locks_of_file, tables_made
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.sql.files import Migration, SqlFile, read_migrations, sql_folder
from orderops.migrations.sql.locks import ExecutionMode, execution_mode
from orderops.migrations.sql.parser import Statement
from orderops.migrations.sql.validation import checked
from orderops.operations import schema_owner, service_login
from orderops.operations.migration_target import MigrationTarget, connected, target_of
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change
from orderops.text.durations import measured
from orderops.text.lists import joined
from orderops.ui import console
from orderops.ui.background import unblocked_stderr
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from orderops.infra.plan import Plan
    from orderops.infra.workspace import Workspace
    from orderops.runs.run import Run


@contextmanager
def open_runner(
    database: MigrationTarget, *, wait: timedelta, budget: timedelta, terminate: ChangeOptions | None = None
) -> Iterator[tuple[Runner, Progress]]:
    """Open a runner of migrations while no other operator migrates this database.

    Blocking sessions are terminated after the question that `terminate` allows, and never without it.
    """
    with unblocked_stderr(), Progress() as progress, _sessions(database, wait, progress) as sessions:
        sessions.work.add_notice_handler(lambda notice: console.info(f"{notice.severity}: {notice.message_primary}"))
        monitor = LockMonitor(sessions.monitor, sessions.own)
        may_end = _ask_to_terminate(terminate, progress) if terminate else None
        lock_waiter = LockWaiter(monitor, RetryBudget(budget), may_end=may_end)
        with Watcher(lock_waiter, sessions.work.info.backend_pid) as watcher:
            yield Runner(sessions, lock_waiter, watcher, progress.watch, console.info_folded, database.limits), progress


@contextmanager
def ledger_sessions(database: MigrationTarget, *, wait: timedelta) -> Iterator[Sessions]:
    """Open connections to write to the ledger, while no other operator migrates this database."""
    with unblocked_stderr(), Progress() as progress, _sessions(database, wait, progress) as sessions:
        yield sessions


Note = Callable[..., None]
"""Adds an entry to the run's record."""


class ConfirmedChange(Frozen):
    """A change that was agreed to: what adds to its record, and the writes that its lease has to outlast."""

    note: Note
    recent_writes: RecentWrites = field(default_factory=RecentWrites)


@contextmanager
def confirmed(database: MigrationTarget, options: ChangeOptions, question: str) -> Iterator[ConfirmedChange]:
    """Ask, and hold the environment's lease if the database belongs to one."""
    if database.workspace is None or database.lease is None:
        console.confirm(question, yes=options.yes)
        # The operator's machine holds the lease of a remote job, and copies the job's notes into the record.
        yield ConfirmedChange(database.job.note if database.job else lambda **_: None)
        return
    from orderops.operations.deployments import check_receives_schema
    from orderops.operations.locked import locked_run

    check_receives_schema(database.workspace)
    confirm_change(database.workspace, question, options)
    with locked_run(database.workspace, options, database.lease) as run:
        yield ConfirmedChange(run.record.note, run.recent_writes)


class SchemaChange(Frozen):
    """Whether migrations are applied or undone, in the words of question, record and report; and its lock options."""

    verb: str
    preposition: str
    action: str
    done: str
    budget: timedelta
    terminate: bool
    """Whether blocking sessions may be terminated."""


def run_migrations(
    database: MigrationTarget,
    options: ChangeOptions,
    wanted: Sequence[MigrationStatus],
    change: SchemaChange,
    run: Callable[[Runner], Iterator[MigrationStatus]],
) -> None:
    """Ask, run migrations, show and record each, and sum up. `run` decides again under the lock which are left."""
    terminate = options if change.terminate else None
    if terminate:
        check_can_ask(terminate)
    names = joined([status.name for status in wanted])
    with confirmed(database, options, f"{change.verb} {names} {change.preposition} {database.name}?") as agreed:
        with open_runner(database, wait=options.wait, budget=change.budget, terminate=terminate) as (runner, progress):
            if change.action == "apply":
                schema_owner.hand_over(database, runner)
            finished = show_done(progress, agreed.note, run(runner), change.action, change.done)
            if change.action == "apply":
                # Files that run as the user that logs in, and dumps, make tables of that user.
                schema_owner.hand_over(database, runner)
            # Without the time that a slow reader of the output takes.
            elapsed = progress.elapsed
        service_login.follow_migrations(database, agreed.recent_writes)
    meanwhile = "" if finished else f": another operator has {change.done} them"
    console.info(f"{len(finished)} {change.done} in {measured(elapsed)}{meanwhile}")
    console.info(f"next: orderops migrate info {database.options}".rstrip())


def show_done(
    progress: Progress, note: Note, done: Iterator[MigrationStatus], action: str, word: str
) -> list[MigrationStatus]:
    """Show and record each migration when it is done; return them all."""
    finished: list[MigrationStatus] = []
    before = progress.elapsed
    for status in done:
        now = progress.elapsed
        progress.finished(f"migration {status.name}", f"{word} in {measured(now - before)}")
        note(migration=status.name, action=action)
        before = now
        finished.append(status)
    return finished


def show_wanted(files: Sequence[SqlFile], action: str) -> None:
    """Show what files would do, statement by statement."""
    from orderops.ui.migrations import show_statements

    for file in files:
        script = checked(file)
        # A lock on a table that the same file creates blocks no client.
        created = tables_made(script)
        statements = [
            (statement, locks_of_file([statement], made=created), _transaction_of(file, statement))
            for statement in script
        ]
        show_statements(file.name, statements, action)
    if not files:
        console.info("nothing to do")


def check_can_ask(options: ChangeOptions) -> None:
    """Raise UsageError if orderops would have to ask about blocking sessions and has no terminal."""
    if not options.yes and not console.is_interactive():
        raise UsageError("cannot ask before terminating blocking sessions: stdin is not a terminal", "pass --yes")


def _ask_to_terminate(options: ChangeOptions, progress: Progress) -> Callable[[Blocker], bool]:
    """The question before a blocking session is terminated."""

    def may_end(blocker: Blocker) -> bool:
        if options.yes:
            console.info_folded(f"terminating {blocker.describe}")
            return True
        # The live view would redraw over the question.
        with progress.paused():
            try:
                console.confirm(f"Terminate {blocker.describe}?", yes=False)
            except OrderopsError:
                return False
        return True

    return may_end


# Migrations as part of `up`, in environments with `on_up`.


def migrations_of(workspace: Workspace, folder: Path | None) -> list[Migration]:
    """The migrations that `up` applies; none unless the environment sets `on_up`.

    Raises UsageError if the database is reached through a service, which does not run before the first release.
    """
    if not workspace.environment.migrations.on_up:
        return []
    if workspace.environment.database.access != "direct":
        access, name = workspace.environment.database.access, workspace.environment.name
        raise UsageError(
            f'{name}.toml: on_up = true in [migrations] requires access = "direct" in [database], which is {access!r}',
            f"remove on_up, and migrate after the first release: orderops migrate apply --env {name}",
        )
    return read_migrations(sql_folder(folder))


def migrate(workspace: Workspace, migrations: Sequence[Migration], run: Run) -> None:
    """Apply pending migrations and show each; then the services have a role of their own in the database."""
    if not workspace.environment.migrations.on_up:
        return
    # `on_up` is meant for laptops, where failing after a minute is better than waiting for ten.
    limit = timedelta(minutes=1)
    with target_of(workspace) as database:
        if migrations:
            with open_runner(database, wait=limit, budget=limit) as (runner, progress):
                schema_owner.hand_over(database, runner)
                show_done(progress, run.record.note, migrator.apply(runner, migrations), "apply", "applied")
                schema_owner.hand_over(database, runner)
        service_login.follow_migrations(database, run.recent_writes)


def to_migrate(workspace: Workspace, planned: Plan, migrations: Sequence[Migration]) -> list[Migration]:
    """Return the pending migrations: all of them if the database does not exist yet."""
    from orderops.engine.step import Action

    to_create = {step.address for step in planned.changes if step.action is Action.CREATE}
    if not migrations or workspace.stack.pointer.address in to_create:
        return list(migrations)
    with target_of(workspace) as database, connected(database) as connection:
        statuses = migrator.plan(migrator.overview(connection, migrations))
        return [status.migration for status in statuses if status.migration]


def show_pending(workspace: Workspace, planned: Plan, migrations: Sequence[Migration]) -> None:
    """Show the migrations that would be applied."""
    try:
        for migration in to_migrate(workspace, planned, migrations):
            console.data(f"+ apply migration {migration.name}")
    except OrderopsError as error:
        # A dry run also works while the database is stopped.
        console.info_error("migrations: ", error)


def _sessions(database: MigrationTarget, wait: timedelta, progress: Progress) -> AbstractContextManager[Sessions]:
    return opened(database.login, database.author, wait=wait, waiting=_show_wait(database, progress))


def _show_wait(database: MigrationTarget, progress: Progress) -> OnSessionWait:
    """Show each other session that migrates the database once, and that orderops waits for it."""
    shown: list[str] = []

    def waiting(other: str, _: float) -> None:
        if other and other not in shown:
            console.info_folded(f"{other}; waiting")
        if other or any(shown):
            progress.watch(database.name, "waiting for the other migration" if other else "")
        shown.append(other)

    return waiting


def _transaction_of(file: SqlFile, statement: Statement) -> str:
    """How a statement is run; empty if in the file's transaction."""
    if file.head.batch:
        return f"in batches of at most {file.head.batch.size} rows by {file.head.batch.key}"
    if not file.head.no_transaction:
        return ""
    mode = execution_mode(statement, repeatable=file.head.repeatable)
    outside = mode in (ExecutionMode.NON_TRANSACTIONAL, ExecutionMode.COMMITS)
    return str(mode) if outside else "in a transaction of its own"
