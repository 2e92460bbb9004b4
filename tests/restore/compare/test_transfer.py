"""Rows that are equal stay on their server: what a comparison transfers and reads grows with the differences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from orderops.restore.compare.merge import Counts, Difference
from orderops.restore.compare.row_diff import Tuning, differences, new_row_hash
from orderops.restore.compare.snapshots import open_snapshots
from orderops.restore.compare.tables import pair_tables
from support.two_databases import Database, DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

ROWS = 10_000
DEFAULT = Tuning()
# Wide enough that the table has many pages.
FILLED = f"insert into t select {{key}}, repeat('x', 500) from generate_series(1, {ROWS}) i; analyze t"
NUMBERED = ("create table t (id int primary key, v text)", FILLED.format(key="i"))
NAMED = ("create table t (id text primary key, v text)", FILLED.format(key="'k' || i"))
COPIES = """
select s.query, s.rows, s.shared_blks_hit + s.shared_blks_read from pg_stat_statements s
where s.dbid = (select oid from pg_database where datname = current_database()) and s.query ilike 'copy%orderops%'
"""


@dataclass(frozen=True)
class Transfer:
    """Lines that one server sent: sums of buckets, and hashes of rows; and the pages that it read for the hashes."""

    sums: int
    hashes: int
    pages: int


def transfer(two: DatabasePair, database: Database, tuning: Tuning = DEFAULT) -> tuple[Counter[Difference], Transfer]:
    """Compare the table, and return its differences and what one of the servers did, by its own statistics."""
    two.both("create extension if not exists pg_stat_statements")
    database.execute("select pg_stat_statements_reset()")
    counts, found = Counts(), Counter[Difference]()
    with open_snapshots(two.live.login, two.restored.login) as snapshots:
        (pair,) = pair_tables(snapshots).pairs
        for difference in differences(snapshots, pair, new_row_hash(snapshots), counts, tuning=tuning):
            found[difference.kind] += difference.times
    assert (counts.live, counts.restored) == (ROWS, ROWS)
    copies = database.rows(COPIES)
    summing = [rows for query, rows, _ in copies if "sum(" in query]
    hashing = [(rows, pages) for query, rows, pages in copies if "sum(" not in query]
    return found, Transfer(sum(summing), sum(rows for rows, _ in hashing), sum(pages for _, pages in hashing))


@pytest.mark.parametrize("statements", [NUMBERED, NAMED], ids=["a number as key", "a text as key"])
def test_of_equal_tables_only_sums_are_transferred(two: DatabasePair, statements: tuple[str, ...]) -> None:
    two.both(*statements)

    found, sent = transfer(two, two.restored)

    assert not found
    assert 0 < sent.sums < ROWS / 10
    assert (sent.hashes, sent.pages) == (0, 0)


@pytest.mark.parametrize("statements", [NUMBERED, NAMED], ids=["a number as key", "a text as key"])
def test_of_a_few_differences_only_their_neighbours_are_transferred(
    two: DatabasePair, statements: tuple[str, ...]
) -> None:
    two.both(*statements)
    two.live.execute("update t set v = 'y' where id::text in ('777', '7777', 'k777', 'k7777')")

    found, sent = transfer(two, two.restored)

    assert found[Difference.CHANGED] == 2
    assert 0 < sent.sums < ROWS / 10
    assert 2 <= sent.hashes < ROWS / 50


def test_rows_near_a_difference_are_found_by_the_index_of_a_number(two: DatabasePair) -> None:
    two.both(*NUMBERED)
    two.live.execute("update t set v = 'y' where id = 7777")
    [(pages,)] = two.restored.rows("select relpages from pg_class where oid = 't'::regclass")

    found, sent = transfer(two, two.restored)

    assert found[Difference.CHANGED] == 1
    # About a hundred of them are the catalogue's.
    assert sent.pages < pages / 3


def test_a_table_that_differs_almost_everywhere_is_read_once_more_as_a_whole(two: DatabasePair) -> None:
    two.both(*NUMBERED)
    two.live.execute("update t set v = 'y'")

    found, sent = transfer(two, two.restored)

    assert found[Difference.CHANGED] == ROWS
    assert sent.hashes == ROWS


@pytest.mark.parametrize("statements", [NUMBERED, NAMED], ids=["a number as key", "a text as key"])
def test_a_crowded_bucket_is_split_before_its_rows_are_transferred(
    two: DatabasePair, statements: tuple[str, ...]
) -> None:
    two.both(*statements)
    two.live.execute("update t set v = 'y' where id::text in ('7777', 'k7777')")

    # 64 buckets have more than 100 rows each.
    found, sent = transfer(two, two.restored, Tuning(max_sums=64, few_rows=40))

    assert found[Difference.CHANGED] == 1
    assert 1 <= sent.hashes < 20
