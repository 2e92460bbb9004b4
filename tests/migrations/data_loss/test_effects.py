"""An undo whose bodies, functions or triggers remove data is rolled back until each table is accepted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.errors import OrderopsError
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import Sessions, opened
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.table import AttemptAction, Author
from orderops.migrations.sql.files import Migration, SqlFile
from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


@dataclass(frozen=True)
class Case:
    """What a database holds, the U file, and what of it would be lost."""

    holds: str
    undo: str
    lost: Sequence[str] = ()
    """The lines of the refusal, after the name of the file."""
    accept: Sequence[str] = ()


USERS = "create table users (id int, name text); insert into users values (1, 'Ada'), (2, 'Bob')"
EMPTY = "create table users (id int, name text)"
PARTS = (
    "create table parts (id int, kind int) partition by list (kind);"
    " create table parts_1 partition of parts for values in (1);"
    " create table parts_2 partition of parts for values in (2); insert into parts values (1, 1), (2, 1)"
)


def function(body: str, returns: str = "int") -> str:
    """A function and what it does; a trigger calls it as well as a query."""
    last = "return null" if returns == "trigger" else "return 1"
    return f"; create function f() returns {returns} language plpgsql as $$ begin {body}; {last}; end $$"


def do(body: str) -> str:
    """A DO block."""
    return f"do $$ begin {body}; end $$;\n"


WHOLE = ["1 removes the rows of users"]
SOME = ["1 removes rows of users"]
CASES = {
    "DO drops a table": Case(USERS, do("execute 'drop table users'"), WHOLE, ["users"]),
    "DO drops a table in plain SQL": Case(USERS, do("drop table users"), WHOLE, ["users"]),
    "DO drops an empty table": Case(EMPTY, do("drop table users")),
    "DO drops what depends on a table": Case(
        f"{USERS}; create schema old; alter table users set schema old",
        do("drop schema old cascade"),
        ["1 removes the rows of old.users"],
        ["old.users"],
    ),
    "DO drops a column with values": Case(
        USERS, do("alter table users drop column name"), ["1 drops column users.name, which holds values"], ["users"]
    ),
    "DO drops a column of only NULLs": Case(
        f"{USERS}; update users set name = null", do("alter table users drop column name")
    ),
    "DO truncates": Case(USERS, do("truncate users"), WHOLE, ["users"]),
    "DO truncates an empty table": Case(EMPTY, do("truncate users")),
    "DO deletes all rows": Case(USERS, do("delete from users"), SOME, ["users"]),
    "DO deletes some rows": Case(USERS, do("delete from users where id = 2"), SOME, ["users"]),
    "DO deletes no row": Case(USERS, do("delete from users where id = 3")),
    "DO drops two tables": Case(
        f"{USERS}; create table notes as select 1 as id",
        do("drop table notes; drop table users"),
        ["1 removes the rows of users", "1 removes the rows of notes"],
        ["users", "notes"],
    ),
    "a function drops a table": Case(USERS + function("drop table users"), "select f();\n", WHOLE, ["users"]),
    "a function truncates": Case(USERS + function("execute 'truncate users'"), "select f();\n", WHOLE, ["users"]),
    "a function deletes, called in a VALUES": Case(
        f"{USERS}; create table log (i int)" + function("delete from users"),
        "insert into log values (f());\n",
        SOME,
        ["users"],
    ),
    "a procedure deletes": Case(
        f"{USERS}; create procedure p() language sql as $$ delete from users $$", "call p();\n", SOME, ["users"]
    ),
    "a prepared statement deletes": Case(
        USERS, "prepare p as delete from users;\nexecute p;\n", ["2 removes rows of users"], ["users"]
    ),
    "a trigger deletes": Case(
        f"{USERS}; create table log (i int)"
        + function("delete from users", "trigger")
        + "; create trigger t after insert on log for each statement execute function f()",
        "insert into log values (1);\n",
        SOME,
        ["users"],
    ),
    "a USING expression deletes": Case(
        f"{USERS}; create table log (i int); insert into log values (1)" + function("delete from users"),
        "alter table log alter i type bigint using f();\n",
        SOME,
        ["users"],
    ),
    "a partition is dropped": Case(PARTS, do("drop table parts_1"), ["1 removes the rows of parts_1"], ["parts_1"]),
    "a partitioned table is dropped": Case(PARTS, do("drop table parts"), ["1 removes the rows of parts"], ["parts"]),
    "a partitioned table is emptied": Case(PARTS, do("delete from parts"), ["1 removes rows of parts"], ["parts"]),
    "a column of a partitioned table is dropped": Case(
        PARTS, do("alter table parts drop column id"), ["1 drops column parts.id, which holds values"], ["parts"]
    ),
    "rows move between partitions": Case(PARTS, do("update parts set kind = 2")),
    "a table is rewritten": Case(USERS, do("alter table users alter id type bigint")),
    "a table is renamed and moved": Case(
        f"{USERS}; create schema new", do("alter table users rename to people; alter table people set schema new")
    ),
    "a column is renamed": Case(USERS, do("alter table users rename name to called")),
    "a computed column is dropped": Case(
        f"{USERS}; alter table users add loud text generated always as (upper(name)) stored",
        do("alter table users drop column loud"),
    ),
    "a table of the file's own": Case(
        USERS,
        "create table scratch as select * from users;\n" + do("delete from scratch where id = 1; drop table scratch"),
    ),
    "rows of the file's own": Case(
        f"{USERS}; create table log (i int)", do("insert into log values (1); delete from log")
    ),
    "a temporary table": Case(USERS, do("create temp table t as select 1; drop table t")),
    "a table that the statement itself names": Case(
        USERS, "delete from users where id = 3;\ninsert into users values (3, 'Cid');\n"
    ),
}


@dataclass(frozen=True)
class Place:
    """A database of the module's own, and the sessions that undo in it."""

    connection: psycopg.Connection
    sessions: Sessions

    def undo(self, text: str, *accepted: str) -> OrderopsError | None:
        """Run a U file as undo does; returns its refusal."""
        file = SqlFile(Path("U001__step.sql"), text)
        migration = Migration(1, "step", SqlFile(Path("V001__step.sql"), "select 1;\n"), file)
        waiter = LockWaiter(LockMonitor(self.sessions.monitor, self.sessions.own), RetryBudget(timedelta(seconds=5)))
        with Watcher(waiter, self.sessions.work.info.backend_pid) as watcher:
            try:
                Runner(self.sessions, waiter, watcher, accepted=accepted).run(migration, AttemptAction.UNDO, None)
            except OrderopsError as error:
                return error
        return None

    def contents(self) -> list[object]:
        """Every table and its rows."""
        tables = self.connection.execute(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where relkind = 'r' and nspname not in ('pg_catalog', 'information_schema', 'orderops_ledger') order by 1"
        ).fetchall()
        return [
            (name, self.connection.execute(f"select t::text from {name} t order by 1".encode()).fetchall())
            for (name,) in tables
        ]


@pytest.fixture(scope="module")
def module_place(postgres: PostgresServer) -> Iterator[Place]:
    """Sessions that stay open for all cases, as they do for the files of an undo."""
    dsn = postgres.create_database("effects")
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        opened(login_from_dsn(dsn), Author("test", "here"), wait=timedelta(0), waiting=lambda *_: None) as sessions,
    ):
        ledger.make(sessions.work)
        yield Place(connection, sessions)
    postgres.drop_database("effects")


@pytest.fixture
def place(module_place: Place) -> Iterator[Place]:
    """The database, emptied afterwards."""
    yield module_place
    module_place.connection.execute(
        "drop schema public cascade; drop schema if exists old cascade; drop schema if exists new cascade;"
        " create schema public"
    )


@pytest.mark.parametrize("name", CASES)
def test_data_that_code_removes_is_named_and_kept(place: Place, name: str) -> None:
    case = CASES[name]
    place.connection.execute(case.holds.encode())
    before = place.contents()

    refusal = place.undo(case.undo)

    if not case.lost:
        assert refusal is None
        return
    assert refusal
    lines = [f"U001__step.sql:{line}" for line in case.lost]
    assert refusal.lines == [*lines, "nothing of U001__step.sql was undone"]
    options = " ".join(f"--accept-data-loss {table}" for table in case.accept)
    assert refusal.hint == f"to accept the loss, re-run this command with: {options}"
    assert place.contents() == before
    assert place.undo(case.undo, *case.accept) is None
    assert place.contents() != before


@pytest.mark.parametrize("name", ["DO drops a table", "DO deletes some rows", "a function truncates"])
def test_a_statement_of_its_own_transaction_is_rolled_back(place: Place, name: str) -> None:
    case = CASES[name]
    place.connection.execute(case.holds.encode())
    before = place.contents()

    refusal = place.undo("-- orderops: no-transaction\ncreate table if not exists first ();\n" + case.undo)

    assert refusal
    assert refusal.lines == [f"U001__step.sql:3{case.lost[0][1:]}", "the statement was rolled back"]
    assert place.contents() == [("first", []), *before]


@pytest.mark.parametrize("table", ["users", "public.users"])
def test_each_spelling_of_a_table_accepts_its_loss(place: Place, table: str) -> None:
    place.connection.execute(USERS)

    assert place.undo(do("drop table users"), table) is None


def test_the_command_names_what_a_body_removes(run: Run) -> None:
    run.execute(USERS)
    run.write("001__step", "select 1;\n", do("drop table users"))
    run("baseline", "--version", "1", "--yes")

    refused = run("undo", "--yes")

    assert (refused.code, refused.err) == (
        1,
        "error: U001__step.sql:1 removes the rows of users\n       nothing of U001__step.sql was undone\n"
        " hint: to accept the loss, re-run this command with: --accept-data-loss users\n",
    )


def test_a_batch_whose_trigger_deletes_from_another_table_is_rolled_back(run: Run) -> None:
    run.execute(
        f"{USERS}; create table log (id int primary key, n int); insert into log select generate_series(1, 200)"
        + function("delete from users", "trigger")
        + "; create trigger t after update on log for each statement execute function f()"
    )
    run.write("001__step", "select 1;\n", "-- orderops: batch 50 by id\nupdate log set n = 1;\n")
    run("baseline", "--version", "1", "--yes")

    refused = run("undo", "--yes")

    assert "U001__step.sql:2 removes rows of users\n" in refused.err
    assert run.rows("select (select count(*) from users), (select count(n) from log)") == [(2, 0)]
    assert run("undo", "--yes", "--accept-data-loss", "users").code == 0
    assert run.rows("select (select count(*) from users), (select count(n) from log)") == [(0, 200)]


def test_rows_deleted_by_an_earlier_file_are_not_counted_again(run: Run) -> None:
    run.execute(USERS)
    run.write("001__one", "select 1;\n", do("perform 1"))
    run.write("002__two", "select 1;\n", do("delete from users"))
    run("baseline", "--version", "2", "--yes")

    done = run("undo", "--to", "0", "--yes", "--accept-data-loss", "users")

    assert done.code == 0, done.err


def test_rows_that_a_body_would_remove_are_found_after_others_were_added(run: Run) -> None:
    run.execute(EMPTY)
    run.write("001__step", "select 1;\n", do("perform pg_sleep(0.5); drop table users"))
    run("baseline", "--version", "1", "--yes")
    undoing = run.process("undo", "--yes")
    sleeps = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    until(lambda: run.rows(sleeps) == [(1,)], "the body runs")
    run.execute("insert into users values (1, 'Ada')")

    assert undoing.ended() == 1, undoing.said
    assert "U001__step.sql:1 removes the rows of users" in undoing.said
    assert run.rows("select name from users") == [("Ada",)]
