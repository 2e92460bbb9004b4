"""The numbers of rows that differ are exact for all kinds of tables."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Counts, Difference
from orderops.restore.compare.result import TableComparison
from orderops.restore.compare.row_diff import Tuning, differences, new_row_hash
from orderops.restore.compare.snapshots import open_snapshots
from orderops.restore.compare.tables import pair_tables
from support.two_databases import Database, DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

ORDERS = "create table orders (id bigint generated always as identity primary key, note text, total numeric(12, 2))"
FILLED = "insert into orders (note, total) select 'note ' || i, i * 1.37 from generate_series(1, {}) i"
CAPITALS = "a name in capitals, with a space and a quote"


@dataclass(frozen=True)
class Case:
    """A table in both databases, the changes in one of them, and the expected differences."""

    both: str
    live: str = "select 1"
    restored: str = "select 1"
    only_live: int = 0
    only_restored: int = 0
    changed: int = 0
    notes: Sequence[str] = field(default=())


PAIRS = (
    "create table t (a int, b text, primary key (a, b));"
    " insert into t select i, 'b' || i % 3 from generate_series(1, 9) i"
)
CASES = {
    "an empty table": Case("create table t (id int primary key)"),
    "a table without columns": Case(
        "create table t (); insert into t default values",
        live="delete from t",
        only_restored=1,
        notes=["no common key: compared by the number of equal rows"],
    ),
    "a row written since": Case("create table t (id int primary key)", live="insert into t values (1)", only_live=1),
    "a row deleted since": Case(
        "create table t (id int primary key); insert into t values (1), (2)",
        live="delete from t where id = 1",
        only_restored=1,
    ),
    "another value": Case(
        "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')",
        live="update t set v = 'c' where id = 2",
        changed=1,
    ),
    "NULL is not an empty text": Case(
        "create table t (id int primary key, v text); insert into t values (1, null)",
        live="update t set v = ''",
        changed=1,
    ),
    "a value that moved to the next column": Case(
        "create table t (id int primary key, v text, w text); insert into t values (1, 'a', null), (2, 'ab', 'c')",
        live="update t set v = w, w = v where id = 1; update t set v = 'a', w = 'bc' where id = 2",
        changed=2,
    ),
    "a key of several columns": Case(
        PAIRS, live="delete from t where a = 3; insert into t values (3, 'x'), (3, 'y')", only_live=2, only_restored=1
    ),
    "values of a key with odd characters": Case(
        "create table t (k text primary key, v int);"
        r" insert into t select k, 1 from unnest(array[E'tab\there', E'back\\slash', E'line\nend', '', '\N', 'ü']) k",
        live="update t set v = 2",
        changed=6,
    ),
    "the highest and lowest numbers": Case(
        "create table t (id bigint primary key); insert into t values (9223372036854775807), (-9223372036854775808)",
        live="insert into t select i from generate_series(1, 10) i",
        restored="delete from t where id < 0",
        only_live=11,
    ),
    "a unique key that is not the primary one": Case(
        "create table t (code text not null unique, v int); insert into t values ('a', 1), ('b', 1)",
        live="update t set v = 2 where code = 'a'",
        changed=1,
    ),
    "no key: the number of equal rows": Case(
        "create table t (v text); insert into t values ('a'), ('a'), ('b'), (null), (null)",
        live="delete from t; insert into t values ('a'), ('c'), ('c'), (null), (null)",
        only_live=2,
        only_restored=2,
        notes=["no common key: compared by the number of equal rows"],
    ),
    "a unique index on a nullable column, or a partial one, is no key": Case(
        "create table t (a int unique, b int not null); create unique index on t (b) where b > 0;"
        " insert into t values (null, -1), (null, -1)",
        live="insert into t values (null, -1)",
        only_live=1,
        notes=["no common key: compared by the number of equal rows"],
    ),
    "NaN, infinity and zero below zero": Case(
        "create table t (id int primary key, v float8, n numeric);"
        " insert into t values (1, 'NaN', 'NaN'), (2, 'infinity', 1), (3, 0, 1.0)",
        live="update t set v = '-0' where id = 3",
        changed=1,
    ),
    "trailing zeros count in values and not in keys": Case(
        "create table t (n numeric primary key, v numeric); insert into t values (1.0, 1.0), (2.0, 2.0)",
        live="update t set n = 1.000 where n = 1; update t set v = 2.00 where n = 2",
        changed=2,
    ),
    "values of a key that are equal and written differently": Case(
        "create extension citext; create table t (k citext, i interval, f float8, v int, primary key (k, i, f));"
        " insert into t values ('Ab', '1 mon', 0, 1), ('Ab', '1 mon', 1, 1)",
        live="update t set k = 'aB', i = '30 days', f = '-0' where f = 0",
        changed=1,
    ),
    "json as it was written, jsonb as it is": Case(
        "create table t (id int primary key, j json, b jsonb);"
        """ insert into t values (1, '{"a":1}', '{"a":1}'), (2, null, null)""",
        live="""update t set b = '{"a" :  1}' where id = 1""",
        restored="""update t set j = '{"a": 1}' where id = 1""",
        changed=1,
    ),
    "arrays, enums, composites, ranges, bytes": Case(
        "create type mood as enum ('sad', 'glad'); create type pair as (a int, b text); create domain code as text;"
        "create table t (id code primary key, a text[], m mood, p pair, r int4range, b bytea, i interval, o oid[]);"
        """insert into t values ('1', '{a,null,"b,c"}', 'sad', '(1,"x y")', '[1,5)', '\\x0f', '1 mon', '{1,2}'),"""
        " ('2', null, null, null, null, null, null, null)",
        live="update t set m = 'glad' where id = '1'; update t set p = '(1,)' where id = '2'",
        changed=2,
    ),
    "an enum as a key": Case(
        "create type size as enum ('s', 'm', 'l'); create table t (s size primary key, v int);"
        " insert into t values ('s', 1), ('m', 1)",
        live="update t set v = 3 where s = 's'; insert into t values ('l', 1)",
        only_live=1,
        changed=1,
    ),
    "a collation that takes A for a in its order": Case(
        'create table t (k text collate "C" primary key, w text collate "POSIX" not null);'
        " insert into t select chr(i), chr(i) from generate_series(33, 126) i",
        live="update t set w = 'ß' where k = 'a'; delete from t where k = 'B'",
        only_restored=1,
        changed=1,
    ),
    "partitions": Case(
        "create table t (id int, at date, primary key (id, at)) partition by range (at);"
        " create table t_1 partition of t for values from ('2026-01-01') to ('2026-02-01');"
        " create table t_2 partition of t for values from ('2026-02-01') to ('2026-03-01');"
        " insert into t select i, date '2026-01-01' + i from generate_series(1, 50) i",
        live="delete from t where id = 3; update t set at = '2026-02-27' where id = 4",
        only_live=1,
        only_restored=2,
    ),
    "a table that inherits": Case(
        "create table t (id int primary key, v int); create table heir () inherits (t);"
        " insert into t values (1, 1); insert into heir values (2, 2)",
        live="update only t set v = 5",
        changed=1,
    ),
    "columns that are computed": Case(
        "create table t (id int primary key, v int, double int generated always as (v * 2) stored);"
        " insert into t (id, v) values (1, 1), (2, 2)",
        live="update t set v = 9 where id = 1",
        changed=1,
    ),
    "columns that only one side has": Case(
        "create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)",
        live="alter table t add column w int default 7; update t set v = 9 where id = 1",
        restored="alter table t add column u text",
        changed=1,
        notes=["column w only in live: not compared", "column u only in restored: not compared"],
    ),
    "another type, the same values": Case(
        "create table t (id int primary key, v varchar(9)); insert into t values (1, 'a'), (2, 'b')",
        live="alter table t alter column id type bigint; alter table t alter column v type text",
    ),
    CAPITALS: Case(
        'create schema "My Shop"; create table "My Shop"."T ""x"" %" ("Id %s" int primary key, "{v}" text);'
        ' insert into "My Shop"."T ""x"" %" values (1, \'a\')',
        live='update "My Shop"."T ""x"" %" set "{v}" = \'b\'',
        changed=1,
    ),
    "large values": Case(
        "create table t (id int primary key, v text); insert into t values (1, repeat('x', 3000000))",
        live="update t set v = v || 'y'",
        changed=1,
    ),
    "very many columns": Case(
        "do $$ begin execute 'create table t (id int primary key, ' ||"
        " (select string_agg(format('c%s int', i), ', ') from generate_series(1, 1200) i) || ')'; end $$;"
        " insert into t (id) values (1), (2)",
        live="update t set c1100 = 1 where id = 2",
        changed=1,
    ),
    "unlogged": Case(
        "create unlogged table t (id int primary key)",
        live="insert into t values (1)",
        only_live=1,
        notes=["unlogged: empty after a restore"],
    ),
    "session settings that change the text of values": Case(
        "create table t (id int primary key, at timestamptz, d date, f float8, b bytea);"
        " insert into t values (1, '2026-01-02 03:04:05+06', '2026-01-02', 1::float8/3, '\\xff')",
        restored="do $$ begin execute format('alter database %I set datestyle to ''SQL, DMY''', current_database());"
        " execute format('alter database %I set timezone to ''Asia/Tokyo''', current_database());"
        " execute format('alter database %I set extra_float_digits to -3', current_database());"
        " execute format('alter database %I set bytea_output to escape', current_database()); end $$",
    ),
}


def test_rows_are_counted_exactly(postgres: PostgresServer) -> None:
    # All cases in one comparison, a schema for each: a comparison for each would take longer than all of them.
    names_of = [f"{side}_{uuid.uuid4().hex[:12]}" for side in ("live", "restored")]
    live, restored = (Database(postgres.create_database(name)) for name in names_of)
    for number, case in enumerate(CASES.values()):
        schema = f"create schema if not exists case_{number}; set search_path = case_{number}"
        live.execute(f"{schema}; {case.both}; {case.live}")
        restored.execute(f"{schema}; {case.both}; {case.restored}")

    tables = {table.name: table for table in compare(live.login, restored.login).tables}

    names = {case: f"case_{number}.t" for number, case in enumerate(CASES)} | {CAPITALS: 'My Shop.T "x" %'}
    assert {case: outcome(tables[name]) for case, name in names.items()} == {
        name: ("", (case.only_live, case.only_restored, case.changed), list(case.notes)) for name, case in CASES.items()
    }


def outcome(table: TableComparison) -> tuple[str, tuple[int, int, int], list[str]]:
    return table.error, counts_of(table), list(table.notes)


@dataclass(frozen=True)
class Shape:
    """A table with random content: its columns, the values for a number i, and the number of key columns."""

    columns: str
    row: str
    key: int


SHAPES = {
    "one number": Shape("id int primary key, v text", "i, 'v' || i", 1),
    "a text": Shape("id text primary key, v text", "'k' || i, 'v' || i", 1),
    "two columns": Shape("a int, id int, v text, primary key (a, id)", "i % 3, i, 'v' || i", 2),
    "none": Shape("id int, v text", "i / 2, 'v' || i / 4", 0),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("buckets", [64, 4096])
@pytest.mark.parametrize("seed", range(2))
def test_random_changes_are_counted_as_by_a_full_comparison(
    two: DatabasePair, shape: Shape, buckets: int, seed: int
) -> None:
    dice = random.Random(f"{shape}{buckets}{seed}")
    two.both(
        f"create table t ({shape.columns}); insert into t select {shape.row} from generate_series(1, 3000) i; analyze t"
    )
    for side in (two.live, two.restored):
        deleted = dice.choice([0, 1, 5, 200, 3000])
        side.execute(
            f"delete from t where ctid in (select ctid from t order by v offset {dice.randrange(500)} limit {deleted})",
            f"update t set v = v || 'x' where hashtext(v) % {dice.choice([2, 50, 1000])} = 0",
        )
    if seed == 1:
        two.live.execute(f"insert into t select {shape.row} from generate_series(9001, 9400) i")

    counts, seen = Counts(), Counter[Difference]()
    many_passes = Tuning(max_sums=buckets, small_table=10, few_rows=40)
    with open_snapshots(two.live.login, two.restored.login) as snapshots:
        (pair,) = pair_tables(snapshots).pairs
        for difference in differences(snapshots, pair, new_row_hash(snapshots), counts, tuning=many_passes):
            seen[difference.kind] += difference.times

    assert seen == naively(two, shape.key)
    assert [counts.live, counts.restored] == [len(side.rows("select from t")) for side in (two.live, two.restored)]


def naively(two: DatabasePair, key: int) -> Counter[Difference]:
    """Count the differences from all rows of both databases."""
    live, restored = (Counter(side.rows("select * from t")) for side in (two.live, two.restored))
    if not key:
        return Counter(
            {
                Difference.ONLY_LIVE: (live - restored).total(),
                Difference.ONLY_RESTORED: (restored - live).total(),
                Difference.CHANGED: 0,
            }
        )
    live_rows, restored_rows = ({row[:key]: row for row in rows} for rows in (live, restored))
    return Counter(
        {
            Difference.ONLY_LIVE: len(live_rows.keys() - restored_rows.keys()),
            Difference.ONLY_RESTORED: len(restored_rows.keys() - live_rows.keys()),
            Difference.CHANGED: sum(
                live_rows[value] != restored_rows[value] for value in live_rows.keys() & restored_rows.keys()
            ),
        }
    )


def counts_of(table: TableComparison) -> tuple[int, int, int]:
    return (
        table.differences[Difference.ONLY_LIVE],
        table.differences[Difference.ONLY_RESTORED],
        table.differences[Difference.CHANGED],
    )


def test_the_search_path_of_a_database_changes_no_value(two: DatabasePair) -> None:
    # The text of a regclass has a schema only where the search path does not lead to it.
    two.both(
        "create schema shop; create table shop.x (id int primary key, v regclass);"
        " insert into shop.x values (1, 'shop.x')",
        "create function public.hashtextextended(text, bigint) returns bigint language sql as 'select 0::bigint'",
    )
    two.live.execute("alter database test_live set search_path = shop, public, pg_catalog")
    try:
        assert compare(two.live.login, two.restored.login).same
        two.restored.execute("update shop.x set v = 'pg_class'")
        assert compare(two.live.login, two.restored.login).tables[0].differences[Difference.CHANGED] == 1
    finally:
        two.live.execute("alter database test_live reset search_path")
