"""Which queries run during a rehearsal: canaries, and derived queries for tables without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.errors import UsageError
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import SqlFile, new_pair, read_migrations, sql_folder
from orderops.rehearsal.canaries import read_canaries
from orderops.rehearsal.load import LoadProcess
from orderops.rehearsal.queries import Query, QueryOrigin, queries_of, read_query
from orderops.rehearsal.workload import QueryGroup, Workload, workload_for
from orderops.restore.compare.comparison import compare

pytest_plugins = ["support.postgres_fixtures"]
WRONG = {
    "without a name": ("select 1 from t;", "a canary without a name"),
    "without values": ("-- canary: a\nselect 1 from t where id = $1;", "has parameters and no values"),
    "with needless values": ("-- canary: a\n-- values: select 1\nselect 1 from t;", "has values and no parameters"),
    "that is none": ("-- canary: a\ncreate table t ();", "a canary has to read or write rows"),
    "twice": ("-- canary: a\nselect 1 from t;\n-- canary: a\nselect 2 from t;", "2 canaries are named 'a'"),
    "with a wrong rate": ("-- canary: a\n-- rate: often\nselect 1 from t;", "invalid rate 'often'"),
    "with values that write": (
        "-- canary: a\n-- values: delete from t returning id\nselect 1 from t where id = $1;",
        "have to come from one SELECT",
    ),
    "that does not parse": ("-- canary: a\nselect from where;", "syntax error"),
}


@pytest.fixture(scope="module")
def dsn(module_database: str) -> str:
    with psycopg.connect(module_database, autocommit=True) as connection:
        for migration in read_migrations(sql_folder()):
            connection.execute(migration.forwards.text.encode())
        connection.execute("create table nothing (id int); create table empty (id int primary key)")
        connection.execute(
            "create table twin (a int, b text, c text, primary key (a, b)); insert into twin values (1, 'x')"
        )
        connection.execute(
            "insert into orders (id, user_id, currency, total_cents, placed_at)"
            " select gen_random_uuid(), 1, 'EUR', 1, now() from generate_series(1, 3)"
        )
        connection.execute("create extension pg_stat_statements")
    return module_database


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def traffic(connection: psycopg.Connection, text: str, *live: Query, canaries: bool = False) -> Workload:
    file = SqlFile(Path("V009__it.sql"), text)
    return workload_for(connection, [file], read_canaries(sql_folder()) if canaries else [], live)


def test_the_shipped_canaries_run_on_the_shipped_schema(dsn: str, connection: psycopg.Connection) -> None:
    workload = traffic(connection, "select 1;", canaries=True)

    assert [group.name for group in workload.families] == [
        "the newest users",
        "an order by its id",
        "the items of an order",
        "the newest orders",
        "the newest orders that wait or failed",
        "an order comes in",
    ]
    assert workload.notes == []
    with LoadProcess(login_from_dsn(dsn), workload.families) as process:
        process.catch_up()
    assert [call.message for call in process.slow_queries if call.state] == []


def test_a_slow_query_runs_less_often_and_is_waited_for(dsn: str, connection: psycopg.Connection) -> None:
    slow = read_query("slow", "select pg_sleep(0.1) from users limit 1", QueryOrigin.CANARY)
    assert slow
    family = QueryGroup(slow, 50.0, [[]], set(), ())
    with LoadProcess(login_from_dsn(dsn), [family]) as process:
        for _ in range(3):
            process.catch_up(timeout=30)

        assert len(process.slow_queries) >= 3
        assert all(call.due < later.due for call, later in pairwise(process.slow_queries))


def test_canaries_are_neither_migrations_nor_linted(tmp_path: Path) -> None:
    new_pair(tmp_path, "one")
    (tmp_path / "canaries.sql").write_text("-- canary: a\nselect 1 from t;")

    assert [migration.version for migration in read_migrations(tmp_path)] == [1]
    assert "canaries.sql" not in (finding.file.name for finding in lint(read_migrations(tmp_path)))
    assert new_pair(tmp_path, "two")[0].name == "V002__two.sql"


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG.keys())
def test_an_invalid_canary_is_an_error_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "canaries.sql").write_text(text)

    with pytest.raises(UsageError) as refusal:
        read_canaries(tmp_path)
    assert why in refusal.value.message
    assert "canaries.sql" in refusal.value.message or "drawn by" in why


def test_a_folder_without_a_canary_file_has_no_canaries(tmp_path: Path) -> None:
    assert read_canaries(tmp_path) == []


def test_queries_are_derived_for_each_touched_table(connection: psycopg.Connection) -> None:
    workload = traffic(connection, "alter table users add x int; create index on twin (c); drop index orders_of_user;")

    names = {group.name for group in workload.families}
    assert names == {
        f"{verb} {table}" for verb in ("reads", "writes", "inserts") for table in ("users", "twin", "orders")
    }
    _all_work(connection, workload.families)


def test_any_word_in_a_do_body_may_name_a_table(connection: psycopg.Connection) -> None:
    workload = traffic(connection, "do $$ begin update public.orders set status = 'shipped'; end $$;")

    assert [table.name for table in workload.tables] == ["orders"]


def test_access_that_a_canary_covers_is_not_derived(connection: psycopg.Connection) -> None:
    workload = traffic(connection, "alter table orders add x int;", canaries=True)

    derived = [group.name for group in workload.families if group.query.origin is QueryOrigin.DERIVED]
    assert derived == ["writes orders"], "none of the canaries changes an order that is there"


@pytest.mark.parametrize(("table", "why"), [("nothing", "has no key"), ("empty", "is empty")])
def test_a_table_without_rows_or_key_is_noted(connection: psycopg.Connection, table: str, why: str) -> None:
    workload = traffic(connection, f"alter table {table} add x int;")

    assert workload.families == []
    assert workload.notes[0].startswith(f"{table} {why}")


def test_the_derived_update_avoids_columns_that_a_migration_names(connection: psycopg.Connection) -> None:
    workload = traffic(connection, "alter table users drop column name;")

    update = next(group for group in workload.families if group.name == "writes users")
    assert '"name" = "name"' not in update.query.text


def test_a_canary_that_cannot_run_is_left_out_and_noted(connection: psycopg.Connection, tmp_path: Path) -> None:
    (tmp_path / "canaries.sql").write_text(
        "-- canary: a\n-- values: select id from gone\nselect 1 from users where id = $1;\n"
        "-- canary: b\n-- values: select id from users\nselect 1 from users where id = $1 and name = $2;\n"
    )
    workload = workload_for(connection, [], read_canaries(tmp_path), [])

    assert workload.families == []
    assert workload.notes == [
        """the canary 'a' was left out: relation "gone" does not exist""",
        "the canary 'b' was left out: it has 2 parameters, and its values query returns 1 columns",
    ]


def test_queries_and_rates_come_from_pg_stat_statements(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("select pg_stat_statements_reset()")
    for number in range(5):
        connection.execute("SELECT id, status FROM orders WHERE total_cents = %s", [number])
        connection.execute(f"select name from users where id = {number}".encode())
    connection.execute("select count(*) from pg_class")
    connection.execute("create table made (id int)")

    found = {next(iter(query.tables)): query for query in queries_of(login_from_dsn(dsn)) if len(query.tables) == 1}
    assert {"orders", "users"} <= found.keys()
    assert not found.keys() & {"pg_class", "made"}
    assert found["orders"].rate
    other = read_query("", "select id, status from orders where total_cents = 77", QueryOrigin.CANARY)
    assert other
    assert found["orders"].fingerprint == other.fingerprint


def test_queries_of_orderops_itself_are_left_out(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("select pg_stat_statements_reset()")
    connection.execute('select /* orderops */ min(t."id"), max(t."id") from "public"."users" t')
    connection.execute('select count(*) from only "public"."users" t')
    connection.execute('select currency from only "public"."orders" o')

    assert [query.tables for query in queries_of(login_from_dsn(dsn))] == [{"public.orders"}]


def test_queries_of_a_comparison_are_left_out(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table big (id int primary key); insert into big select generate_series(1, 5000)")
        connection.execute("create table parts (id int primary key) partition by range (id)")
        connection.execute("create table part partition of parts for values from (1) to (6000)")
        connection.execute("insert into parts select generate_series(1, 5000)")
        connection.execute("analyze; create extension pg_stat_statements; select pg_stat_statements_reset()")
        compare(login_from_dsn(database), login_from_dsn(database))

        workload = connection.execute("select query from pg_stat_statements where query ~ 'min.t..id'").fetchall()
    assert len(workload) == 2
    assert queries_of(login_from_dsn(database)) == []


def test_a_database_without_pg_stat_statements_has_no_known_queries(database: str) -> None:
    assert queries_of(login_from_dsn(database)) == []


def test_frequent_queries_run_often_within_bounds(connection: psycopg.Connection) -> None:
    live = read_query("", "select total_cents from orders where id = $1", QueryOrigin.LIVE)
    assert live
    often = [Query("", live.text, QueryOrigin.LIVE, rate=rate, reads=live.reads) for rate in (80.0, 8000.0, 0.01)]

    rates = [
        next(
            group.rate
            for group in traffic(connection, "alter table orders add x int;", one).families
            if group.query.kind == "reads"
        )
        for one in often
    ]
    assert rates == [80.0, 100.0, 50.0]


def _all_work(connection: psycopg.Connection, families: Sequence[QueryGroup]) -> None:
    for family in families:
        with connection.transaction(force_rollback=True):
            done = psycopg.RawCursor(connection).execute(family.query.text.encode(), family.rows[0])
            assert done.rowcount in (0, 1), family.name
