"""Fixtures: a database for the cases of `migration_cases`, which each test leaves empty, and the commands on it.

A test module asks for them with `pytest_plugins =
["support.postgres_fixtures", "support.migration_case_fixtures"]`, and takes `place`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from support.command_line import Orderops
from support.migration_cases import Place


@pytest.fixture(scope="module")
def case_connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a database of the module's own."""
    name = f"inputs_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.create_database(name), autocommit=True) as connection:
        yield connection
    postgres.drop_database(name)


@pytest.fixture
def place(
    case_connection: psycopg.Connection,
    postgres: PostgresServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """The database and a folder for files, and who logs in; emptied after the test."""
    database = case_connection.info.dbname
    monkeypatch.setenv("ORDEROPS_DSN", postgres.dsn(database))

    def become(user: str) -> None:
        monkeypatch.setenv("ORDEROPS_DSN", postgres.dsn(database, user=user, password="secret"))

    place = Place(case_connection, tmp_path / "sql", Orderops(capsys), become)
    yield place
    place.clear()
