"""The digest of a schema: equal for equal schemas, different after any change."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from orderops.migrations.schema_snapshot import differences, schema_digest, schema_lines

pytest_plugins = ["support.postgres_fixtures"]

FIRST = "create type mood as enum ('sad', 'glad')"
PARTS = (
    "create domain cents as bigint check (value >= 0)",
    "create table users (id bigint generated always as identity primary key, name text not null, feels mood)",
    "create function twice(n int) returns int language sql as 'select 2 * n'",
    "create sequence numbers increment 5",
)
TOGETHER = (
    "create table orders (id uuid primary key, of_user bigint references users, paid cents, at timestamptz not null"
    " default '2026-01-01 12:00+01', twice int default twice(2))",
    "create index orders_of_user on orders (of_user) where paid > 0",
    "create view rich as select name from users where id in (select of_user from orders where paid > 100)",
    "create function stamp() returns trigger language plpgsql as 'begin return new; end'",
    "create trigger stamped before insert on orders for each row execute function stamp()",
    "create table parted (id int, day date) partition by range (day)",
    "create table parted_1 partition of parted for values from ('2026-01-01') to ('2026-02-01')",
    "create statistics together on of_user, paid from orders",
    "comment on column orders.paid is 'in cents'",
    "alter table users enable row level security",
    "create policy own on users using (name = current_user)",
    "create aggregate product (int) (sfunc = int4mul, stype = int, initcond = '1')",
)
CHANGES = {
    "a table beside the ledger": "create schema if not exists orderops_ledger;"
    " create table orderops_ledger.hand (id int)",
    "a column": "alter table users add column email text",
    "a default": "alter table orders alter column twice set default 3",
    "a type": "alter table orders alter column twice type bigint",
    "not null": "alter table users alter column feels set not null",
    "an index": "create index on users (name)",
    "a constraint": "alter table users add constraint named check (name <> '') not valid",
    "a constraint made valid": "alter table users add constraint named check (name <> '')",
    "a value of an enum": "alter type mood add value 'mad'",
    "a function's body": "create or replace function twice(n int) returns int language sql as 'select n + n'",
    "a right": "grant select on users to public",
    "a right on a column": "grant update (name) on users to public",
    "a comment": "comment on table users is 'people'",
    "a sequence": "alter sequence numbers increment 6",
    "a view": "create or replace view rich as select name from users",
    "a trigger switched off": "alter table orders disable trigger stamped",
    "a policy": "drop policy own on users",
    "an option": "alter table users set (fillfactor = 90)",
    "a domain": "alter domain cents drop constraint cents_check",
    "the name of a table": "alter table users rename to people",
    "statistics": "drop statistics together",
}


@pytest.fixture(scope="module")
def connection(module_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database, autocommit=True) as connection:
        for statement in (FIRST, *PARTS, *TOGETHER):
            connection.execute(statement.encode())
        yield connection


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_changes_the_digest_and_its_undo_restores_it(connection: psycopg.Connection, change: str) -> None:
    before = schema_digest(connection)
    with connection.transaction(force_rollback=True):
        connection.execute(change.encode())

        assert schema_digest(connection) != before

    assert schema_digest(connection) == before


def test_the_digest_does_not_depend_on_the_order_of_creation(connection: psycopg.Connection, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("set timezone = 'Asia/Tokyo'; set datestyle = 'German'; create table gone (); drop table gone")
        other.execute(
            "create schema orderops_ledger; create table orderops_ledger.ledger (id int);"
            " comment on table orderops_ledger.ledger is 'x'"
        )
        for statement in (FIRST, *reversed(PARTS), *TOGETHER):
            other.execute(statement.encode())
        other.execute(
            "alter table users add column x int; alter table users drop column x; insert into users (name) values ('a')"
        )

        assert differences(schema_lines(connection), schema_lines(other)) == []
        assert schema_digest(other) == schema_digest(connection)


def test_the_search_path_of_the_session_is_kept_and_does_not_matter(connection: psycopg.Connection) -> None:
    before = schema_digest(connection)
    connection.execute("set search_path = pg_catalog")

    assert schema_digest(connection) == before
    assert connection.execute("show search_path").fetchone() == ("pg_catalog",)
    connection.execute("reset search_path")


def test_objects_of_an_extension_are_not_listed(connection: psycopg.Connection) -> None:
    before = schema_lines(connection)
    with connection.transaction(force_rollback=True):
        connection.execute("create extension pg_stat_statements")

        assert differences(before, schema_lines(connection)) == ['+ extension pg_stat_statements: ["public"]']
