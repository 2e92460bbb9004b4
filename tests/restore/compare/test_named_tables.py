"""Which tables `--table` means, and what a comparison of them has."""

from __future__ import annotations

import pytest

from orderops.errors import UsageError
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference
from orderops.restore.compare.result import UnmatchedTable
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]


def test_a_table_is_named_with_or_without_its_schema_and_quotes(two: DatabasePair) -> None:
    two.both('create schema "My Shop"; create table "My Shop"."Old Orders" (id int primary key)', "create table a ()")

    for name in ("Old Orders", '"Old Orders"', "My Shop.Old Orders", '"My Shop"."Old Orders"'):
        compared = compare(two.live.login, two.restored.login, tables=[name])
        assert [table.name for table in compared.tables] == ["My Shop.Old Orders"], name


def test_a_name_without_schema_means_the_tables_of_all_schemas(two: DatabasePair) -> None:
    two.both("create table orders (id int); create schema old; create table old.orders (id int)", "create table a ()")

    compared = compare(two.live.login, two.restored.login, tables=["orders"])

    assert [table.name for table in compared.tables] == ["old.orders", "public.orders"]


def test_a_named_table_may_be_in_one_database_only(two: DatabasePair) -> None:
    two.live.execute("create table new (id int); insert into new values (1)", "create table newer (id int)")
    two.restored.execute("create table old (id int)", "create table older (id int)")

    compared = compare(two.live.login, two.restored.login, tables=["new", "old"])

    assert compared.tables == []
    assert (compared.only_live, compared.only_restored) == (
        [UnmatchedTable("public.new", 1)],
        [UnmatchedTable("public.old", 0)],
    )


def test_an_unknown_table_of_empty_databases_is_an_error(two: DatabasePair) -> None:
    with pytest.raises(UsageError) as refused:
        compare(two.live.login, two.restored.login, tables=["orders"])

    assert refused.value.hint == "available: none"


def test_of_many_tables_ten_are_named_as_available(two: DatabasePair) -> None:
    two.live.execute(*(f"create table t{number:02} ()" for number in range(12)))

    with pytest.raises(UsageError) as refused:
        compare(two.live.login, two.restored.login, tables=["orders"])

    assert "public.t09" in refused.value.hint
    assert "public.t10" not in refused.value.hint


def test_samples_and_files_are_made_only_if_requested(two: DatabasePair) -> None:
    two.both("create table a (id int primary key); insert into a values (1)")
    two.live.execute("insert into a values (2)")

    (table,) = compare(two.live.login, two.restored.login).tables

    assert table.differences[Difference.ONLY_LIVE] == 1
    assert list(table.samples) == []
