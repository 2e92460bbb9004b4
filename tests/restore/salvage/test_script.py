"""A salvage script inserts rows exactly as they were, and warns about missing rows before it is run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orderops.errors import OrderopsError, UsageError
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference
from orderops.restore.salvage.script import salvage, wanted_kinds, write_script
from support.migrate_runs import until
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

SHOP = (
    "create table customers (id int primary key, name text)",
    "create table orders (id bigint generated always as identity primary key, customer int references customers,"
    " note text, total numeric(12, 2), at timestamptz, raw bytea, tags text[], extra json,"
    " gross numeric generated always as (total * 1.19) stored)",
    "insert into customers select i, 'customer ' || i from generate_series(1, 5) i",
    "insert into orders (customer, note, total, at) select 1 + i % 5, 'note', i * 1.1, '2026-01-01' from"
    " generate_series(1, 100) i",
)
SINCE = (
    "insert into customers values (6, 'O''Hara; drop table customers; --'), (7, E'back\\\\slash\\n\\\\.')",
    "insert into orders (customer, note, total, at, raw, tags, extra)"
    " select 6 + i % 2, E'it''s :new \\\\ \\n' || i, i / 3.0, '2026-05-05 05:05:05.123456+02', '\\x00ff',"
    " array['a', null, 'b,\"c'], '{\"a\" :1}' from generate_series(1, 2500) i",
    "insert into orders (customer, note) values (6, null), (7, '')",
)
DIRECTIONS = {"before the switch": (Difference.ONLY_LIVE, False), "after the switch": (Difference.ONLY_RESTORED, True)}


@pytest.mark.parametrize(("kind", "to_live"), DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_the_script_inserts_the_missing_rows(two: DatabasePair, kind: Difference, to_live: bool) -> None:
    two.both(*SHOP)
    behind, ahead = (two.live, two.restored) if to_live else (two.restored, two.live)
    ahead.execute(*SINCE)

    text = script(two, ["orders", "customers"], {kind})
    two.psql(behind, text)
    # The script is safe to repeat.
    two.psql(behind, text)

    assert compare(two.live.login, two.restored.login).same
    behind.execute("insert into orders (customer) values (1)")
    assert behind.rows("select max(id) from orders") == [(2603,)]


def test_changed_values_are_updated_except_in_rows_written_since(two: DatabasePair) -> None:
    two.both(*SHOP)
    two.live.execute("update orders set note = 'paid', extra = '{}' where id < 4")
    text = script(two, ["orders"], {Difference.CHANGED})
    two.restored.execute("update orders set note = 'written since' where id = 2")

    two.psql(two.restored, text)

    assert two.restored.rows("select id, note, extra::text from orders where id < 5 order by id") == [
        (1, "paid", "{}"),
        (2, "written since", None),
        (3, "paid", "{}"),
        (4, "note", None),
    ]


def test_a_missing_row_of_another_table_is_a_warning(two: DatabasePair) -> None:
    two.both(*SHOP)
    two.live.execute(*SINCE)
    notes: list[str] = []

    text = script(two, ["public.orders"], {Difference.ONLY_LIVE}, notes)

    assert "-- warning: public.customers has no row for orders.customer = 6 / 7: orders_customer_fkey\n" in text
    assert "re-run this command with --table public.customers" in notes[-1]
    with pytest.raises(AssertionError, match="orders_customer_fkey"):
        two.psql(two.restored, text)
    assert two.restored.rows("select count(*) from orders") == [(100,)]


def test_no_warning_without_missing_rows(two: DatabasePair) -> None:
    two.both(*SHOP)
    two.live.execute("insert into orders (customer) values (1), (null)")

    assert "-- warning" not in script(two, ["orders"], {Difference.ONLY_LIVE})


def test_rows_that_refer_to_rows_of_their_own_table_are_inserted_together(two: DatabasePair) -> None:
    two.both("create table tree (id text primary key, parent text references tree)", "insert into tree values ('n0')")
    two.live.execute(
        "insert into tree select 'n' || i, case when i < 3000 then 'n' || i + 1 end from generate_series(1, 3000) i",
        "update tree set parent = 'n7' where id = 'n0'",
    )

    two.psql(two.restored, script(two, ["tree"], {Difference.ONLY_LIVE, Difference.CHANGED}))

    assert compare(two.live.login, two.restored.login).same


def test_rows_without_a_key_are_inserted_as_often_as_they_are_missing(two: DatabasePair) -> None:
    two.both("create table log (line text)", "insert into log values ('a'), ('a'), ('b')")
    two.live.execute("insert into log values ('a'), ('c'), ('c'), (null)")

    text = script(two, ["log"], {Difference.ONLY_LIVE})
    two.psql(two.restored, text)

    assert "-- run this once: without a key, existing rows cannot be recognised\n" in text
    assert compare(two.live.login, two.restored.login).same


def test_odd_names_are_quoted_and_cannot_end_a_comment(two: DatabasePair) -> None:
    two.both(
        'create table "T\ndrop table x; --" ("Id :a %" int primary key, "v""{}" text)',
        "create table x (id int primary key)",
        "create function f() returns trigger language plpgsql as 'begin return new; end'",
        'create trigger "t\ndrop table x" before insert on "T\ndrop table x; --" for each row execute function f()',
    )
    two.live.execute("insert into \"T\ndrop table x; --\" values (1, 'a')")

    two.psql(two.restored, script(two, ["T\ndrop table x; --"], {Difference.ONLY_LIVE}))

    assert compare(two.live.login, two.restored.login).same


def test_triggers_that_fire_are_named(two: DatabasePair) -> None:
    two.both(
        "create table t (id int primary key)",
        "create function f() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger audit before insert on t for each row execute function f()",
    )

    assert "-- triggers fire for these rows: audit\n" in script(two, ["t"], {Difference.ONLY_LIVE})


def test_a_script_without_rows_changes_nothing(two: DatabasePair) -> None:
    two.both(*SHOP)

    two.psql(two.restored, script(two, ["orders"], {Difference.ONLY_LIVE}))

    assert compare(two.live.login, two.restored.login).same


def test_tables_that_refer_to_each_other_are_a_warning(two: DatabasePair) -> None:
    two.both(
        "create table a (id int primary key, b int); create table b (id int primary key, a int references a)",
        "alter table a add foreign key (b) references b",
    )
    notes: list[str] = []

    assert "warning: tables that refer to each other in a cycle" in script(
        two, ["a", "b"], {Difference.ONLY_LIVE}, notes
    )
    assert any("drop one of the foreign keys" in line for line in notes)


def test_a_named_table_of_only_one_database_is_an_error(two: DatabasePair) -> None:
    two.live.execute("create table t (id int primary key)")

    with pytest.raises(OrderopsError, match=r"public\.t is only in live") as refused:
        script(two, ["t"], {Difference.ONLY_LIVE})

    assert refused.value.hint == "dump the whole table: pg_dump --table public.t"


def test_a_table_of_only_one_database_is_left_out_unless_named(two: DatabasePair) -> None:
    two.both(*SHOP)
    two.live.execute("create table t (id int primary key)", *SINCE)
    notes: list[str] = []

    two.psql(two.restored, script(two, [], {Difference.ONLY_LIVE}, notes))

    assert "public.t is only in live, so its rows have no table to go to" in notes
    assert all(table.same for table in compare(two.live.login, two.restored.login).tables)


@pytest.mark.parametrize(("both", "message"), [(False, "choose the rows"), (True, "cannot be combined")])
def test_no_direction_and_both_directions_are_errors(both: bool, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wanted_kinds(only_live=both, only_restored=both, changed=False)


def test_an_incomplete_script_is_deleted_and_an_existing_file_is_kept(two: DatabasePair, tmp_path: Path) -> None:
    def breaking() -> Iterator[str]:
        yield "begin;"
        raise OrderopsError("lost")

    with pytest.raises(OrderopsError, match="lost"):
        write_script(breaking(), tmp_path / "a.sql")
    assert list(tmp_path.iterdir()) == []
    write_script(iter(["begin;"]), tmp_path / "b.sql")
    assert (tmp_path / "b.sql").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="exists and is not overwritten"):
        write_script(iter(["mine"]), tmp_path / "b.sql")


def test_a_script_that_is_not_read_to_its_end_leaves_no_session(
    two: DatabasePair, caplog: pytest.LogCaptureFixture
) -> None:
    two.both(*SHOP)
    two.live.execute("insert into orders (note) select repeat('x', 100) from generate_series(1, 30000) i")
    busy = "select count(*) from pg_stat_activity where application_name like 'orderops%'"

    with closing(salvage(two.live.login, two.restored.login, ["orders"])) as pieces:
        assert any("insert into" in piece for piece in pieces)
        assert two.live.rows(busy) == [(4,)]

    until(lambda: two.live.rows(busy) == [(0,)], "no session is left")
    assert caplog.messages == []


def script(
    two: DatabasePair, tables: Collection[str], kinds: Collection[Difference], notes: list[str] | None = None
) -> str:
    on_note = (notes if notes is not None else []).append
    return "".join(
        salvage(two.live.login, two.restored.login, tables, kinds=kinds, on_note=on_note, on_left_out=on_note)
    )
