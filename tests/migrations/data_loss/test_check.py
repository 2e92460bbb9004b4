"""An undo that would remove data is an error until each table is accepted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from orderops.errors import OrderopsError
from orderops.migrations.data_loss.check import check_accepted, losses
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import read_script
from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


@dataclass(frozen=True)
class Case:
    """What is in the database, the U files from the newest on, and what of it would be lost."""

    there: str
    undo: Sequence[str]
    lost: Sequence[str] = ()
    """As the refusal says it, after the file and its line."""
    accept: Sequence[str] = ()
    """What the hint says to name; nothing where nothing is refused."""


USERS = "create table users (id int primary key, name text); insert into users values (1, 'Ada')"
EMPTY = "create table users (id int primary key, name text)"
NOTES = f"{USERS}; create table notes (id int references users on delete cascade); insert into notes values (1)"
CASES = {
    "a table with rows": Case(USERS, ["drop table users"], ["the rows of users"], ["users"]),
    "an empty table": Case(EMPTY, ["drop table users"]),
    "a table that is not there": Case(USERS, ["drop table if exists carts"]),
    "two tables, one of them empty": Case(
        f"{USERS}; create table carts (id int)", ["drop table carts, users"], ["the rows of users"], ["users"]
    ),
    "two tables with rows": Case(
        NOTES, ["drop table notes;\ndrop table users"], ["the rows of notes", "the rows of users"], ["notes", "users"]
    ),
    "a column with values": Case(
        USERS, ["alter table users drop column name"], ["column users.name, which holds values"], ["users"]
    ),
    "a column of only NULLs": Case(
        f"{USERS}; update users set name = null", ["alter table users drop column name, drop column if exists age"]
    ),
    "a column that is computed": Case(
        f"{USERS}; alter table users add column loud text generated always as (upper(name)) stored",
        ["alter table users drop column loud"],
    ),
    "a table of another schema": Case(
        f"{EMPTY}; create schema old; create table old.users as select 1 as id",
        ["drop table old.users"],
        ["the rows of old.users"],
        ["old.users"],
    ),
    "quoted names": Case(
        'create schema "Old Shop"; create table "Old Shop"."Order ""Lines""" as select 1 as "Unit Price"',
        ['alter table "Old Shop"."Order ""Lines""" drop column "Unit Price"'],
        ['column "Old Shop"."Order ""Lines""".Unit Price, which holds values'],
        ['"Old Shop"."Order ""Lines"""'],
    ),
    "a schema": Case(
        "create schema old; create table old.users as select 1 as id; create table old.carts (id int)",
        ["drop schema old cascade"],
        ["the rows of old.users"],
        ["old.users"],
    ),
    "TRUNCATE": Case(USERS, ["truncate users"], ["the rows of users"], ["users"]),
    "TRUNCATE with what refers to it": Case(
        NOTES, ["truncate users cascade"], ["the rows of users", "the rows of notes"], ["users", "notes"]
    ),
    "DELETE": Case(USERS, ["delete from users"], ["rows of users"], ["users"]),
    "DELETE of rows that are there": Case(
        USERS, ["delete from users as u where u.id = 1"], ["rows of users"], ["users"]
    ),
    "DELETE of rows that are not there": Case(USERS, ["delete from users where id = 2 -- the second"]),
    "DELETE by another table": Case(
        NOTES, ["delete from notes using users where users.id = notes.id"], ["rows of notes"], ["notes"]
    ),
    "DELETE with what hangs on it": Case(
        NOTES, ["delete from users where id = 1"], ["rows of users", "rows of notes"], ["users", "notes"]
    ),
    "DELETE whose condition cannot be asked yet": Case(
        USERS,
        ["alter table users add column age int;\ndelete from users where age is null"],
        ["rows of users"],
        ["users"],
    ),
    "DELETE within another statement": Case(
        f"{USERS}; create table kept (like users)",
        ["with gone as (delete from users returning *) insert into kept select * from gone"],
        ["rows of users"],
        ["users"],
    ),
    "MERGE that deletes": Case(
        USERS,
        ["merge into users u using (select 1 as id) n on n.id = u.id when matched then delete"],
        ["rows of users"],
        ["users"],
    ),
    "a partitioned table": Case(
        "create table sales (id int) partition by list (id); create table sales_1 partition of sales for values in (1);"
        " insert into sales values (1)",
        ["drop table sales cascade"],
        ["the rows of sales"],
        ["sales"],
    ),
    "one partition": Case(
        "create table sales (id int) partition by list (id); create table sales_1 partition of sales for values in (1);"
        " insert into sales values (1)",
        ["drop table sales_1 cascade"],
        ["the rows of sales_1"],
        ["sales_1"],
    ),
    "a schema with a partition of a table elsewhere": Case(
        "create schema y26; create table sales (id int) partition by list (id);"
        " create table y26.sales partition of sales for values in (1); insert into sales values (1)",
        ["drop schema y26 cascade"],
        ["the rows of y26.sales"],
        ["y26.sales"],
    ),
    "a type that a column has, by CASCADE": Case(
        "create type mood as enum ('good'); create table users (mood mood); insert into users values ('good')",
        ["drop type mood cascade"],
        ["column users.mood, which holds values"],
        ["users"],
    ),
    "a schema with a type that a column elsewhere has": Case(
        "create schema old; create domain old.email as text; create table users (at old.email);"
        " insert into users values ('a@b')",
        ["drop schema old cascade"],
        ["column users.at, which holds values"],
        ["users"],
    ),
    "an extension that a column needs": Case(
        "create extension hstore; create table users (id int, more hstore); insert into users values (1, 'a=>1')",
        ["drop extension hstore cascade"],
        ["column users.more, which holds values"],
        ["users"],
    ),
    "a table that the file before empties": Case(
        USERS, ["delete from users", "drop table users"], ["rows of users", "the rows of users"], ["users"]
    ),
    "a table that the file before makes": Case(USERS, ["create table kept as select * from users", "drop table kept"]),
    "a table that the file before renames": Case(
        "create table people as select 1 as id",
        ["alter table people rename to users", "drop table users"],
        ["the rows of people"],
        ["people"],
    ),
    "a table in whose place the file before puts an empty one": Case(
        USERS,
        ["alter table users rename to kept;\ncreate table users (id int)", "drop table users"],
    ),
    "a table that the file before moves": Case(
        "create schema old; create table old.users as select 1 as id",
        ["alter table old.users set schema public", "drop table public.users"],
        ["the rows of old.users"],
        ["old.users"],
    ),
    "a schema that the file before renames": Case(
        "create schema old; create table old.users as select 1 as id",
        ["alter schema old rename to shop", "drop table shop.users"],
        ["the rows of old.users"],
        ["old.users"],
    ),
    "a column that the file before renames": Case(
        USERS,
        ["alter table users rename column name to nick", "alter table users drop column nick"],
        ["column users.name, which holds values"],
        ["users"],
    ),
    "a table that SET search_path names": Case(
        f"{EMPTY}; create schema old; create table old.users as select 1 as id",
        ["set search_path to old;\ndrop table users"],
        ["the rows of users"],
        ["users"],
    ),
    "a view, an index and a materialized view": Case(
        f"{USERS}; create view v as select * from users; create index i on users (name);"
        " create materialized view m as select * from users with no data",
        ["drop materialized view m;\ndrop index i;\ndrop view v"],
    ),
}


@pytest.fixture(scope="module")
def place(module_database: str) -> str:
    """The DSN of a database that stays empty: what a case makes in it is rolled back."""
    return module_database


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_undo_that_would_remove_data_names_it(case: Case, place: str) -> None:
    versions = range(len(case.undo), 0, -1)
    files = [SqlFile(Path(f"U{number:03}__step.sql"), text) for number, text in zip(versions, case.undo, strict=True)]
    with psycopg.connect(place) as connection:
        connection.execute(case.there.encode())
        found = losses(connection, [(file, read_script(file)) for file in files])
        connection.rollback()

    assert [re.sub(r"^\S+ (drops (?=column )|removes (?!column ))", "", loss.describe) for loss in found] == list(
        case.lost
    )
    check_accepted(found, case.accept)
    for number in range(len(case.accept)):
        with pytest.raises(OrderopsError) as refused:
            check_accepted(found, case.accept[:number])
        assert refused.value.lines[-1] == "nothing was undone"
        said = refused.value.hint.removeprefix("to accept the loss, re-run this command with: ")
        assert shlex.split(said) == [word for table in case.accept for word in ("--accept-data-loss", table)]


def test_one_data_loss_stops_the_whole_undo_and_its_hint_can_be_pasted(run: Run) -> None:
    run.write("001__users", "create table users as select 1 as id;\n", "drop table users;\n")
    run.write("002__carts", "create table carts (id int);\n", "drop table carts;\n")
    run.write("003__notes", "create table notes as select 1 as id;\n", "\ndrop table notes;\n")
    run("apply", "--yes")
    before = run.rows("select relname, pg_relation_filenode(oid) from pg_class where relkind = 'r' order by 1")

    refused = run("undo", "--to", "0", "--yes")

    assert refused.code == 1
    assert refused.err == (
        "error: U003__notes.sql:2 removes the rows of notes\n"
        "       U001__users.sql:1 removes the rows of users\n"
        "       nothing was undone\n"
        " hint: to accept the loss, re-run this command with: --accept-data-loss notes --accept-data-loss users\n"
    )
    assert run("undo", "--to", "0", "--dry-run").err == refused.err
    assert run("undo", "--to", "0", "--yes", "--accept-data-loss", "users").code == 1
    assert run.rows("select relname, pg_relation_filenode(oid) from pg_class where relkind = 'r' order by 1") == before
    assert [row[0] for row in run.rows("select action from orderops_ledger.ledger")] == ["apply"] * 3
    hint = shlex.split(refused.err.rpartition("with: ")[2])
    assert "drop table notes" in run("undo", "--to", "0", "--dry-run", *hint).out
    assert run("undo", "--to", "0", "--yes", *hint).code == 0
    assert run.rows("select to_regclass('users'), to_regclass('carts'), to_regclass('notes')") == [(None, None, None)]


def test_an_unqualified_name_does_not_accept_a_table_off_the_search_path(run: Run) -> None:
    run.execute("create schema old", "create table old.users as select 1 as id", "create table users as select 1 as id")
    run.write("001__step", "select 1;\n", "drop table users;\ndrop table old.users;\n")
    run("baseline", "--version", "1", "--yes")

    refused = run("undo", "--yes", "--accept-data-loss", "users")

    assert "U001__step.sql:2 removes the rows of old.users" in refused.err
    assert "U001__step.sql:1" not in refused.err
    hint = "to accept the loss, re-run this command with: --accept-data-loss users --accept-data-loss old.users"
    assert hint in refused.err
    assert run("undo", "--yes", "--accept-data-loss", "public.users", "--accept-data-loss", "old.users").code == 0


def test_a_quoted_name_is_accepted_with_and_without_quotes(run: Run) -> None:
    run.execute('create table "Order Lines" as select 1 as id')
    run.write("001__step", "select 1;\n", 'drop table "Order Lines";\n')
    run("baseline", "--version", "1", "--yes")

    assert """--accept-data-loss '"Order Lines"'""" in run("undo", "--yes").err
    assert run("undo", "--dry-run", "--accept-data-loss", '"Order Lines"').code == 0
    assert run("undo", "--yes", "--accept-data-loss", "Order Lines").code == 0


def test_a_table_that_cannot_be_read_counts_as_not_empty(run: Run) -> None:
    run.execute(
        "create table users (id int)",
        "drop role if exists reader",
        "create role reader login password 'x'",
        "grant select on all tables in schema public to reader",
        "create table hidden (id int)",
        "alter table users enable row level security",
    )
    run.write("001__step", "select 1;\n", "drop table users;\ndrop table hidden;\n")
    run("baseline", "--version", "1", "--yes")
    run.execute(
        "grant usage on schema orderops_ledger to reader",
        "grant select on all tables in schema orderops_ledger to reader",
    )

    reader = psycopg.conninfo.make_conninfo(run.dsn, user="reader", password="x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDEROPS_DSN", reader)
        refused = run("undo", "--dry-run")
    run.execute("drop owned by reader", "drop role reader")

    assert refused.code == 1
    unseen = "unless it is empty, which cannot be checked"
    assert f"the rows of users, {unseen}: query would be affected by row-level security policy" in refused.err
    assert f"the rows of hidden, {unseen}: permission denied for table hidden" in refused.err


def test_data_is_checked_as_the_owner_of_the_file(run: Run) -> None:
    run.execute(
        "drop role if exists keeper",
        "create role keeper",
        "create schema keeper authorization keeper",
        "set role keeper; create table keeper.users as select 1 as id; reset role",
    )
    run.write("001__step", "select 1;\n", "-- orderops: owner keeper\ndrop table users;\n")
    run("baseline", "--version", "1", "--yes")

    refused = run("undo", "--yes")
    accepted = run("undo", "--yes", "--accept-data-loss", "users")
    run.execute("drop owned by keeper", "drop role keeper")

    assert "U001__step.sql:2 removes the rows of users" in refused.err
    assert accepted.code == 0, accepted.err


def test_drop_owned_removes_the_tables_of_a_role(run: Run) -> None:
    run.execute("drop role if exists clerk", "create role clerk", "create table users as select 1 as id")
    run.execute("alter table users owner to clerk")
    run.write("001__step", "select 1;\n", "drop owned by clerk;\ndrop role clerk;\n")
    run("baseline", "--version", "1", "--yes")

    assert "U001__step.sql:1 removes the rows of users" in run("undo", "--yes").err
    assert run("undo", "--yes", "--accept-data-loss", "users").code == 0
