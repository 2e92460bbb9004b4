"""Fixtures: two databases of one server, live and restored, empty for each test.

A test module loads them with `pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]` and uses `two`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from orderops.database.connection import Login, login_from_dsn
from orderops.local.rds.postgres import PostgresServer

NAMES = ("test_live", "test_restored")
EMPTY = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
do $$ declare name text; begin
    for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', name);
    end loop;
    for name in select extname from pg_extension where extname <> 'plpgsql' loop
        execute format('drop extension if exists %I cascade', name);
    end loop;
end $$;
create schema public authorization pg_database_owner;
grant usage on schema public to public;
"""


@dataclass(frozen=True)
class Database:
    """One of the two databases."""

    dsn: str

    @property
    def login(self) -> Login:
        return login_from_dsn(self.dsn)

    def execute(self, *statements: str) -> None:
        """Execute SQL; each text is one transaction."""
        with psycopg.connect(self.dsn, autocommit=True, client_encoding="utf8") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.dsn, autocommit=True, client_encoding="utf8") as connection:
            return list(connection.execute(query.encode()).fetchall())


@dataclass(frozen=True)
class DatabasePair:
    """The databases live and restored, and their server."""

    live: Database
    restored: Database
    server: PostgresServer

    def both(self, *statements: str) -> None:
        """Execute SQL in both."""
        for database in (self.live, self.restored):
            database.execute(*statements)

    def psql(self, into: Database, words: str | Sequence[str]) -> str:
        """Run a script or some commands with psql, which must succeed; returns its output."""
        arguments = ["-f", "-"] if isinstance(words, str) else [part for word in words for part in ("-c", word)]
        done = subprocess.run(
            [self.server.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, into.dsn],
            input=words if isinstance(words, str) else None,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def emptied_pair(postgres: PostgresServer) -> tuple[str, str]:
    # Emptying a database is faster than creating one.
    live, restored = (postgres.create_database(name) for name in NAMES)
    return live, restored


@pytest.fixture
def two(emptied_pair: tuple[str, str], postgres: PostgresServer) -> Iterator[DatabasePair]:
    """Both databases, empty."""
    live, restored = emptied_pair
    two = DatabasePair(Database(live), Database(restored), postgres)
    yield two
    two.both(EMPTY)
