"""Which database a migration command works on: an environment's, or the one that a connection string names."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.database.connection import Login, connect, connect_by_access, login_from_dsn
from orderops.errors import UsageError
from orderops.frozen import Frozen
from orderops.migrations.ledger.table import Author
from orderops.migrations.sql.batches import BatchLimits
from orderops.migrations.sql.files import read_migrations, sql_folder
from orderops.operations.options import MigrateOptions
from orderops.operations.workspace import open_workspace
from orderops.remote.job import CurrentJob
from orderops.remote.tunnel import tunnel_of

if TYPE_CHECKING:
    from psycopg import Connection

    from orderops.infra.workspace import Workspace
    from orderops.operations.locked import LeaseReading

DSN = "ORDEROPS_DSN"


class MigrationTarget(Frozen):
    """The database to migrate, and how it is reached."""

    login: Login
    author: Author
    name: str
    """The environment's name, or the description of another database."""
    options: str
    """The options that lead another command to the same database and files."""
    workspace: Workspace | None = None
    lease: LeaseReading | None = None
    job: CurrentJob | None = None

    @property
    def limits(self) -> BatchLimits:
        """The environment's limits for a backfill."""
        settings = settings_of(self.workspace) if self.workspace else self.job.request.settings if self.job else None
        if not settings:
            # Another database than an environment's has no file that could set limits.
            return BatchLimits()
        return BatchLimits(settings["max_replication_lag_seconds"], settings["max_waiting_sessions"])


@contextmanager
def target(where: MigrateOptions, *, changes: bool = False) -> Iterator[MigrationTarget]:
    """Open the database of an environment, or the one that a connection string names.

    With `changes`, reading the environment's lease starts in the background.
    """
    if login := _login(where.dsn):
        # A connection string from the environment variable applies to the next command as well.
        options = f"--dsn {shlex.quote(where.dsn)}" if where.dsn else ""
        yield MigrationTarget(login, _author(_user()), login.describe, _with_sql(options, where.sql))
        return
    if where.job:
        request = where.job.request
        author = Author(request.who, request.host)
        yield MigrationTarget(where.job.login(), author, request.environment, request.options, job=where.job)
        return
    from orderops.operations.locked import read_lease

    workspace = open_workspace(where.env, where.environments)
    lease = read_lease(workspace) if changes else None
    with _open_login(workspace) as login:
        yield MigrationTarget(
            login, _author(workspace.aws.caller), where.env, lead_of(where.env, where.sql), workspace, lease
        )


def is_other_database(dsn: str | None) -> bool:
    """Whether a connection string names the database instead of the environment."""
    return dsn is not None or bool(os.environ.get(DSN))


def files_of(folder: Path | None) -> dict[str, str]:
    """Return the text of each migration file by its name. Raises UsageError if a file is invalid."""
    migrations = read_migrations(sql_folder(folder))
    return {file.name: file.text for migration in migrations for file in (migration.forwards, migration.back)}


def settings_of(workspace: Workspace) -> dict[str, int]:
    """The settings of the environment file that limit backfills."""
    declared = workspace.environment.migrations
    names = ("max_replication_lag_seconds", "max_waiting_sessions")
    return {name: getattr(declared, name) for name in names}


def lead_of(env: str, sql: Path | None) -> str:
    """The options that lead another command to the same environment and files."""
    return _with_sql(f"--env {env}", sql)


@contextmanager
def connected(database: MigrationTarget) -> Iterator[Connection]:
    """Open a connection for reading."""
    with connect(database.login, name="orderops migrate monitor") as connection:
        yield connection


@contextmanager
def target_of(workspace: Workspace) -> Iterator[MigrationTarget]:
    """Open the database of an open environment."""
    name = workspace.environment.name
    with _open_login(workspace) as login:
        yield MigrationTarget(login, _author(workspace.aws.caller), name, f"--env {name}", workspace)


@contextmanager
def _open_login(workspace: Workspace) -> Iterator[Login]:
    access, name = workspace.environment.database.access, workspace.environment.name
    with connect_by_access(
        workspace.aws, workspace.stack.pointer.name, access=access, name=name, tunnel=tunnel_of(workspace)
    ) as login:
        yield login


def _login(given: str | None) -> Login | None:
    """The login of a connection string, if there is one. Raises UsageError if it is empty or holds a password."""
    if given is None:
        from_environment = os.environ.get(DSN)
        return login_from_dsn(from_environment) if from_environment else None
    if not given.strip():
        # An unset variable in a script must not lead to the environment's database instead.
        raise UsageError("--dsn is empty", "check that the variable it comes from is set; or pass --env instead")
    login = login_from_dsn(given)
    if login.password:
        raise UsageError(
            "--dsn holds a password, which every user of this machine can read in the list of processes",
            f"pass the password as PGPASSWORD or in ~/.pgpass, or the whole connection string as {DSN}",
        )
    return login


def _with_sql(options: str, sql: Path | None) -> str:
    return f"{options} --sql {shlex.quote(str(sql))}".strip() if sql else options


def _author(who: str) -> Author:
    return Author(who, socket.gethostname())


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run with a user id that has no entry in /etc/passwd.
        return "unknown user"
