"""The printed comparison: rows first, the next command last."""

from __future__ import annotations

import pytest

from orderops.restore.compare.comparison import compare
from orderops.ui.compare import show_comparison
from support.command_line import Orderops
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

ORDERS = "create table orders (id bigint generated always as identity primary key, note text, v int)"
HUNDRED = "insert into orders (note, v) select 'note ' || i, i from generate_series(1, 100) i"


def test_rows_come_before_schema_and_next_command(two: DatabasePair, capsys: pytest.CaptureFixture[str]) -> None:
    two.both(ORDERS, HUNDRED, "create table carts (id int primary key)", "insert into carts values (1), (2)")
    two.live.execute(
        "insert into orders (note) values ('new'), (null); delete from orders where id in (3, 4, 5)",
        "update orders set v = null where id = 7",
        "create table audit (line text); insert into audit values ('x'); create index by_note on orders (note)",
    )

    out, err = told(two, capsys, samples=1)

    assert out[2:] == [
        "public.orders  2 only in live, 3 only in restored, 1 changed  (99 live, 100 restored)",
        "    only in live: id='101' note='new' v=NULL",
        "    only in restored: id='3' note='note 3' v='3'",
        "    changed: id='7', restored -> live  v: '7' -> NULL",
        "public.audit   table only in live: 1 row",
        "1 table the same, 2 rows",
        "sequence public.orders_id_seq  restored is 2 behind live and would repeat numbers",
        "index public.by_note  only in live",
    ]
    assert err == [
        "if shop-r1 is promoted: 3 rows lost, 3 rows brought back, 1 row reverted, 1 table lost",
        "to copy the 3 rows back to live without promoting:",
        "      orderops restore salvage shop-r1 --env prod --table public.orders --only-restored --output back.sql",
        "salvage cannot copy the table that only live has; to keep it, before promoting, on "
        f"{two.live.login.describe}:",
        "      pg_dump --table public.audit --file kept-tables.sql",
        "to keep the 2 rows that only live has, before promoting:",
        "next: orderops restore salvage shop-r1 --env prod --table public.orders --only-live --output kept.sql",
    ]


def test_equal_databases_take_one_line(two: DatabasePair, capsys: pytest.CaptureFixture[str]) -> None:
    two.both(ORDERS, HUNDRED)

    out, err = told(two, capsys)

    assert out[2:] == ["1 table the same, 100 rows in all"]
    assert err == ["shop-r1 equals live", "next: orderops restore discard shop-r1 --env prod"]


def test_a_comparison_without_losses_leads_to_promote(two: DatabasePair, capsys: pytest.CaptureFixture[str]) -> None:
    two.both(ORDERS, HUNDRED)
    two.live.execute("delete from orders where id > 50")

    assert told(two, capsys)[1][-1] == "next: orderops restore promote shop-r1 --env prod"


def test_a_table_that_would_be_lost_is_dumped_before_promoting(
    two: DatabasePair, capsys: pytest.CaptureFixture[str]
) -> None:
    two.both(ORDERS, HUNDRED)
    two.live.execute('create table "Late" as select i from generate_series(1, 2003) i')

    assert told(two, capsys)[1] == [
        "if shop-r1 is promoted: 2,003 rows lost, 0 rows brought back, 0 rows reverted, 1 table lost",
        "salvage cannot copy the table that only live has; to keep it, before promoting, on "
        f"{two.live.login.describe}:",
        """next: pg_dump --table 'public."Late"' --file kept-tables.sql""",
    ]


def test_tables_that_only_the_restored_database_has_are_dumped(
    two: DatabasePair, capsys: pytest.CaptureFixture[str]
) -> None:
    two.both(ORDERS, HUNDRED)
    two.restored.execute("create table a (i int); create table b as select i from generate_series(1, 7) i")

    assert told(two, capsys)[1] == [
        "if shop-r1 is promoted: 0 rows lost, 7 rows brought back, 0 rows reverted",
        f"to copy the 2 tables that only restored has without promoting, on {two.restored.login.describe}:",
        "      pg_dump --table public.a --table public.b --file back-tables.sql",
        "next: orderops restore promote shop-r1 --env prod",
    ]


def test_a_name_with_brackets_is_printed_unchanged(two: DatabasePair, capsys: pytest.CaptureFixture[str]) -> None:
    two.both('create table "[red]t[/]" (id int primary key)')
    two.live.execute('insert into "[red]t[/]" values (1)')

    assert told(two, capsys)[0][2].startswith("public.[red]t[/]  1 only in live")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--table", "orders"],
            "error: choose the rows to salvage\n hint: pass --only-live to fill the restored instance",
        ),
        (["--only-live"], "error: no tables are given\n hint: pass --table TABLE, or --every-table"),
        (
            ["--every-table", "--only-live", "--only-restored"],
            "error: --only-live and --only-restored cannot be",
        ),
    ],
)
def test_salvage_requires_tables_and_a_direction(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    refused = Orderops(capsys)("restore", "salvage", *words)

    assert refused.code == 2
    assert said in refused.err


def told(two: DatabasePair, capsys: pytest.CaptureFixture[str], samples: int = 0) -> tuple[list[str], list[str]]:
    comparison = compare(two.live.login, two.restored.login, samples=samples)
    capsys.readouterr()
    show_comparison(comparison, "shop-r1 --env prod", "shop-r1")
    said = capsys.readouterr()
    return said.out.splitlines(), said.err.splitlines()
