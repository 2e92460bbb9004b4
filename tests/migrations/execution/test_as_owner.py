"""Migrations in a database that was handed over: whatever runs a file runs it as the owner of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.handing_over import hand_over
from support.command_line import Orderops
from support.migrate_runs import Run, until
from support.rds_master import PASSWORD, USER, MasterDatabase, master_database

pytest_plugins = ["support.postgres_fixtures"]

OWNER = "orderops_owner"
AS_LOGIN = "-- orderops: owner session_user\n"


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[MasterDatabase]:
    with master_database(postgres) as database:
        with database.runner() as runner:
            hand_over(runner)
        yield database


@pytest.fixture
def run(
    database: MasterDatabase, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """The commands of `migrate`, as the master user."""
    dsn = f"{database.server.dsn(database.name)} user={USER} password={PASSWORD}"
    monkeypatch.setenv("ORDEROPS_DSN", dsn)
    return Run(dsn, tmp_path / "sql", Orderops(capfd))


def applied(run: Run) -> None:
    said = run("apply", "--yes")
    assert said.code == 0, said.err


HEADS = {
    "on the fast path": "",
    "in a transaction": "-- orderops: lock-timeout 1s\nselect pg_sleep(0);\n",
    "statement by statement": "-- orderops: no-transaction\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_what_a_file_makes_belongs_to_the_owner(run: Run, database: MasterDatabase, head: str) -> None:
    run.write("001__orders", HEADS[head] + "create table orders (id bigserial primary key);\ncreate sequence s;\n")

    applied(run)

    owners = database.owners()
    assert {owners[name] for name in ("orders", "orders_id_seq", "s")} == {OWNER}
    # The master user writes the ledger, whoever ran the file.
    assert run.rows("select distinct database_user from orderops_ledger.ledger") == [(USER,)]


def test_an_index_is_built_concurrently_by_the_owner_and_an_invalid_one_cleared(
    run: Run, database: MasterDatabase
) -> None:
    run.write("001__orders", "create table orders (id int);\ninsert into orders values (1), (1);\n")
    applied(run)
    index = run.write(
        "002__index", "-- orderops: no-transaction\ncreate unique index concurrently by_id on orders (id);\n"
    )
    assert run("apply", "--yes").code == 1
    assert run.rows("select indisvalid from pg_index where indexrelid = 'by_id'::regclass") == [(False,)]
    run.execute("delete from orders where ctid = '(0,1)'")

    applied(run)

    assert index.exists()
    assert run.rows(
        "select indisvalid, relowner::regrole::text from pg_index join pg_class on oid = indexrelid"
        " where relname = 'by_id'"
    ) == [(True, OWNER)]


def test_batches_run_as_the_owner(run: Run) -> None:
    run.write(
        "001__orders",
        "create table orders (id int primary key, by_role text);\ninsert into orders select generate_series(1, 10);\n",
    )
    run.write("002__fill", "-- orderops: batch 3 by id\nupdate orders set by_role = current_user;\n")

    applied(run)

    assert run.rows("select by_role, count(*) from orders group by 1") == [(OWNER, 10)]


def test_an_undo_runs_as_the_owner_and_asks_before_it_loses_rows(run: Run, database: MasterDatabase) -> None:
    run.write(
        "001__orders",
        "create table orders (id int);\n",
        "create table log as select current_user::text as name;\ndrop table orders;\n",
    )
    applied(run)
    run.execute("insert into orders values (1)")

    refused = run("undo", "--yes")
    done = run("undo", "--yes", "--accept-data-loss", "orders")

    assert (refused.code, done.code) == (1, 0)
    assert "U001__orders.sql:2 removes the rows of orders" in refused.err
    assert run.rows("select name from log") == [(OWNER,)]
    assert database.owners()["log"] == OWNER


def test_a_file_that_names_the_session_user_runs_as_the_master_user(run: Run, database: MasterDatabase) -> None:
    run.write("001__role", AS_LOGIN + "create role bystander;\ncreate table orders (id int);\n")

    applied(run)

    assert database.owners()["orders"] == USER


def test_a_dump_gives_its_tables_to_the_user_that_it_names(run: Run, database: MasterDatabase) -> None:
    given = f"alter table public.orders owner to {USER};\n"
    run.write("001__dump", f"-- PostgreSQL database dump\n\ncreate table public.orders (id int);\n{given}")

    applied(run)

    assert database.owners()["orders"] == USER


def test_a_file_that_may_not_names_the_line_for_its_head(run: Run) -> None:
    run.write("001__role", "create table orders (id int);\ncreate role bystander;\n")

    said = run("apply", "--yes")

    assert said.code == 1
    assert "V001__role.sql:2:1: permission denied to create role; nothing of this file was applied" in said.err
    assert f"{OWNER} ran this file" in said.err
    assert AS_LOGIN.strip() in said.err
    assert "orderops migrate repair" in said.err
    assert run.rows("select to_regclass('orders')") == [(None,)]


def test_a_file_with_another_owner_runs_as_that_one(run: Run, database: MasterDatabase) -> None:
    run.execute("create role bystander; grant bystander to session_user", "grant create on schema public to bystander")
    run.write("001__orders", "-- orderops: owner bystander\ncreate table orders (id int);\n")

    applied(run)

    assert database.owners()["orders"] == "bystander"


def test_unqualified_names_mean_the_tables_that_they_meant_before(run: Run, database: MasterDatabase) -> None:
    """ "$user" leads the search path, and the master user may have a schema of its name."""
    run.execute(f"create schema {USER}; create table {USER}.orders (id int); create table public.orders (id int)")
    with database.runner() as runner:
        hand_over(runner)
    run.write("001__in_one", "alter table orders add column a int;\n")
    run.write("002__by_themselves", "-- orderops: no-transaction\nalter table orders add column b int;\n")
    run.write("003__concurrent", "-- orderops: no-transaction\ncreate index concurrently by_a on orders (a);\n")

    applied(run)

    assert run.rows(
        "select attrelid::regclass::text, attname from pg_attribute where attname in ('a', 'b')"
        f" and attrelid in ('public.orders'::regclass, '{USER}.orders'::regclass) order by 2"
    ) == [
        ("orders", "a"),
        ("orders", "b"),
    ]
    assert run.rows("select indrelid::regclass::text from pg_index where indexrelid = to_regclass('by_a')") == [
        ("orders",)
    ]


def test_a_user_that_may_not_become_the_owner_is_told_how(
    run: Run, postgres: PostgresServer, database: MasterDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.connect(database.name) as administrator:
        administrator.execute("create role bystander login password 'of-the-bystander'")
        administrator.execute(f"grant create on database {database.name} to bystander".encode())
    monkeypatch.setenv("ORDEROPS_DSN", f"{database.server.dsn(database.name)} user=bystander password=of-the-bystander")
    run.write("001__orders", "create table orders (id int);\n")

    said = run("apply", "--yes")

    assert said.code == 1
    assert f'permission denied to set role "{OWNER}"' in said.err
    assert f"GRANT {OWNER} TO" in said.err
    with postgres.connect(database.name) as administrator:
        administrator.execute("drop schema if exists orderops_ledger cascade; drop owned by bystander")


def test_a_member_of_the_owner_migrates_in_place_of_the_master_user(
    run: Run, database: MasterDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write("001__orders", "create table orders (id int);\n")
    applied(run)
    with database.runner() as runner:
        hand_over(runner)
    run.execute(f"create role bystander login password 'of-the-bystander'; grant {OWNER} to bystander")
    monkeypatch.setenv("ORDEROPS_DSN", f"{database.server.dsn(database.name)} user=bystander password=of-the-bystander")
    run.write("002__more", "alter table orders add column more int;\ncreate table later (id int);\n")

    applied(run)

    assert database.owners()["later"] == OWNER
    assert run.rows("select database_user from orderops_ledger.ledger where version = 2") == [("bystander",)]


def test_a_killed_file_is_continued_as_the_owner(run: Run, database: MasterDatabase) -> None:
    run.write("001__orders", "create table orders (id int);\ncreate table users (id int);\n")
    applied(run)
    run.write(
        "002__more",
        "-- orderops: no-transaction\ncreate table done (id int);\nalter table orders add column a int;\n",
    )
    with run.holder("select * from orders"):
        victim = run.process("apply", "--yes")
        until(lambda: run.rows("select to_regclass('done') is not null") == [(True,)], "the first statement is done")
        victim.kill()

    applied(run)

    assert database.owners()["done"] == OWNER
    assert run.rows("select count(*) from pg_attribute where attrelid = 'orders'::regclass and attname = 'a'") == [(1,)]


def test_info_names_tables_of_other_roles(run: Run) -> None:
    run.write("001__orders", "create table orders (id int);\n")
    applied(run)
    run.execute("create table stray (id int)")

    said, listed = run("info"), run("info", "--json").json

    # The master user made the ledger as well: no environment's command was there to hand it over.
    assert f"stray, owned by {USER}" in said.err
    assert listed["schema_owner"]["role"] == OWNER
    assert f"stray, owned by {USER}" in listed["schema_owner"]["owned_by_others"]
    assert f"orders, owned by {USER}" not in listed["schema_owner"]["owned_by_others"]
