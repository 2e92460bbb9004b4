"""The hand-over of a schema from the master user to the role that owns it from then on, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from orderops.database import service_role
from orderops.database.schema_owner import ownership
from orderops.errors import OrderopsError
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.handing_over import HandedOver, hand_over
from orderops.migrations.schema_snapshot import differences, schema_lines
from support.rds_master import USER, MasterDatabase, master_database

pytest_plugins = ["support.postgres_fixtures"]

OWNER = "orderops_owner"
EVERY_KIND = """
create type mood as enum ('fine');
create domain amount as numeric check (value >= 0);
create type pair as (a int, b int);
create type span as range (subtype = int);
create table orders (id bigserial primary key, number int generated always as identity, total amount, m mood);
create table "Odd ""name" (n int) partition by list (n);
create table parts_1 partition of "Odd ""name" for values in (1);
create view totals as select sum(total) from orders;
create materialized view kept as select 1 as n;
create sequence alone;
create function twice(n int) returns int language sql as 'select 2 * n';
create procedure nothing() language sql as 'select 1';
create aggregate product (int) (sfunc = int4mul, stype = int, initcond = '1');
create operator === (leftarg = int, rightarg = int, function = int4eq);
create collation plain (provider = builtin, locale = 'C.UTF-8');
create text search configuration words (copy = simple);
create statistics related (dependencies) on id, number from orders;
create schema sales;
create table sales.leads (n int);
create schema orderops_ledger;
create table orderops_ledger.ledger (id int);
"""


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[MasterDatabase]:
    with master_database(postgres) as database:
        yield database


@pytest.fixture
def master(database: MasterDatabase) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        yield connection


def handed_over(database: MasterDatabase) -> HandedOver:
    with database.runner() as runner:
        return hand_over(runner)


def test_everything_in_the_schemas_belongs_to_the_owner_afterwards(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute(EVERY_KIND.encode())

    done = handed_over(database)

    assert done.database
    assert set(database.owners().values()) == {OWNER}
    # Whatever else there is in a catalogue with an owner.
    left = master.execute(
        "select pg_describe_object(classid, objid, objsubid) from pg_shdepend where deptype = 'o'"
        " and refobjid = session_user::regrole"
        " and dbid in (select oid from pg_database where datname = current_database())"
    ).fetchall()
    assert left == []


def test_the_master_user_goes_on_to_read_write_and_change_what_it_gave_away(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute("create table orders (id int)")
    handed_over(database)

    master.execute("insert into orders values (1); alter table orders add column more int; drop table orders")


def test_the_second_time_there_is_nothing_to_do(database: MasterDatabase, master: psycopg.Connection) -> None:
    master.execute(EVERY_KIND.encode())
    handed_over(database)

    assert handed_over(database) == HandedOver(False, ())


def test_a_table_that_the_master_user_makes_later_is_handed_over_by_itself(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    handed_over(database)
    master.execute("create table later (id serial)")
    assert ownership(master).others == (f"later, owned by {USER}",)

    assert handed_over(database) == HandedOver(False, ("table public.later",))
    assert ownership(master).others == ()


def test_nobody_logs_in_as_the_owner(database: MasterDatabase, master: psycopg.Connection) -> None:
    handed_over(database)

    assert master.execute(
        "select rolcanlogin, rolsuper, rolcreaterole from pg_roles where rolname = %s", [OWNER]
    ).fetchall() == [(False, False, False)]


def test_tables_of_another_role_are_left_alone_and_named(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect(database.name) as administrator:
        administrator.execute("create table public.foreign_one (n int)")

    handed_over(database)

    (found,) = ownership(master).others
    assert found.startswith("foreign_one, owned by ")


def test_a_function_with_the_rights_of_the_master_user_keeps_them(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute(
        "create function sessions() returns bigint security definer language sql"
        " as 'select count(*) from pg_stat_activity where query is not null'"
    )

    handed_over(database)

    assert database.owners()["sessions"] == USER


def test_a_view_of_what_the_owner_may_not_read_goes_on_to_work(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect(database.name) as administrator:
        administrator.execute(
            f"create table public.foreign_one (n int); grant select on foreign_one to {USER}".encode()
        )
    master.execute("create view near as select n from foreign_one; create view far as select 1 as one")

    handed_over(database)

    assert master.execute("select * from near").fetchall() == []
    assert (database.owners()["near"], database.owners()["far"]) == (USER, OWNER)


def test_a_table_in_a_schema_of_another_role_is_handed_over_where_the_master_user_may_open_the_schema(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect(database.name) as administrator:
        administrator.execute(
            "create schema shared; create schema closed;"
            f"grant usage, create on schema shared to {USER} with grant option".encode()
        )
    master.execute("create table shared.orders (id int)")

    handed_over(database)

    assert database.owners()["orders"] == OWNER
    assert handed_over(database) == HandedOver(False, ())


def test_a_table_in_a_schema_that_the_master_user_may_not_open_is_named(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect(database.name) as administrator:
        administrator.execute(f"create schema shared; grant usage, create on schema shared to {USER}".encode())
    master.execute("create table shared.orders (id int)")

    with database.runner() as runner, pytest.raises(OrderopsError, match="permission denied for schema shared"):
        hand_over(runner)

    assert set(database.owners().values()) == {USER}


def test_extensions_and_publications_stay_with_the_master_user(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute("create extension hstore; create table orders (id int); create publication p for table orders")

    handed_over(database)

    assert master.execute("select extowner::regrole::text from pg_extension where extname = 'hstore'").fetchall() == [
        (USER,)
    ]
    assert master.execute("select pubowner::regrole::text from pg_publication").fetchall() == [(USER,)]


def test_what_the_master_user_gave_away_by_default_holds_for_new_tables_of_the_owner(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute(
        "create role bystander; create schema sales;"
        "alter default privileges grant select on tables to bystander with grant option;"
        "alter default privileges in schema sales grant usage on sequences to bystander;"
        "alter default privileges revoke execute on functions from public"
    )
    service_role.establish(master, "orderops_service", "of-the-services")

    handed_over(database)

    master.execute(
        f"set role {OWNER}; create table orders (n int); create sequence sales.numbers; create sequence plain;"
        "create function one() returns int language sql as 'select 1'; reset role"
    )
    can = master.execute(
        "select has_table_privilege('bystander', 'orders', 'SELECT WITH GRANT OPTION'),"
        " has_sequence_privilege('bystander', 'sales.numbers', 'USAGE'),"
        " has_sequence_privilege('bystander', 'plain', 'USAGE'),"
        " has_function_privilege('bystander', 'one()', 'EXECUTE'),"
        " has_table_privilege('orderops_service', 'orders', 'INSERT'),"
        " has_sequence_privilege('orderops_service', 'plain', 'USAGE')"
    ).fetchone()
    assert can == (True, True, False, False, True, True)


def test_services_and_readers_have_the_owners_new_tables_in_whatever_order_the_roles_were_made(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    handed_over(database)
    master.execute(f"set role {OWNER}; create table first (n int); reset role")

    service_role.establish(master, "orderops_service", "of-the-services")

    master.execute(f"set role {OWNER}; create table second (n int); reset role")
    for table in ("first", "second"):
        assert master.execute(
            "select has_table_privilege('orderops_service', %(t)s, 'DELETE'),"
            " has_table_privilege('orderops_reader', %(t)s, 'SELECT'),"
            " has_table_privilege('orderops_reader', %(t)s, 'INSERT')",
            {"t": table},
        ).fetchone() == (True, True, False)


def test_a_handed_over_schema_equals_itself_before(database: MasterDatabase, master: psycopg.Connection) -> None:
    """A receipt of a rehearsal is one for the schema, whoever owns it."""
    master.execute(EVERY_KIND.encode())
    service_role.establish(master, "orderops_service", "of-the-services")
    before = schema_lines(master)

    handed_over(database)

    assert differences(before, schema_lines(master)) == []
    assert len(before) == len(schema_lines(master))


def test_a_reader_that_stays_in_its_transaction_is_named_and_nothing_is_handed_over(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute("create table orders (id int); create table users (id int)")
    with database.connect() as reader, reader.transaction():
        pid = reader.info.backend_pid
        reader.execute("select * from users")
        with database.runner(budget=0.3) as runner, pytest.raises(OrderopsError) as raised:
            hand_over(runner)

    assert f"pid {pid}" in raised.value.message
    assert "nothing was handed over" in raised.value.message
    assert "to the head" not in raised.value.hint
    assert set(database.owners().values()) == {USER}


def test_it_waits_for_a_reader_and_holds_no_lock_meanwhile(
    database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute("create table orders (id int); create table users (id int)")
    with ThreadPoolExecutor(1) as pool, database.connect() as reader:
        with reader.transaction():
            reader.execute("select * from users")
            done = pool.submit(handed_over, database)
            master.execute("set statement_timeout = '2s'")
            for _ in range(20):
                master.execute("insert into orders values (1)")
            assert not done.done()
        assert done.result().database


def test_killed_in_the_transaction_it_begins_again(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    """The server ends the session before the last object."""
    master.execute("create table a (id int); create table z (id int)")
    with postgres.connect(database.name) as administrator:
        administrator.execute(
            "create function public.kill() returns event_trigger language plpgsql as $$ begin"
            " if tg_tag = 'ALTER TABLE' and (select relowner = 'orderops_owner'::regrole from pg_class"
            "   where relname = 'a') then perform pg_terminate_backend(pg_backend_pid()); end if; end $$;"
            "create event trigger killer on ddl_command_end execute function public.kill()"
        )
        with database.runner() as runner, pytest.raises((OrderopsError, psycopg.Error)):
            hand_over(runner)
        assert {database.owners()[name] for name in ("a", "z", "DATABASE")} == {USER}
        administrator.execute("drop event trigger killer; drop function public.kill()")

    handed_over(database)

    assert set(database.owners().values()) == {OWNER}


def test_two_operators_at_once_hand_over_once(database: MasterDatabase, master: psycopg.Connection) -> None:
    master.execute(EVERY_KIND.encode())

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: handed_over(database), range(3)))

    assert sorted(one.database for one in done) == [False, False, True]
    assert set(database.owners().values()) == {OWNER}


def test_two_databases_of_a_server_at_once_make_one_role(postgres: PostgresServer, database: MasterDatabase) -> None:
    with master_database(postgres) as other, ThreadPoolExecutor(2) as pool:
        done = list(pool.map(handed_over, [database, other]))

        assert [one.database for one in done] == [True, True]
        # Goes with its databases.
        postgres.drop_database(database.name)


def test_an_owner_that_logs_in_is_refused(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    master.execute(f"create role {OWNER} login")

    with database.runner() as runner, pytest.raises(OrderopsError, match="may log in") as raised:
        hand_over(runner)

    assert f"ALTER ROLE {OWNER} NOLOGIN" in raised.value.hint


def test_a_role_that_another_user_made_is_asked_for(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect() as administrator:
        administrator.execute(f"create role {OWNER}")

    with database.runner() as runner, pytest.raises(OrderopsError, match=f"{USER} may not become {OWNER}") as raised:
        hand_over(runner)

    assert f'GRANT {OWNER} TO "{USER}" WITH INHERIT TRUE, SET TRUE' in raised.value.hint


def test_a_database_of_another_user_is_refused_with_the_reason(
    postgres: PostgresServer, database: MasterDatabase, master: psycopg.Connection
) -> None:
    with postgres.connect() as administrator:
        administrator.execute(f"alter database {database.name} owner to current_user".encode())

    with database.runner() as runner, pytest.raises(OrderopsError, match="must be owner of database") as raised:
        hand_over(runner)

    assert "nothing was handed over" in raised.value.message
