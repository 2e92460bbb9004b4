"""Fixtures: the commands of `migrate` on an empty database and an empty folder of a test's own.

A test module asks for them with `pytest_plugins =
["support.postgres_fixtures", "support.migrate_fixtures"]`, and takes `run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from support.command_line import Orderops
from support.migrate_runs import Run

NAME = "test_migrations"
EMPTY = f"""
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
do $$ declare name text; begin
    for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', name);
    end loop;
end $$;
create schema public authorization pg_database_owner;
grant usage on schema public to public;
alter database {NAME} reset all;
"""


@pytest.fixture(scope="session")
def emptied(postgres: PostgresServer) -> str:
    """The DSN of a database that each test leaves empty: to empty one is quicker than to make one."""
    return postgres.create_database(NAME)


@pytest.fixture
def run(
    emptied: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """`run("apply", "--yes")` in this process; `run.process` in one of its own."""
    monkeypatch.setenv("ORDEROPS_DSN", emptied)
    yield Run(emptied, tmp_path / "sql", Orderops(capfd))
    with psycopg.connect(emptied, autocommit=True) as connection:
        connection.execute(EMPTY.encode())
