"""The role of the services on a real server: it reads and writes every table, and changes no schema."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from orderops.database import service_role
from orderops.local.rds import roles
from orderops.local.rds.postgres import PostgresServer

pytest_plugins = ["support.postgres_fixtures"]

ROLE = "orderops_service"


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    """A database of this test, as RDS makes one: its owner is a master user who is no superuser."""
    name = f"services_{uuid.uuid4().hex[:8]}"
    roles.set_up(postgres, "services_keeper", "of-the-master", name)
    yield name
    postgres.drop_database(name)
    with postgres.connect() as administrator:
        administrator.execute(f"drop role if exists {ROLE}, orderops_reader".encode())
    # The databases of other tests on this server begin as copies of template1.
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


@pytest.fixture
def master(postgres: PostgresServer, name: str) -> Iterator[psycopg.Connection]:
    with _as(postgres, name, "services_keeper", "of-the-master") as connection:
        yield connection


@pytest.fixture
def service(postgres: PostgresServer, name: str, master: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection of the services, with a table that was there before the role."""
    master.execute("create table orders (id bigserial primary key, total numeric)")
    service_role.establish(master, ROLE, "of-the-services")
    with _as(postgres, name, ROLE, "of-the-services") as connection:
        yield connection


def _as(postgres: PostgresServer, name: str, user: str, password: str) -> psycopg.Connection:
    return psycopg.connect(postgres.dsn(name), user=user, password=password, autocommit=True)


def test_it_reads_and_writes_a_table_that_was_there_before(service: psycopg.Connection) -> None:
    service.execute("insert into orders (total) values (1)")
    service.execute("update orders set total = 2")

    assert service.execute("select id, total from orders").fetchall() == [(1, 2)]
    service.execute("delete from orders")


def test_it_reads_and_writes_a_table_that_a_migration_creates_later(
    master: psycopg.Connection, service: psycopg.Connection
) -> None:
    master.execute("create table later (id int generated always as identity, at timestamptz default now())")

    service.execute("insert into later default values")

    assert service.execute("select id from later").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id int)",
        "alter table orders add column more int",
        "drop table orders",
        "truncate orders",
        "create schema orderops_service",
        "create role another",
        "select * from orderops_ledger.ledger",
    ],
)
def test_it_changes_no_schema_and_does_not_see_the_ledger(
    master: psycopg.Connection, service: psycopg.Connection, statement: str
) -> None:
    master.execute("create schema orderops_ledger; create table orderops_ledger.ledger (id int)")
    service_role.give_access(master)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement.encode())


def test_a_schema_created_later_is_granted_with_its_tables(
    master: psycopg.Connection, service: psycopg.Connection
) -> None:
    master.execute('create schema "Sales"; create table "Sales"."of the year" (n int)')

    assert service_role.give_access(master) == ["Sales"]

    assert service.execute('select * from "Sales"."of the year"').fetchall() == []
    assert service_role.give_access(master) == []


def test_a_view_a_partition_and_a_sequence_are_granted(master: psycopg.Connection, service: psycopg.Connection) -> None:
    master.execute(
        "alter default privileges revoke all on tables from orderops_service;"
        "alter default privileges revoke all on sequences from orderops_service;"
        "create view totals as select sum(total) from orders; create sequence numbers;"
        "create table parts (n int) partition by list (n); create table parts_1 partition of parts for values in (1)"
    )

    assert sorted(service_role.give_access(master)) == ["numbers", "parts", "parts_1", "totals"]

    service.execute("insert into parts values (1)")
    assert service.execute("select nextval('numbers')").fetchone() == (1,)


def test_a_table_of_another_owner_is_named_and_left_alone(
    postgres: PostgresServer, name: str, master: psycopg.Connection, service: psycopg.Connection
) -> None:
    with postgres.connect(name) as administrator:
        administrator.execute("create table public.foreign_one (n int)")

    assert service_role.give_access(master) == []
    (found,) = service_role.out_of_reach(master)
    assert found.startswith("foreign_one, owned by ")


def test_repeating_it_sets_another_password_and_keeps_open_sessions(
    postgres: PostgresServer, name: str, master: psycopg.Connection, service: psycopg.Connection
) -> None:
    service_role.establish(master, ROLE, "another")

    assert service.execute("select 1").fetchone() == (1,)
    _as(postgres, name, ROLE, "another").close()


def test_neither_the_password_nor_its_verifier_stays_in_the_statistics(
    postgres: PostgresServer, name: str, master: psycopg.Connection, service: psycopg.Connection
) -> None:
    with postgres.connect("postgres") as administrator:
        texts = [text for (text,) in administrator.execute("select query from pg_stat_statements")]

    assert not [text for text in texts if "of-the-services" in text]


def test_a_name_that_needs_quotes_is_granted(master: psycopg.Connection, service: psycopg.Connection) -> None:
    odd = 'a "quoted" table; drop table orders'
    master.execute("alter default privileges revoke all on tables from orderops_service")
    master.execute(sql.SQL("create table {} (n int)").format(sql.Identifier(odd)))

    service_role.give_access(master)

    assert service.execute(sql.SQL("select * from {}").format(sql.Identifier(odd))).fetchall() == []
    assert service.execute("select to_regclass('orders') is not null").fetchone() == (True,)


def test_two_operators_at_once_make_one_role(postgres: PostgresServer, name: str, master: psycopg.Connection) -> None:
    def make(number: int) -> None:
        with _as(postgres, name, "services_keeper", "of-the-master") as connection:
            service_role.establish(connection, ROLE, f"password {number}")

    assert not service_role.exists(master)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))

    assert service_role.exists(master)


def test_a_member_of_the_readers_reads_every_table_and_changes_none(
    postgres: PostgresServer, name: str, master: psycopg.Connection, service: psycopg.Connection
) -> None:
    master.execute("create role jane login password 'of-jane'; grant orderops_reader to jane")
    try:
        master.execute("create table later (n int)")
        with _as(postgres, name, "jane", "of-jane") as jane:
            assert jane.execute("select count(*) from orders").fetchone() == (0,)
            assert jane.execute("select count(*) from later").fetchone() == (0,)
            for statement in (b"insert into orders default values", b"delete from later", b"drop table later"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    jane.execute(statement)
    finally:
        master.execute("drop role jane")


def test_readers_get_what_they_lack_when_the_services_lack_nothing(
    master: psycopg.Connection, service: psycopg.Connection
) -> None:
    master.execute("alter default privileges revoke all on tables from orderops_reader; create table later (n int)")

    assert service_role.give_access(master) == ["later"]
    assert service_role.give_access(master) == []
