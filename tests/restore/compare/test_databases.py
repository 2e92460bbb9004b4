"""What a comparison reports of the databases as a whole: progress, servers, ledgers, and tables that only one has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from orderops.migrations.ledger import table as ledger
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.result import UnmatchedTable
from orderops.restore.compare.schema_diff import FoundIn
from support.two_databases import Database, DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

LOGIN = "do $$ begin create role auditor login password 'auditor'; exception when duplicate_object then null; end $$"


@pytest.fixture
def auditor(two: DatabasePair) -> Iterator[DatabasePair]:
    """Both databases as a role without privileges sees them; `two` is the administrator's."""
    two.live.execute(LOGIN)
    live, restored = (
        Database(f"{database.dsn} user=auditor password=auditor") for database in (two.live, two.restored)
    )
    yield DatabasePair(live, restored, two.server)
    two.both("drop owned by auditor")
    two.live.execute("drop role auditor")


def test_progress_names_every_table_and_ends_with_the_schema(two: DatabasePair) -> None:
    two.both("create table a (id int primary key)", "create table b (id int primary key)")
    progress: list[tuple[str, str]] = []

    compare(two.live.login, two.restored.login, on_progress=lambda *seen: progress.append(seen))

    # A table that was never analyzed has no estimate, so its rows are summed.
    assert progress == [
        *(("public.a", "starts"), ("public.a", "summing rows"), ("public.a", "")),
        *(("public.b", "starts"), ("public.b", "summing rows"), ("public.b", "")),
        *(("schema", "comparing"), ("schema", "")),
    ]


def test_progress_of_a_large_table_has_the_estimate_of_its_rows(two: DatabasePair) -> None:
    two.both("create table a (id int primary key); insert into a select generate_series(1, 12345); analyze a")
    progress: list[str] = []

    compare(two.live.login, two.restored.login, on_progress=lambda name, seen: progress.append(f"{name}: {seen}"))

    assert "public.a: summing about 12,345 rows" in progress


def test_the_databases_are_described_by_name_server_and_moment(two: DatabasePair) -> None:
    [(version,)] = two.live.rows("show server_version")
    [(before,)] = two.live.rows("select clock_timestamp()")

    compared = compare(two.live.login, two.restored.login)

    [(after,)] = two.live.rows("select clock_timestamp()")
    number = re.match(r"[\d.]+", version)
    assert number
    for side, name in ((compared.live, "test_live"), (compared.restored, "test_restored")):
        assert side.database.startswith(f"{name} on ")
        assert side.server == f"PostgreSQL {number[0]}"
        assert before <= side.moment <= after
        assert side.ledger == 0


def test_rows_of_a_table_that_only_one_database_has_are_counted(two: DatabasePair) -> None:
    two.live.execute("create table new (id int); insert into new values (1), (2), (3)")
    two.restored.execute("create table old (id int); insert into old values (1), (2)")

    compared = compare(two.live.login, two.restored.login)

    assert compared.only_live == [UnmatchedTable("public.new", 3)]
    assert compared.only_restored == [UnmatchedTable("public.old", 2)]


def test_a_table_of_one_database_that_cannot_be_read_has_no_number_of_rows(
    two: DatabasePair, auditor: DatabasePair
) -> None:
    two.live.execute("create table secret (id int); create table shown (id int); grant select on shown to auditor")

    compared = compare(auditor.live.login, auditor.restored.login)

    assert compared.only_live == [UnmatchedTable("public.secret", None), UnmatchedTable("public.shown", 0)]


def test_a_ledger_that_cannot_be_read_is_noted(two: DatabasePair, auditor: DatabasePair) -> None:
    with two.server.connect("test_restored") as connection:
        ledger.make(connection)

    compared = compare(auditor.live.login, auditor.restored.login)

    assert (compared.live.ledger, compared.restored.ledger) == (0, None)
    assert compared.notes == ["the ledger cannot be read: restored: permission denied for schema orderops_ledger"]
    assert not compared.same


def test_a_sequence_that_cannot_be_read_is_noted_and_the_others_are_compared(
    two: DatabasePair, auditor: DatabasePair
) -> None:
    two.both(
        "create sequence hidden; create table orders (id serial primary key); create table shown (id serial)",
        "grant select on sequence orders_id_seq, shown_id_seq to auditor; grant select on shown to auditor",
    )
    two.live.execute("insert into shown default values; insert into shown default values")

    compared = compare(auditor.live.login, auditor.restored.login)

    assert [(sequence.name, sequence.lag) for sequence in compared.sequences] == [
        ("public.orders_id_seq", 0),
        ("public.shown_id_seq", 2),
    ]
    assert compared.sequences[1].live.furthest == {"public.shown.id": 2}
    assert compared.notes == [
        note
        for side in ("live", "restored")
        for note in (
            f"sequence public.hidden of {side} cannot be read by auditor",
            f"the values of public.orders.id cannot be read: {side}: permission denied for table orders",
        )
    ]


def test_a_descending_sequence_and_a_default_that_uses_a_sequence_are_compared_with_their_columns(
    two: DatabasePair,
) -> None:
    two.both(
        "create sequence down increment -1",
        "create table debts (id bigint default nextval('down') primary key, other bigint default nextval('down'))",
        "create table parts (id int generated always as identity, at int) partition by range (at)",
        "create table parts_1 partition of parts for values from (0) to (9)",
    )
    two.restored.execute(
        "insert into debts values (-5, -7), (-3, -2)",
        "insert into parts (id, at) overriding system value values (4, 1)",
    )

    compared = {sequence.name: sequence.restored for sequence in compare(two.live.login, two.restored.login).sequences}

    assert compared["public.down"].behind == {"public.debts.id": 5, "public.debts.other": 7}
    assert compared["public.down"].furthest == {"public.debts.id": -5, "public.debts.other": -7}
    assert compared["public.parts_id_seq"].behind == {"public.parts.id": 4}


def test_triggers_policies_types_and_defaults_are_compared(two: DatabasePair) -> None:
    two.both("create table orders (id int primary key, note text)")
    two.live.execute(
        "create function f() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger kept before insert on orders for each row execute function f()",
        "create policy mine on orders for select using (id > 0)",
        "create domain code as text default 'a' not null check (value <> '')",
        "create type point2 as (x int, y int)",
    )
    two.restored.execute("alter table orders alter note set not null, alter note set default 'x'")

    found = {
        (difference.kind, difference.name): (difference.where, difference.live, difference.restored)
        for difference in compare(two.live.login, two.restored.login).schema
    }

    assert found.pop(("trigger", "kept on public.orders"))[0] is FoundIn.ONLY_LIVE
    assert found.pop(("function", "public.f()"))[0] is FoundIn.ONLY_LIVE
    assert found == {
        ("policy", "mine on public.orders"): (FoundIn.ONLY_LIVE, "r permissive public (id > 0)", None),
        ("type", "public.code"): (
            FoundIn.ONLY_LIVE,
            "domain text not null default 'a'::text CHECK ((VALUE <> ''::text))",
            None,
        ),
        ("type", "public.point2"): (FoundIn.ONLY_LIVE, "row of x integer, y integer", None),
        ("column", "public.orders.note"): (FoundIn.DIFFERS, "text", "text not null default 'x'::text"),
    }


def test_a_comparison_of_named_tables_has_neither_schema_nor_sequences(two: DatabasePair) -> None:
    two.both("create table orders (id serial primary key)")
    two.live.execute("create view v as select 1 as one; insert into orders default values")

    compared = compare(two.live.login, two.restored.login, tables=["orders"])

    assert (compared.schema, compared.sequences, compared.all_tables) == ([], [], False)
    assert not compared.same
