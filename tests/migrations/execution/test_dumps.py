"""A file that pg_dump wrote runs as it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch
from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]

DEBIANS = Path("/usr/lib/postgresql/15/bin")
SHOP = """
create schema shop;
create type shop.state as enum ('open', 'paid');
create table shop.users (id bigint generated always as identity primary key, name text not null unique);
create table shop.orders (
    id serial primary key, user_id bigint not null references shop.users, state shop.state not null default 'open',
    note text, total numeric(10, 2) check (total >= 0), placed timestamptz not null default now()
);
create index orders_by_state on shop.orders (state) where state = 'open';
create function shop.total(wanted bigint) returns numeric language plpgsql as $$
begin
    -- A line of a body that is none of pg_dump's:
    raise debug '
\\restrict this
';
    return (select sum(o.total) from shop.orders o where o.user_id = wanted);
end $$;
create view shop.spent as select shop.total(2) as total;
create table public.notes (text text);
insert into shop.users (name) values ('Ada'), (E'Bob\\twith a tab'), (E'C\\r\\nD'), ('\\.'), ('é☃');
insert into shop.orders (user_id, note, total) values (1, null, 1.5), (2, '', 2), (2, E'\\\\restrict\\n\\\\.', 3);
insert into public.notes values (E'\\nSET lock_timeout = 0;\\nCOPY x FROM stdin;\\n');
"""
ROWS = (
    "select 'user', u::text from shop.users u union all select 'order', o::text from shop.orders o"
    " union all select 'note', n::text from notes n union all select 'spent', s::text from shop.spent s"
    " union all select 'next', nextval('shop.orders_id_seq')::text order by 1, 2"
)


@pytest.fixture(scope="module")
def older_postgres() -> Iterator[PostgresServer]:
    """PostgreSQL 15, as Debian 12 has it."""
    if not DEBIANS.is_dir():
        pytest.skip("needs PostgreSQL 15 of Debian: apt-get install postgresql-15")
    with scratch("orderops-postgres-15-") as directory:
        server = PostgresServer(directory / "server", settings=UNDURABLE, bindir=DEBIANS)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def dump(program: Path, dsn: str, *options: str) -> str:
    """What a pg_dump writes."""
    # As bytes: the values hold carriage returns.
    return subprocess.run([str(program), *options, dsn], check=True, capture_output=True).stdout.decode()


def schema(postgres: PostgresServer, dsn: str) -> list[str]:
    """The schema as the newest pg_dump writes it, without the ledger and words that differ at each dump."""
    options = ("--schema-only", "--exclude-schema", "orderops_ledger", "--exclude-table", "later")
    text = dump(postgres.bindir / "pg_dump", dsn, *options)
    # The database of a test has a schema public of its own, without a comment.
    others = ("--", "\\", "COMMENT ON SCHEMA public")
    return [line for line in text.splitlines() if line and not line.startswith(others)]


def filled(server: PostgresServer) -> str:
    """The name of a database with a schema and rows of all sorts."""
    name = "dumped_shop"
    dsn = server.create_database(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SHOP.encode())
    return name


@pytest.mark.parametrize("options", [(), ("--inserts",), ("--schema-only",)], ids=["COPY", "INSERT", "schema"])
@pytest.mark.parametrize("version", [15, 18])
def test_a_dump_is_applied_and_brings_the_same_schema_and_rows(
    run: Run, postgres: PostgresServer, request: pytest.FixtureRequest, version: int, options: tuple[str, ...]
) -> None:
    source: PostgresServer = postgres if version == 18 else request.getfixturevalue("older_postgres")
    name = filled(source)
    try:
        text = dump(source.bindir / "pg_dump", source.dsn(name), *options)
        wanted = schema(postgres, source.dsn(name))
        with psycopg.connect(source.dsn(name), autocommit=True) as connection:
            rows = connection.execute(ROWS.encode()).fetchall()
    finally:
        source.drop_database(name)
    assert "\nSET statement_timeout = 0;\n" in text
    assert text.count("restrict ") >= 2
    run.write("001__shop", text, "drop schema shop cascade;\ndrop table notes;\n")
    run.write("002__later", "create table later ();\n")

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert run.rows("select to_regclass('public.later') is not null") == [(True,)]
    assert schema(postgres, run.dsn) == wanted
    if "--schema-only" not in options:
        assert run.rows(ROWS) == rows
    assert run("lint", "--json").err.count("syntax-error") == 0


def test_the_timeouts_of_a_dump_are_those_of_the_migration(run: Run) -> None:
    head = (
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET lock_timeout = 0;\nSET statement_timeout = 0;\n"
    )
    show = "create table shown as select current_setting('lock_timeout') a, current_setting('statement_timeout') b;\n"
    run.write("001__dump", f"{head}{show}\n\\unrestrict abc\n")

    assert run("apply", "--yes").code == 0
    assert run.rows("select * from shown") == [("50ms", "10min")]


def test_a_dump_with_the_ledger_names_the_option_that_leaves_it_out(run: Run) -> None:
    run.write("001__dump", "--\n-- PostgreSQL database dump\n--\n\nCREATE SCHEMA orderops_ledger;\n")

    assert "hint: leave it out of the dump: pg_dump --exclude-schema=orderops_ledger\n" in run("apply", "--yes").err


# The scanner refuses words that begin with a digit, as every sixth token of pg_dump does.
@pytest.mark.parametrize("token", ["abc", "1abc", "0x", "5e5z"])
def test_each_token_of_a_restriction_is_left_out(run: Run, token: str) -> None:
    data = "create table public.a (t text);\nCOPY public.a FROM stdin;\n\\\\restrict x\n\\.\n"
    run.write("001__a", f"\\restrict {token}\n{data}\\unrestrict {token}\n\n\\restrict {token}\nselect 1;\n")

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert run.rows("select t from a") == [("\\restrict x",)]


@pytest.mark.parametrize(
    "text",
    [
        "create table a (id int)\n\\restrict abc\n;\n",
        "\\restrict abc; select 1\n",
        "\\restrict\n",
        "\\restricted abc\n",
        "\\connect shop\n",
        "SET lock_timeout = 0;\n",
    ],
)
def test_other_commands_of_psql_and_timeouts_of_other_files_are_still_errors(run: Run, text: str) -> None:
    run.write("001__a", text)

    assert run("apply", "--yes").code == 2
