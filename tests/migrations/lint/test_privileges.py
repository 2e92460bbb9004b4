"""What lint says of statements that the owner of the schema may not run, and what a server says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.handing_over import hand_over
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import Migration, SqlFile
from support.rds_master import master_database

pytest_plugins = ["support.postgres_fixtures"]

BEFORE = """
create role bystander; create table orders (id int); create schema sales;
create function ended() returns event_trigger language plpgsql as 'begin end';
"""
REFUSED = {
    "a role": "create role another",
    "a user": "create user another",
    "a changed role": "alter role bystander createdb",
    "a setting of a role": "alter role bystander set work_mem = '8MB'",
    "a dropped role": "drop role bystander",
    "a member": "grant bystander to pg_monitor",
    "what another role owns": "reassign owned by bystander to orderops_owner",
    "what another role owns, dropped": "drop owned by bystander",
    "a setting of the server": "alter system set work_mem = '8MB'",
    "an event trigger": "create event trigger e on ddl_command_end execute function ended()",
    "a foreign-data wrapper": "create foreign data wrapper f",
    "a database": "create database another",
    "a publication of everything": "create publication p for all tables",
    "a publication of a schema": "create publication p for tables in schema public",
    "an extension that is not trusted": "create extension pageinspect",
    "a table given away": "alter table orders owner to bystander",
    "a table given back": "alter table orders owner to session_user",
    "a schema given away": "alter schema sales owner to bystander",
}
ALLOWED = {
    "a table": "create table more (id int)",
    "a trusted extension": "create extension hstore",
    "a publication of a table": "create publication p for table orders",
    "a grant": "grant select on orders to bystander",
    "a setting of the database": "alter database {name} set work_mem = '8MB'",
    "a table kept": "alter table orders owner to current_user",
    "a closed schema": "revoke all on schema public from public",
}
HEADS = ("-- orderops: owner session_user", "-- orderops: owner shop", "-- PostgreSQL database dump")


@pytest.fixture(scope="module")
def owner(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """A session that has become the owner of the schema, in a database with some things in it."""
    with master_database(postgres) as database, database.connect() as master:
        master.execute(BEFORE.encode())
        with database.runner() as runner:
            hand_over(runner)
        master.execute("set role orderops_owner")
        yield master
        master.close()


def found(text: str) -> list[str]:
    """The rules that find something about privileges in a V file."""
    files = (SqlFile(Path(f"sql/{letter}001__case.sql"), body) for letter, body in (("V", text), ("U", "select 1;\n")))
    findings = lint([Migration(1, "case", *files)])
    return [finding.rule for finding in findings if finding.rule == "needs-session-user"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_server_refuses_the_owner_is_found(owner: psycopg.Connection, case: str) -> None:
    assert found(f"{REFUSED[case]};\n") == ["needs-session-user"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(REFUSED[case].encode())


@pytest.mark.parametrize("case", ALLOWED)
def test_what_a_server_lets_the_owner_do_is_not_found(owner: psycopg.Connection, case: str) -> None:
    statement = ALLOWED[case].format(name=owner.info.dbname)
    assert found(f"{statement};\n") == []
    with owner.transaction(force_rollback=True):
        owner.execute(statement.encode())


@pytest.mark.parametrize("head", HEADS)
def test_a_file_that_another_role_runs_may_need_what_it_wants(head: str) -> None:
    assert found(f"{head}\ncreate role another;\n") == []
