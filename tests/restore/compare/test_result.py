"""Results other than numbers of rows: schema, sequences, ledgers, samples and files; and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from orderops.errors import OrderopsError, UsageError
from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch
from orderops.migrations.ledger import table as ledger
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference
from orderops.restore.compare.result import Comparison
from orderops.restore.compare.samples import Sample
from support.two_databases import Database, DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

ORDERS = "create table orders (id bigint generated always as identity primary key, note text, v int)"
HUNDRED = "insert into orders (note, v) select 'note ' || i, i from generate_series(1, 100) i"


def test_equal_databases_are_the_same(two: DatabasePair) -> None:
    two.both(ORDERS, HUNDRED, "create view v as select id from orders", "create index on orders (note)")

    comparison = compared(two)

    assert comparison.same
    assert comparison.tables[0].rows.live == 100
    assert comparison.all_tables


def test_schema_objects_that_differ_are_listed_with_their_definitions(two: DatabasePair) -> None:
    two.both(
        ORDERS, "create function f(int) returns int language sql as 'select 1'", "create type mood as enum ('sad')"
    )
    two.live.execute(
        "alter table orders alter v type bigint, add constraint positive check (v > 0) not valid",
        "create index by_note on orders (note); create view v as select id from orders",
        "create or replace function f(int) returns int language sql as 'select 2'",
        "alter type mood add value 'glad'; create schema later; create extension pg_trgm",
        "create table later.t (id int primary key); insert into later.t values (1), (2)",
    )
    two.restored.execute("create sequence old; create materialized view m as select 1 as one")

    comparison = compared(two)

    assert {(difference.kind, difference.name, str(difference.where)) for difference in comparison.schema} == {
        ("column", "public.orders.v", "differs"),
        ("constraint", "positive on public.orders", "only in live"),
        ("index", "public.by_note", "only in live"),
        ("view", "public.v", "only in live"),
        ("view", "public.m", "only in restored"),
        ("function", "public.f(integer)", "differs"),
        ("type", "public.mood", "differs"),
        ("schema", "later", "only in live"),
        ("table", "later.t", "only in live"),
        ("sequence", "public.old", "only in restored"),
        ("extension", "pg_trgm", "only in live"),
    }
    assert [(table.name, table.rows) for table in comparison.only_live] == [("later.t", 2)]
    column = next(difference for difference in comparison.schema if difference.kind == "column")
    assert (column.live, column.restored) == ("bigint", "integer")


def test_a_sequence_that_would_repeat_numbers_is_listed(two: DatabasePair) -> None:
    two.both(ORDERS, HUNDRED, "create table old (id serial primary key)")
    two.live.execute("insert into orders (v) values (1), (2); delete from orders where id > 100")
    two.restored.execute("insert into old values (7)")

    behind = {sequence.name: sequence for sequence in compared(two).sequences if not sequence.in_order}

    assert behind["public.orders_id_seq"].lag == 2
    assert behind["public.old_id_seq"].restored.behind == {"public.old.id": 7}
    assert not behind["public.orders_id_seq"].restored.behind


def test_the_highest_versions_of_both_ledgers_are_compared(two: DatabasePair) -> None:
    for side, versions in ((two.live, [1, 2]), (two.restored, [1])):
        with psycopg.connect(side.dsn, autocommit=True) as connection:
            ledger.make(connection)
            author = ledger.Author("Ada", "laptop")
            marked = [(version, "first", "0" * 64) for version in versions]
            ledger.record(connection, author, marked, action=ledger.AttemptAction.BASELINE, note="")

    comparison = compared(two)

    assert (comparison.live.ledger, comparison.restored.ledger) == (2, 1)
    assert (comparison.tables, comparison.schema, comparison.sequences) == ([], [], [])
    assert not comparison.same


def test_other_tables_in_the_schema_of_the_ledger_are_compared(two: DatabasePair) -> None:
    two.both("create schema orderops_ledger; create table orderops_ledger.orders (id int primary key)")
    two.live.execute("insert into orderops_ledger.orders values (1)")

    assert [(table.name, table.differences[Difference.ONLY_LIVE]) for table in compared(two).tables] == [
        ("orderops_ledger.orders", 1)
    ]


def test_samples_have_whole_rows_and_only_the_changes_of_changed_ones(two: DatabasePair) -> None:
    two.both(ORDERS, HUNDRED)
    two.live.execute("delete from orders where id = 3", "update orders set v = null where id in (5, 6)")
    two.restored.execute("delete from orders where id = 8")

    (table,) = compare(two.live.login, two.restored.login, samples=1).tables

    assert [sample.to_dict() for sample in table.samples] == [
        {"kind": "only_in_live", "key": {"id": "8"}, "live": {"id": "8", "note": "note 8", "v": "8"}},
        {"kind": "only_in_restored", "key": {"id": "3"}, "restored": {"id": "3", "note": "note 3", "v": "3"}},
        {"kind": "changed", "key": {"id": "5"}, "live": {"v": None}, "restored": {"v": "5"}},
    ]
    assert table.differences[Difference.CHANGED] == 2


def test_samples_of_a_table_with_a_key_of_two_columns_are_found_by_both(two: DatabasePair) -> None:
    two.both(
        "create table lines (order_id int, line int, v text, primary key (order_id, line))",
        "insert into lines values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c'), (2, 2, 'd')",
    )
    two.live.execute("update lines set v = 'x' where order_id = 1 and line = 2; delete from lines where order_id = 2")

    (lines,) = compare(two.live.login, two.restored.login, samples=5).tables

    # In the order of hashes, which differs from one comparison to the next.
    assert sorted(map(Sample.to_dict, lines.samples), key=str) == [
        {"kind": "changed", "key": {"order_id": "1", "line": "2"}, "live": {"v": "x"}, "restored": {"v": "b"}},
        {
            "kind": "only_in_restored",
            "key": {"order_id": "2", "line": "1"},
            "restored": {"order_id": "2", "line": "1", "v": "c"},
        },
        {
            "kind": "only_in_restored",
            "key": {"order_id": "2", "line": "2"},
            "restored": {"order_id": "2", "line": "2", "v": "d"},
        },
    ]


def test_samples_of_a_table_without_a_key_are_found_by_hash(two: DatabasePair) -> None:
    two.both("create table log (line text, extra json)", "insert into log values ('a', '1'), ('a', '1')")
    two.live.execute("insert into log values ('b', '{}'), ('b', '{}'), (null, null)")

    (table,) = compare(two.live.login, two.restored.login, samples=5).tables

    rows = [tuple(sample.live.values()) for sample in table.samples]
    assert sorted(rows, key=str) == [("b", "{}"), (None, None)]


def test_exported_files_can_be_copied_back(two: DatabasePair, tmp_path: Path) -> None:
    two.both(ORDERS, HUNDRED, "create table log (line text)", "insert into log values ('a')")
    two.live.execute(
        "insert into orders (note) select case i % 3 when 0 then null when 1 then '' else E'a,\"b\\n' || i end"
        " from generate_series(1, 2500) i",
        "update orders set v = -1 where id = 1; delete from orders where id = 2",
        "insert into log values ('x'), ('x'), ('x')",
    )
    folder = tmp_path / "files"

    compare(two.live.login, two.restored.login, export=folder)

    assert {file.name for file in folder.iterdir()} == {
        "public.orders.only-in-live.csv",
        "public.orders.only-in-restored.csv",
        "public.orders.changed-live.csv",
        "public.orders.changed-restored.csv",
        "public.log.only-in-live.csv",
    }
    back = {"orders": ["only-in-live", "changed-live"], "log": ["only-in-live"]}
    two.restored.execute("delete from orders where id in (1, 2); alter table orders alter id drop identity")
    for table, kinds in back.items():
        for kind in kinds:
            file = folder / f"public.{table}.{kind}.csv"
            two.psql(two.restored, [f"\\copy {table} ({file.read_text().splitlines()[0]}) from '{file}' csv header"])
    assert all(table.same for table in compared(two).tables)


def test_a_folder_that_is_not_empty_is_an_error(two: DatabasePair, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(UsageError, match="is not empty, and its files are never overwritten"):
        compare(two.live.login, two.restored.login, export=tmp_path)

    assert (tmp_path / "mine").read_text() == "precious"


def test_only_the_named_tables_are_compared(two: DatabasePair) -> None:
    two.both(ORDERS, "create table a (id int primary key)", "create table b (id int primary key)")
    two.live.execute("insert into b values (1)")

    comparison = compare(two.live.login, two.restored.login, tables=["a", "public.orders"])

    assert [table.name for table in comparison.tables] == ["public.a", "public.orders"]
    assert (comparison.same, comparison.all_tables) == (True, False)


def test_an_unknown_table_is_an_error_with_the_available_ones(two: DatabasePair) -> None:
    two.both(ORDERS)

    with pytest.raises(UsageError, match="neither database has a table 'ordres'") as refused:
        compare(two.live.login, two.restored.login, tables=["ordres"])

    assert refused.value.hint == "available: public.orders"


def test_tables_that_the_role_cannot_read_are_reported_and_the_rest_is_compared(two: DatabasePair) -> None:
    two.both(
        ORDERS,
        "create table secret (id int primary key)",
        "create table hidden (id int primary key); alter table hidden enable row level security",
        "create schema away; create table away.t (id int)",
        "do $$ begin create role clerk login password 'clerk'; exception when duplicate_object then null; end $$",
        "grant select on orders, hidden to clerk",
    )
    two.live.execute("insert into orders (v) values (1)")
    live, restored = (Database(f"{database.dsn} user=clerk password=clerk") for database in (two.live, two.restored))
    try:
        comparison = compare(live.login, restored.login)
    finally:
        two.both("drop owned by clerk")
        two.live.execute("drop role clerk")

    refused = {table.name: table.error for table in comparison.tables}
    assert refused.pop("public.orders") == ""
    assert refused == {
        "away.t": "live: permission denied for schema away (the role is clerk)",
        "public.hidden": 'live: query would be affected by row-level security policy for table "hidden"'
        " (the role is clerk)",
        "public.secret": "live: permission denied for table secret (the role is clerk)",
    }
    assert comparison.rows(Difference.ONLY_LIVE) == 1
    assert not comparison.same


def test_a_table_truncated_during_the_comparison_is_not_compared(two: DatabasePair) -> None:
    two.both("create table a (id int primary key)", ORDERS, HUNDRED)

    comparison = compare(
        two.live.login,
        two.restored.login,
        on_progress=once("public.orders", lambda: two.live.execute("truncate orders")),
    )

    assert refusals(comparison) == {
        "public.orders": "live: truncated, rewritten or dropped during the comparison: compare it again"
    }


def test_a_partition_truncated_during_the_comparison_marks_its_table(two: DatabasePair) -> None:
    two.both(
        "create table a (id int primary key)",
        "create table parts (id int primary key) partition by range (id)",
        "create table parts_1 partition of parts for values from (0) to (9); insert into parts values (1)",
        "create table z (id int primary key)",
    )

    comparison = compare(
        two.live.login,
        two.restored.login,
        on_progress=once("public.z", lambda: two.restored.execute("truncate parts_1")),
    )

    assert refusals(comparison) == {
        "public.parts": "restored: truncated, rewritten or dropped during the comparison: compare it again"
    }


def test_a_table_dropped_during_the_comparison_is_reported(two: DatabasePair) -> None:
    two.both("create table a (id int primary key)", ORDERS, HUNDRED)

    comparison = compare(
        two.live.login,
        two.restored.login,
        on_progress=once("public.a", lambda: two.restored.execute("drop table orders")),
    )

    assert refusals(comparison) == {"public.orders": 'restored: relation "public.orders" does not exist'}


def test_rows_written_during_the_comparison_are_not_seen(two: DatabasePair) -> None:
    two.both(ORDERS, HUNDRED)

    comparison = compare(
        two.live.login,
        two.restored.login,
        on_progress=once("public.orders", lambda: two.live.execute(HUNDRED)),
    )

    assert comparison.tables[0].same


def test_a_migration_waits_only_for_the_table_that_is_being_read(two: DatabasePair) -> None:
    two.both("create table a (id int primary key)", ORDERS, HUNDRED)

    comparison = compare(
        two.live.login,
        two.restored.login,
        on_progress=once("public.orders", lambda: two.live.execute("set lock_timeout = '5s'; alter table a add v int")),
    )

    assert refusals(comparison) == {}


def test_a_table_that_stays_locked_is_reported(two: DatabasePair) -> None:
    two.both("create table a (id int primary key)", ORDERS, HUNDRED)
    two.live.execute("insert into orders (v) values (1)")

    with psycopg.connect(two.live.dsn) as holder:
        holder.execute("lock table a in access exclusive mode")
        comparison = compare(two.live.login, two.restored.login, lock_timeout=timedelta(seconds=0.2))

    assert comparison.notes == ["no index is compared: live: another session holds a lock for more than 0.2 s"]
    assert refusals(comparison) == {"public.a": "live: another session holds a lock for more than 0.2 s"}
    assert comparison.rows(Difference.ONLY_LIVE) == 1


def test_databases_in_two_encodings_are_compared_by_characters(two: DatabasePair, postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        connection.execute("create database test_latin encoding 'LATIN1' locale 'C' template template0")
    try:
        latin = Database(postgres.dsn("test_latin"))
        for side in (two.live, latin):
            side.execute(ORDERS, "insert into orders (note) values ('grün'), ('blau'), ('weiß')")
        latin.execute("update orders set note = 'rosé' where note = 'blau'")

        comparison = compare(two.live.login, latin.login, samples=1)
    finally:
        postgres.drop_database("test_latin")

    assert comparison.tables[0].differences[Difference.CHANGED] == 1
    assert comparison.tables[0].samples[0].restored == {"note": "rosé"}
    assert "live is in UTF8 and restored in LATIN1" in comparison.notes


def test_a_server_that_is_killed_is_an_error_with_its_name(two: DatabasePair, caplog: pytest.LogCaptureFixture) -> None:
    two.both(ORDERS, HUNDRED)
    with scratch("orderops-postgres-") as folder:
        server = PostgresServer(folder / "server", settings=UNDURABLE)
        server.start()
        dying = Database(server.dsn())
        dying.execute(ORDERS, HUNDRED)
        with pytest.raises(OrderopsError, match="connection to the restored database postgres on") as refused:
            compare(two.live.login, dying.login, on_progress=once("public.orders", server.kill))

    assert refused.value.hint == "nothing was changed; re-run this command once the database accepts connections"
    assert caplog.messages == []


def test_a_session_terminated_in_the_middle_of_a_stream_is_an_error(
    two: DatabasePair, caplog: pytest.LogCaptureFixture
) -> None:
    two.both(ORDERS, "insert into orders (v) select i from generate_series(1, 110000) i")
    two.restored.execute("update orders set v = -1")
    ending = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'orderops restore%'"

    def end(name: str, progress: str) -> None:
        if "fetched the hashes" in progress:
            two.live.execute(ending + " and datname = current_database()")

    with pytest.raises(OrderopsError, match=r"connection to the live database test_live on .* was lost"):
        compare(two.live.login, two.restored.login, on_progress=end)

    assert caplog.messages == []


def test_the_json_document_has_stable_keys(two: DatabasePair) -> None:
    two.both(ORDERS, HUNDRED)

    document = json.loads(json.dumps(compared(two).to_dict()))

    assert document.keys() == {
        *("same", "live", "restored", "rows", "tables", "tables_only_in_live", "tables_only_in_restored"),
        *("schema", "sequences", "notes", "whole"),
    }
    assert document["tables"][0].keys() == {
        *("table", "same", "rows", "only_in_live", "only_in_restored", "changed", "refused", "notes", "samples"),
    }


def once(name: str, act: Callable[[], object]) -> Callable[[str, str], None]:
    """Act once, when the comparison of a table starts."""
    actions = [act]

    def on_progress(table: str, progress: str) -> None:
        if table == name and progress == "starts" and actions:
            actions.pop()()

    return on_progress


def refusals(comparison: Comparison) -> dict[str, str]:
    return {table.name: table.error for table in comparison.tables if table.error}


def compared(two: DatabasePair) -> Comparison:
    return compare(two.live.login, two.restored.login)
