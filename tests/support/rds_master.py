"""A database as RDS makes one: its master user is no superuser. Runs on it, and its roles' end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from orderops.database.connection import Login, login_from_dsn
from orderops.local.rds import roles
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import opened
from orderops.migrations.ledger.table import Author

USER, PASSWORD = "schema_keeper", "of-the-master"
ROLES = ("orderops_service", "orderops_service_b", "orderops_reader", "orderops_owner", "bystander")


@dataclass(frozen=True)
class MasterDatabase:
    """A database, and what opens it."""

    server: PostgresServer
    name: str

    @property
    def login(self) -> Login:
        """As the master user."""
        return login_from_dsn(f"{self.server.dsn(self.name)} user={USER} password={PASSWORD}")

    def connect(self, user: str = USER, password: str = PASSWORD) -> psycopg.Connection:
        """A session of a user, in autocommit."""
        return psycopg.connect(self.server.dsn(self.name), user=user, password=password, autocommit=True)

    @contextmanager
    def runner(self, budget: float = 5) -> Iterator[Runner]:
        """A run that holds the migration lock; `budget` in seconds."""
        author = Author("jane", "a laptop")
        with opened(self.login, author, wait=timedelta(seconds=30), waiting=lambda *_: None) as sessions:
            waiter = LockWaiter(LockMonitor(sessions.monitor, sessions.own), RetryBudget(timedelta(seconds=budget)))
            with Watcher(waiter, sessions.work.info.backend_pid) as watcher:
                yield Runner(sessions, waiter, watcher)

    def owners(self) -> dict[str, str]:
        """Who owns each table, view, sequence and function, and the database."""
        with self.server.connect(self.name) as administrator:
            return dict(
                administrator.execute(
                    "select relname, relowner::regrole::text from pg_class join pg_namespace n on n.oid = relnamespace"
                    " where relkind in ('r', 'p', 'v', 'm', 'S', 'f') "
                    " and relname !~ '^pg_stat' and nspname !~ '^(pg_|information)'"
                    " union all select proname, proowner::regrole::text from pg_proc"
                    " where pronamespace::regnamespace::text !~ '^(pg_|information)' "
                    " and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass"
                    "                 and d.objid = pg_proc.oid and d.deptype in ('i', 'e'))"
                    " union all select 'DATABASE', datdba::regrole::text from pg_database"
                    " where datname = current_database()"
                ).fetchall()
            )


@contextmanager
def master_database(server: PostgresServer) -> Iterator[MasterDatabase]:
    """A new database; with it go the roles of orderops."""
    database = MasterDatabase(server, f"mastered_{uuid.uuid4().hex[:8]}")
    roles.set_up(server, USER, PASSWORD, database.name)
    try:
        yield database
    finally:
        server.drop_database(database.name)
        with server.connect() as administrator:
            for role in ROLES:
                administrator.execute(f"drop role if exists {role}".encode())
        # The databases of other tests on this server begin as copies of template1.
        for template in ("template1", "postgres"):
            with server.connect(template) as administrator:
                administrator.execute("drop extension if exists pg_stat_statements")
