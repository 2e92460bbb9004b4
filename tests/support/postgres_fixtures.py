"""Fixtures: a real PostgreSQL, one server a run, and a fresh database for each test.

A test module asks for them with `pytest_plugins =
["support.postgres_fixtures"]` in the top conftest, and takes `database`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for this run, or for this worker of it; its administrator is a superuser."""
    with scratch("orderops-postgres-") as directory:
        server = PostgresServer(
            directory / "server",
            settings={
                **UNDURABLE,
                "max_connections": "200",
                "max_prepared_transactions": "5",
                "shared_preload_libraries": "pg_stat_statements",
            },
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database for the tests of a module. A worker may set a module up twice, so its name is its own."""
    yield from _database(postgres)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of an empty database of this test's own."""
    yield from _database(postgres)


def _database(postgres: PostgresServer) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)
