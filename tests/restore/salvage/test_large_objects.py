"""Large objects are compared by content and brought with it, or are named as not compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from orderops.database.connection import login_from_dsn
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference
from orderops.restore.salvage.script import salvage
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

MIB = 1 << 20
# An object whose last chunk is full, one with a hole, an empty one, and one that stays the same.
BOTH = (
    "create table files (id int primary key, content oid)",
    f"select lo_from_bytea(101, convert_to(repeat('a', {MIB}), 'UTF8')), lo_from_bytea(102, 'b'), lo_create(103)",
    "insert into files values (1, 101), (2, 102), (3, 103)",
)
SINCE = (
    f"select lo_put(101, {MIB} - 1, 'x'), lo_put(102, {3 * MIB}, 'end'), lo_create(104), lo_unlink(103)",
    "select lo_from_bytea(105, '\\x00ff')",
    "insert into files values (5, 105)",
)
REMOVE = "select lo_unlink(oid) from pg_largeobject_metadata"


@pytest.fixture
def objects(two: DatabasePair) -> DatabasePair:
    two.both(REMOVE, *BOTH)
    two.live.execute(*SINCE)
    return two


@pytest.fixture(autouse=True)
def no_objects_left(two: DatabasePair) -> Iterator[None]:
    yield
    two.both(REMOVE)


def counts(two: DatabasePair, *tables: str) -> dict[Difference, int] | None:
    found = compare(two.live.login, two.restored.login, tables=tables).tables
    return next((dict(table.differences) for table in found if table.name == "large objects"), None)


def test_large_objects_are_compared_by_content(objects: DatabasePair) -> None:
    expected = {Difference.ONLY_LIVE: 2, Difference.ONLY_RESTORED: 1, Difference.CHANGED: 2}

    assert counts(objects) == expected
    assert counts(objects, "files") == expected


def test_large_objects_are_counted_and_shown_like_a_table(objects: DatabasePair) -> None:
    progress: list[tuple[str, str]] = []

    found = compare(objects.live.login, objects.restored.login, on_progress=lambda *seen: progress.append(seen)).tables

    [compared] = [table for table in found if table.name == "large objects"]
    assert (compared.rows.live, compared.rows.restored, compared.error) == (4, 3, "")
    assert compared.notes == ("by content; owners and privileges are not compared",)
    assert [seen for seen in progress if seen[0] == "large objects"] == [
        ("large objects", "starts"),
        ("large objects", ""),
    ]


def test_large_objects_of_one_database_only_are_compared(two: DatabasePair) -> None:
    two.both(REMOVE)
    two.live.execute("select lo_from_bytea(101, 'a')")

    assert counts(two) == {Difference.ONLY_LIVE: 1, Difference.ONLY_RESTORED: 0, Difference.CHANGED: 0}


def test_tables_without_a_column_for_them_are_compared_without_large_objects(objects: DatabasePair) -> None:
    objects.both("create table plain (id int primary key)")

    assert counts(objects, "plain") is None


def test_a_database_without_large_objects_has_no_line_for_them(two: DatabasePair) -> None:
    two.both(REMOVE, "create table files (id int primary key, content oid)")

    assert counts(two, "files") is None


def test_a_script_brings_large_objects_with_content_and_owner(objects: DatabasePair) -> None:
    objects.live.execute(
        "do $$ begin if not exists (select from pg_roles where rolname = 'keeper') then create role keeper; end if;"
        " end $$",
        "alter large object 105 owner to keeper",
    )
    kinds = {Difference.ONLY_LIVE, Difference.CHANGED}

    shown = objects.psql(
        objects.restored, "".join(salvage(objects.live.login, objects.restored.login, [], kinds=kinds))
    )

    assert "WARNING" not in shown
    assert counts(objects) == {Difference.ONLY_LIVE: 0, Difference.ONLY_RESTORED: 1, Difference.CHANGED: 0}
    digest = "select oid::int, md5(lo_get(oid)) from pg_largeobject_metadata where oid <> 103 order by 1"
    assert objects.restored.rows(digest) == objects.live.rows(digest)
    owner = "select pg_get_userbyid(lomowner) from pg_largeobject_metadata where oid = 105"
    assert objects.restored.rows(owner) == [("keeper",)]


def test_a_large_object_written_since_is_kept_and_named(objects: DatabasePair) -> None:
    kinds = {Difference.ONLY_LIVE, Difference.CHANGED}
    text = "".join(salvage(objects.live.login, objects.restored.login, ["files"], kinds=kinds))
    objects.restored.execute("select lo_put(102, 0, 'since'), lo_unlink(101), lo_from_bytea(105, 'mine')")

    shown = objects.psql(objects.restored, text)

    assert re.findall("WARNING:  left out: (.*)", shown) == [
        "large object 101: it was deleted since",
        "large object 102: it was changed since",
        "large object 105: one with this OID exists",
    ]
    assert objects.restored.rows("select lo_get(102), lo_get(105)") == [(b"since", b"mine")]


def test_large_objects_that_cannot_be_read_are_named(objects: DatabasePair) -> None:
    objects.live.execute(
        "do $$ begin if not exists (select from pg_roles where rolname = 'reader') then"
        " create role reader login password 'reader'; end if; end $$"
    )
    objects.both("grant select on files to reader; grant usage on schema public to reader")
    live, restored = (
        login_from_dsn(re.sub(r"(user|password)=\S+", r"\1=reader", database.dsn))
        for database in (objects.live, objects.restored)
    )
    named: list[str] = []

    found = {table.name: table for table in compare(live, restored).tables}
    text = "".join(salvage(live, restored, [], on_left_out=named.append))

    refused = r"live: permission denied for large object 10\d \(the role is reader\)"
    assert re.fullmatch(refused, found["large objects"].error)
    assert not found["public.files"].error
    assert len(named) == 1 and re.search("^large objects: not written: .*permission denied", named[0])
    objects.psql(objects.restored, text)
    assert objects.restored.rows("select id from files where id = 5") == [(5,)]
