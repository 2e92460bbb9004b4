"""Rows come back by a script that psql runs, exactly as they were, and what stands in their way is said before."""

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
from support.two_databases import Two

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
BOTH_WAYS = {"before the switch": (Difference.ONLY_LIVE, False), "after the switch": (Difference.ONLY_RESTORED, True)}


@pytest.mark.parametrize(("kind", "turned"), BOTH_WAYS.values(), ids=BOTH_WAYS.keys())
def test_what_psql_runs_brings_the_rows_back(two: Two, kind: Difference, turned: bool) -> None:
    two.both(*SHOP)
    behind, ahead = (two.live, two.restored) if turned else (two.restored, two.live)
    ahead.execute(*SINCE)

    text = script(two, ["orders", "customers"], {kind})
    two.psql(behind, text)
    two.psql(behind, text)  # a second time does no harm

    assert compare(two.live.login, two.restored.login).same
    behind.execute("insert into orders (customer) values (1)")
    assert behind.rows("select max(id) from orders") == [(2603,)]


def test_values_that_changed_are_brought_back_and_what_was_written_since_stays(two: Two) -> None:
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


def test_a_missing_row_of_another_table_is_said_before_the_script_is_run(two: Two) -> None:
    two.both(*SHOP)
    two.live.execute(*SINCE)
    said: list[str] = []

    text = script(two, ["public.orders"], {Difference.ONLY_LIVE}, said)

    assert "-- warning: public.customers has no row for orders.customer = 6 / 7: orders_customer_fkey\n" in text
    assert "the same command with --table public.customers" in said[-1]
    with pytest.raises(AssertionError, match="orders_customer_fkey"):
        two.psql(two.restored, text)
    assert two.restored.rows("select count(*) from orders") == [(100,)]


def test_no_warning_where_every_row_is_there(two: Two) -> None:
    two.both(*SHOP)
    two.live.execute("insert into orders (customer) values (1), (null)")

    assert "warning" not in script(two, ["orders"], {Difference.ONLY_LIVE})


def test_rows_that_refer_to_rows_of_their_own_table_come_together(two: Two) -> None:
    two.both("create table tree (id text primary key, parent text references tree)", "insert into tree values ('n0')")
    two.live.execute(
        "insert into tree select 'n' || i, case when i < 3000 then 'n' || i + 1 end from generate_series(1, 3000) i",
        "update tree set parent = 'n7' where id = 'n0'",
    )

    two.psql(two.restored, script(two, ["tree"], {Difference.ONLY_LIVE, Difference.CHANGED}))

    assert compare(two.live.login, two.restored.login).same


def test_rows_without_a_key_come_back_as_often_as_they_are_missing(two: Two) -> None:
    two.both("create table log (line text)", "insert into log values ('a'), ('a'), ('b')")
    two.live.execute("insert into log values ('a'), ('c'), ('c'), (null)")

    text = script(two, ["log"], {Difference.ONLY_LIVE})
    two.psql(two.restored, text)

    assert "-- run this once: without a key nothing tells a row that is there already\n" in text
    assert compare(two.live.login, two.restored.login).same


def test_odd_names_are_spelled_and_cannot_end_a_comment(two: Two) -> None:
    two.both(
        'create table "T\ndrop table x; --" ("Id :a %" int primary key, "v""{}" text)',
        "create table x (id int primary key)",
        "create function f() returns trigger language plpgsql as 'begin return new; end'",
        'create trigger "t\ndrop table x" before insert on "T\ndrop table x; --" for each row execute function f()',
    )
    two.live.execute("insert into \"T\ndrop table x; --\" values (1, 'a')")

    two.psql(two.restored, script(two, ["T\ndrop table x; --"], {Difference.ONLY_LIVE}))

    assert compare(two.live.login, two.restored.login).same


def test_triggers_are_named(two: Two) -> None:
    two.both(
        "create table t (id int primary key)",
        "create function f() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger tell before insert on t for each row execute function f()",
    )

    assert "-- triggers fire for these rows: tell\n" in script(two, ["t"], {Difference.ONLY_LIVE})


def test_nothing_to_bring_back_is_a_script_that_does_nothing(two: Two) -> None:
    two.both(*SHOP)

    two.psql(two.restored, script(two, ["orders"], {Difference.ONLY_LIVE}))

    assert compare(two.live.login, two.restored.login).same


def test_tables_in_a_circle_are_said(two: Two) -> None:
    two.both(
        "create table a (id int primary key, b int); create table b (id int primary key, a int references a)",
        "alter table a add foreign key (b) references b",
    )
    said: list[str] = []

    assert "warning: tables that refer to each other in a circle" in script(
        two, ["a", "b"], {Difference.ONLY_LIVE}, said
    )
    assert any("drop one of the foreign keys" in line for line in said)


def test_a_table_that_only_one_has_is_refused_with_the_way(two: Two) -> None:
    two.live.execute("create table t (id int primary key)")

    with pytest.raises(OrderopsError, match=r"public\.t is only in live") as refused:
        script(two, ["t"], {Difference.ONLY_LIVE})

    assert refused.value.hint == "the whole of it: pg_dump --table public.t"


def test_a_table_that_only_one_has_is_left_out_where_none_is_named(two: Two) -> None:
    two.both(*SHOP)
    two.live.execute("create table t (id int primary key)", *SINCE)
    said: list[str] = []

    two.psql(two.restored, script(two, [], {Difference.ONLY_LIVE}, said))

    assert "public.t is only in live: there is no table that its rows could go to" in said
    assert all(each.same for each in compare(two.live.login, two.restored.login).tables)


@pytest.mark.parametrize("asked", [(False, False), (True, True)])
def test_no_rows_or_both_ways_at_once_are_refused(asked: tuple[bool, bool]) -> None:
    with pytest.raises(UsageError, match=r"say which rows|either from live or from the restored one"):
        wanted_kinds(only_live=asked[0], only_restored=asked[1], changed=False)


def test_a_script_that_breaks_off_leaves_no_file_and_one_that_is_there_stays(two: Two, tmp_path: Path) -> None:
    def breaking() -> Iterator[str]:
        yield "begin;"
        raise OrderopsError("gone")

    with pytest.raises(OrderopsError, match="gone"):
        write_script(breaking(), tmp_path / "a.sql")
    assert list(tmp_path.iterdir()) == []
    write_script(iter(["begin;"]), tmp_path / "b.sql")
    assert (tmp_path / "b.sql").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="is there, and is not overwritten"):
        write_script(iter(["mine"]), tmp_path / "b.sql")


def test_a_script_that_nobody_reads_to_its_end_leaves_no_session(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    two.both(*SHOP)
    two.live.execute("insert into orders (note) select repeat('x', 100) from generate_series(1, 30000) i")
    busy = "select count(*) from pg_stat_activity where application_name like 'orderops%'"

    with closing(salvage(two.live.login, two.restored.login, ["orders"])) as pieces:
        assert any("insert into" in piece for piece in pieces)
        assert two.live.rows(busy) == [(4,)]

    until(lambda: two.live.rows(busy) == [(0,)], "no session is left")
    assert caplog.messages == []


def script(two: Two, tables: Collection[str], kinds: Collection[Difference], said: list[str] | None = None) -> str:
    say = (said if said is not None else []).append
    return "".join(salvage(two.live.login, two.restored.login, tables, kinds=kinds, on_note=say))
