"""A scratch database: nothing of it stays, nothing else of the server is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orderops.database.connection import login_from_dsn
from orderops.errors import OrderopsError
from orderops.migrations.trial.scratch_database import scratch_database
from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
LEFT = "orderops_lint_scratch_0123456789ab"
SIMILAR = ("orderops_lint_scratch_mine", "orderops_lint_scratch_0123456789abc")
"""Databases of an operator, whose names only begin like those of a scratch database."""


@pytest.fixture
def server(database: str) -> Iterator[psycopg.Connection]:
    """A session on a server that is left without the databases and the role of a test."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection
        for name in (LEFT, *SIMILAR):
            connection.execute(f"drop database if exists {name} with (force)".encode())
        connection.execute("drop role if exists lint_plain; drop role if exists lint_creator")


def scratch_databases(connection: psycopg.Connection) -> list[str]:
    query = "select datname from pg_database where datname like 'orderops\\_lint%' order by 1"
    return [name for (name,) in connection.execute(query)]


def sweep(database: str) -> list[str]:
    swept: list[str] = []
    with scratch_database(login_from_dsn(database), swept=swept.append):
        pass
    return swept


def test_what_a_killed_run_left_is_swept_and_a_similar_name_is_not(database: str, server: psycopg.Connection) -> None:
    for name in (LEFT, *SIMILAR):
        server.execute(f"create database {name}".encode())

    assert sweep(database) == [LEFT]
    assert scratch_databases(server) == sorted(SIMILAR)


def test_the_scratch_database_of_another_run_is_not_swept(database: str, server: psycopg.Connection) -> None:
    with scratch_database(login_from_dsn(database)) as other:
        assert sweep(database) == []
        assert scratch_databases(server) == [other.login.dbname]
    assert scratch_databases(server) == []


def test_a_database_in_use_is_not_swept(database: str, server: psycopg.Connection) -> None:
    server.execute(f"create database {LEFT}".encode())
    with psycopg.connect(make_conninfo(database, dbname=LEFT)):
        assert sweep(database) == []
    assert scratch_databases(server) == [LEFT]


def test_a_database_of_another_owner_is_not_swept(database: str, server: psycopg.Connection) -> None:
    server.execute("create role lint_creator createdb login password 'x'")
    server.execute(f"create database {LEFT}".encode())

    assert sweep(make_conninfo(database, user="lint_creator", password="x")) == []
    assert scratch_databases(server) == [LEFT]


def test_a_role_without_createdb_is_refused_with_what_to_do(database: str, server: psycopg.Connection) -> None:
    server.execute("create role lint_plain login password 'x'")
    login = login_from_dsn(make_conninfo(database, user="lint_plain", password="x"))

    with pytest.raises(OrderopsError, match="lint_plain may not create databases") as refused, scratch_database(login):
        pass

    assert 'ALTER ROLE "lint_plain" CREATEDB' in refused.value.hint


def test_a_scratch_database_is_dropped_whatever_happens(database: str, server: psycopg.Connection) -> None:
    with pytest.raises(ZeroDivisionError), scratch_database(login_from_dsn(database)) as scratch:
        scratch.recreate()
        with psycopg.connect(make_conninfo(database, dbname=scratch.login.dbname)):
            raise ZeroDivisionError

    assert scratch_databases(server) == []


def test_a_killed_command_leaves_a_database_that_the_next_one_drops(run: Run) -> None:
    run.write("001__long", "select pg_sleep(60)")
    killed = run.process("lint", "--execute")
    until(
        lambda: bool(
            run.rows("select from pg_stat_activity where datname ~ '^orderops_lint' and query like '%pg_sleep(60)%'")
        ),
        "the file runs",
    )
    left = str(run.rows("select datname from pg_database where datname ~ '^orderops_lint_scratch'")[0][0])
    killed.kill()
    until(lambda: not run.rows(f"select from pg_stat_activity where datname = '{left}'"), "its sessions have ended")
    run.write("001__long", "create table t (id int)", "drop table t")

    next_one = run("lint", "--execute")

    assert next_one.code == 0, next_one
    assert f"dropped {left}, which an interrupted run had left" in next_one.err
    assert "1 migration (1 undo proven right by execution): 0 errors, 0 warnings" in next_one.err
    assert run.rows("select from pg_database where datname ~ '^orderops_lint_scratch'") == []


def test_an_environment_on_aws_is_no_place_for_a_scratch_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDEROPS_DSN")
    run.write("001__t", "create table t (id int)", "drop table t")
    environments = Path(__file__).parents[3] / "environments"

    refused = run("lint", "--execute", "--env", "staging", "--environments", str(environments))

    assert refused.code == 2
    assert "staging is on AWS" in refused.err


def test_a_dsn_without_execution_is_refused(run: Run) -> None:
    run.write("001__t", "create table t (id int)", "drop table t")

    assert "--dsn names a server for --execute" in run("lint", "--dsn", "dbname=x").err
