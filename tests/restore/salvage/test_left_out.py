"""Every row that a salvage leaves out is named: by the command, the script's warnings, and the next comparison."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
import pytest

from orderops.errors import OrderopsError
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference
from orderops.restore.salvage.script import salvage
from support.two_databases import Database, DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

INSENSITIVE = "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
SWALLOW = (
    "create function swallow() returns trigger language plpgsql as"
    " 'begin if new.v = ''bad'' then return null; end if; return new; end';"
    " create trigger swallow before insert on t for each row execute function swallow()"
)
UNFIRED = "alter table t disable trigger all; {}; alter table t enable trigger all"


@dataclass(frozen=True)
class Damage:
    """A table in both databases, what live has since, and which rows the restored one cannot take."""

    both: str
    live: str
    left_out: tuple[str, ...] = ()
    """Patterns of the warnings, in any order: one for every row left out."""
    foreseen: bool = True
    """Whether the command can name the rows, too."""
    note: str = ""
    """The note by which the next comparison says why the table differs."""


DAMAGES = {
    "a unique column that allows NULL": Damage(
        "create table t (id int unique, v text); insert into t values (1, 'old'), (null, 'a')",
        "update t set v = 'new' where id = 1; insert into t values (null, 'b'), (2, null)",
        (r'id="1" v="new": duplicate key .*t_id_key.*Key \(id\)=\(1\) already exists',),
        note="no common key",
    ),
    "NULLs that are not distinct": Damage(
        "create table t (id int unique nulls not distinct, v text); insert into t values (null, 'old')",
        "update t set v = 'new'",
        (r'id=NULL v="new": duplicate key',),
        note="no common key",
    ),
    "a second unique column": Damage(
        "create table t (id int primary key, code text unique); insert into t values (1, 'a')",
        "delete from t; insert into t values (2, 'a'), (3, 'b')",
        (r'id="2": duplicate key .*t_code_key',),
    ),
    "a unique index on an expression, with a condition": Damage(
        "create table t (id int primary key, mail text, gone bool);"
        " create unique index one on t (lower(mail)) where not gone;"
        " insert into t values (1, 'A@b.c', false), (5, 'X@b.c', true)",
        "delete from t; insert into t values (2, 'a@B.c', false), (3, 'a@b.c', true), (4, 'x@b.c', false)",
        (r'id="2": duplicate key .*one',),
    ),
    "an exclusion constraint": Damage(
        "create table t (id int primary key, during int4range, exclude using gist (during with &&));"
        " insert into t values (1, '[1,5)')",
        "delete from t; insert into t values (2, '[4,9)'), (3, '[20,30)')",
        (r'id="2": conflicting key value violates exclusion constraint',),
    ),
    "a primary key with the columns of an exclusion constraint": Damage(
        "create table t (net inet primary key, exclude using gist (net inet_ops with &&));"
        " insert into t values ('10.0.0.0/24')",
        "delete from t; insert into t values ('10.0.0.5'), ('10.1.0.0/16')",
        (r'net="10.0.0.5/32": conflicting key value violates exclusion constraint',),
    ),
    "a trigger that swallows a row": Damage(
        f"create table t (id int primary key, v text); {SWALLOW}",
        UNFIRED.format("insert into t values (1, 'good'), (2, 'bad')"),
        (r'id="2": a trigger or a rule left it out',),
        foreseen=False,
    ),
    "a trigger that swallows one of two equal rows": Damage(
        f"create table t (v text); insert into t values ('bad'); {SWALLOW}",
        UNFIRED.format("insert into t values ('bad'), ('good')"),
        (r'v="bad": a trigger or a rule left it out',),
        foreseen=False,
        note="no common key",
    ),
    "a trigger that changes a value": Damage(
        "create table t (id int primary key, v text); create function f() returns trigger language plpgsql as"
        " 'begin new.v = upper(new.v); return new; end';"
        " create trigger loud before insert on t for each row execute function f()",
        UNFIRED.format("insert into t values (1, 'a'), (2, 'B')"),
        (r'id="1": duplicate key .*changed by a trigger: loud',),
        foreseen=False,
    ),
    "a trigger that keeps the old value": Damage(
        "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'a');"
        " create function f() returns trigger language plpgsql as"
        " 'begin if new.id = 1 then return old; end if; return new; end';"
        " create trigger kept before update on t for each row execute function f()",
        UNFIRED.format("update t set v = 'b'"),
        (r'id="1": the row was deleted or changed since, or a trigger kept the old values',),
        foreseen=False,
    ),
    "a key in a collation that is not deterministic": Damage(
        "create table t (k text collate loose primary key); insert into t values ('a')",
        "update t set k = 'A'; insert into t values ('b')",
        (r'k="A": duplicate key',),
        note="equal values that are written differently count as two rows",
    ),
    "a key of jsonb": Damage(
        "create table t (k jsonb primary key); insert into t values ('1.0')",
        "update t set k = '1.00'; insert into t values ('2')",
        (r'k="1.00": duplicate key',),
        note="equal values that are written differently count as two rows",
    ),
    "a citext key that changed its case": Damage(
        "create extension citext; create domain name_of as citext; create table t (k name_of, l citext, v int,"
        " primary key (k, l)); insert into t values ('Ab', 'x', 1), ('b', 'x', 1)",
        "update t set k = 'aB' where k = 'ab'; insert into t values ('c', 'X', 1)",
    ),
    "keys of floats, intervals and numerics that are equal": Damage(
        "create domain price as numeric;"
        " create table t (f float8, i interval, n price, r real, primary key (f, i, n, r));"
        " insert into t values ('-0', '30 days', 1.0, 0.1), ('NaN', '1 hour', 'NaN', 'infinity')",
        "update t set f = 0, i = '1 month', n = 1.00 where r = 0.1::real;"
        " insert into t values ('-infinity', '1 day 25 hours', 0, '-0')",
    ),
    "values of every awkward type": Damage(
        "create type pair as (a numeric, b text); create table t (id int generated always as identity primary key,"
        " f float8, at timestamptz, d date, n numeric, a text[], j json, b jsonb, c char(5), p pair, r numrange,"
        " g int generated always as (length(c)) stored, x varchar(9), bits bit(3), raw bytea, m money)",
        "insert into t (f, at, d, n, a, j, b, c, p, r, x, bits, raw, m) values"
        """ ('-0', 'infinity', '-infinity', 1.500, '{a,NULL,"b"}', '{"a" :1,"a":2}', '{"a": 1.50}', 'ab',"""
        r""" '(1.50,"x y")', '[1.0,2.00)', '<a/>', b'101', '\x00ff', 12.5), ('NaN', null, null, 'NaN', '{}', 'null',"""
        " 'null', '', null, 'empty', null, null, '', -1)",
    ),
    "partitions": Damage(
        "create table t (id int, v text, at date, primary key (id, at)) partition by range (at);"
        " create table t1 partition of t for values from ('2026-01-01') to ('2027-01-01');"
        " create unique index on t1 (v); insert into t values (1, 'a', '2026-05-05')",
        "delete from t; insert into t values (2, 'a', '2026-05-05'), (3, 'b', '2026-06-06')",
        (r'id="2" at="2026-05-05": duplicate key',),
        foreseen=False,
    ),
    "names and values that end a quote": Damage(
        """create table t ("a $orderops$ '" int primary key, "select" text unique); insert into t values (1, 'o''k')""",
        r"delete from t; insert into t values (2, 'o''k'), (3, E'$orderops$\n''')",
        (r"""a \$orderops\$ '="2": duplicate key""",),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_every_row_left_out_is_named(two: DatabasePair, damage: Damage) -> None:
    if "collate loose" in damage.both:
        _create_collation(two)
    two.both(damage.both)
    two.live.execute(damage.live)
    named: list[str] = []

    kinds = {Difference.ONLY_LIVE, Difference.CHANGED}
    text = "".join(salvage(two.live.login, two.restored.login, [], kinds=kinds, on_left_out=named.append))
    shown = two.psql(two.restored, text)

    warnings = re.findall(r"WARNING:  left out: (.*)", shown)
    assert len(warnings) == len(damage.left_out), shown
    assert all(any(re.search(pattern, warning) for warning in warnings) for pattern in damage.left_out), shown
    assert bool(damage.left_out) == (f"rows left out: {len(damage.left_out)}" in shown)
    if damage.foreseen:
        assert len(re.findall("^-- left out while another row conflicts: ", text, re.MULTILINE)) == len(warnings)
        assert bool(named) == bool(warnings)
    (table,) = compare(two.live.login, two.restored.login).tables
    lacking = table.differences[Difference.ONLY_LIVE] + table.differences[Difference.CHANGED]
    assert lacking == len(warnings), table
    assert not damage.note or any(damage.note in note for note in table.notes)


def test_a_repeated_script_names_no_row_that_is_there(two: DatabasePair) -> None:
    two.both("create table t (id int primary key, v text); create table u (id int unique, v text)")
    two.live.execute("insert into t values (1, 'a'); insert into u values (1, 'a')")
    text = "".join(salvage(two.live.login, two.restored.login, []))

    assert "WARNING" not in two.psql(two.restored, text) + two.psql(two.restored, text)


def test_an_update_of_a_row_written_since_is_named(two: DatabasePair) -> None:
    two.both("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'a')")
    two.live.execute("update t set v = 'b'")
    text = "".join(salvage(two.live.login, two.restored.login, [], kinds={Difference.CHANGED}))
    two.restored.execute("update t set v = 'since' where id = 2")

    shown = two.psql(two.restored, text)

    assert re.findall("left out: (.*): the row was", shown) == ['public.t id="2"']


def test_a_conflict_with_a_deferrable_constraint_ends_the_script_and_is_foreseen(two: DatabasePair) -> None:
    two.both(
        "create table t (id int primary key, place int unique deferrable initially deferred);"
        " insert into t values (1, 1)"
    )
    two.live.execute("delete from t; insert into t values (2, 1), (3, 2)")

    text = "".join(salvage(two.live.login, two.restored.login, []))

    assert "-- the script fails while another row conflicts: public.t id='2': t_place_key\n" in text
    with pytest.raises(AssertionError, match="t_place_key"):
        two.psql(two.restored, text)
    assert two.restored.rows("select id from t") == [(1,)]
    two.restored.execute("update t set place = 7")
    two.psql(two.restored, text)
    two.psql(two.restored, text)
    assert two.restored.rows("select * from t order by id") == [(1, 7), (2, 1), (3, 2)]


def test_a_citext_foreign_key_finds_its_row_in_another_case(two: DatabasePair) -> None:
    two.both(
        "create extension citext; create table a (k citext primary key); create table b (k citext references a);"
        " insert into a values ('Ab')"
    )
    two.live.execute("insert into b values ('aB')")

    assert "warning:" not in "".join(salvage(two.live.login, two.restored.login, ["b"]))


def test_control_characters_of_a_row_left_out_do_not_reach_the_terminal(two: DatabasePair) -> None:
    two.both("create table t (k text, u int unique); insert into t values ('', 1)")
    two.live.execute(r"update t set k = E'\x1b[31m\u009bred'")

    shown = two.psql(two.restored, "".join(salvage(two.live.login, two.restored.login, [])))

    assert "left out: public.t" in shown
    assert not set(shown) & {"\x1b", "\x9b"}


ROLE = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'salvager') then
        create role salvager login password 'salvager';
    end if;
end $$
"""
TABLES = (
    "create table secret (id int primary key); insert into secret values (1);"
    " alter table secret enable row level security; alter table secret force row level security;"
    " create table denied (id int generated by default as identity primary key);"
    " create table open (id int primary key);"
    " create unlogged table fast (id int primary key); create table bag (v text);"
    " create table parts (id int primary key) partition by range (id);"
    " create table parts1 partition of parts for values from (0) to (10); create view looking as select * from open;"
    " create foreign data wrapper far; create server away foreign data wrapper far;"
    " create foreign table distant (id int) server away;"
    " alter table secret owner to salvager; grant usage on schema public to salvager;"
    " grant all on open, fast, bag, parts to salvager"
)


def test_tables_that_cannot_be_read_are_named_and_the_others_are_written(two: DatabasePair) -> None:
    two.live.execute(ROLE)
    two.both(TABLES)
    readable = ("open", "fast", "bag", "parts")
    for table in (*readable, "denied"):
        two.live.execute(f"insert into {table} values (1)")
    live, restored = _as_salvager(two.live).login, _as_salvager(two.restored).login
    named: list[str] = []
    notes: list[str] = []

    text = "".join(salvage(live, restored, [], on_left_out=named.append, on_note=notes.append))
    # The role that may not read them runs the script, too.
    two.psql(_as_salvager(two.restored), text)

    two.both("drop foreign data wrapper far cascade")
    denied, secret = named
    assert re.search(r"public\.denied: not written: .*permission denied.*role is salvager", denied)
    assert re.search(r"public\.secret: not written: .*row-level security", secret)
    assert all(f"-- {line}\n" in text for line in named)
    assert [two.restored.rows(f"select count(*) from {table}") for table in readable] == [[(1,)]] * 4
    assert "public.distant: a foreign table, whose rows are elsewhere" in notes
    with pytest.raises(OrderopsError, match="row-level security"):
        "".join(salvage(live, restored, ["secret"]))


def _as_salvager(database: Database) -> Database:
    return Database(re.sub(r"(user|password)=\S+", r"\1=salvager", database.dsn))


def _create_collation(two: DatabasePair) -> None:
    try:
        two.both(INSENSITIVE)
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without ICU, which collations that are not deterministic need")
