"""The parts of a comparison without a server: results, sequences, keys as text, buckets, and pairs of tables."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orderops.frozen import replace
from orderops.restore.compare.large_objects import refers, unequal
from orderops.restore.compare.merge import (
    Counts,
    Difference,
    RowDifference,
    merge_by_hash,
    merge_by_key,
)
from orderops.restore.compare.result import ComparedDatabase, Comparison, TableComparison, UnmatchedTable
from orderops.restore.compare.row_diff import RowHash, TableQueries, Tuning, UnequalBuckets
from orderops.restore.compare.samples import Sample, key_values, text_array
from orderops.restore.compare.schema_diff import FoundIn, SchemaDifference, _unlike
from orderops.restore.compare.sequences import Sequence, SequencePosition
from orderops.restore.compare.snapshots import Unreadable
from orderops.restore.compare.tables import ComparedColumn, TablePair, TableSnapshot, _paired

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=10)))


# results


def database(ledger: int | None = 7) -> ComparedDatabase:
    return ComparedDatabase("orders at h", NOON, "PostgreSQL 18.3", ledger)


def comparison(**other: Any) -> Comparison:
    values: dict[str, Any] = {
        "live": database(),
        "restored": database(),
        **dict.fromkeys(("tables", "only_live", "only_restored", "schema", "sequences", "notes"), ()),
    }
    return Comparison(**{**values, **other})


def table(name: str = "public.orders", **counts: int) -> TableComparison:
    compared = TableComparison(name, ("a note",), Counts(10, 9))
    for kind, count in counts.items():
        compared.differences[Difference[kind.upper()]] = count
    return compared


REPEATS = Sequence("s", SequencePosition(9, {}, 1), SequencePosition(7, {}, 1))
SAME = Sequence("t", SequencePosition(9, {}, 1), SequencePosition(9, {}, 1))
CHANGED_VIEW = SchemaDifference("view", "public.v", FoundIn.ONLY_LIVE, "select 1", None)


def test_databases_are_the_same_only_if_everything_was_compared_and_nothing_differs() -> None:
    refused = table()
    refused.error = "no"
    assert comparison(tables=[table()], sequences=[SAME]).same
    for other in (
        {"tables": [table(), table(changed=1)]},
        {"tables": [refused]},
        {"only_live": [UnmatchedTable("public.a", 0)]},
        {"only_restored": [UnmatchedTable("public.a", 0)]},
        {"schema": [CHANGED_VIEW]},
        {"sequences": [SAME, REPEATS]},
        {"notes": ["the ledger cannot be read"]},
        {"restored": database(6)},
        {"restored": database(None)},
    ):
        assert not comparison(**other).same, other


def test_rows_of_tables_that_only_one_database_has_count_as_different() -> None:
    compared = comparison(
        tables=[table(only_live=1, only_restored=2, changed=4), table(only_live=10, only_restored=20, changed=40)],
        only_live=[UnmatchedTable("public.a", 100), UnmatchedTable("public.b", None)],
        only_restored=[UnmatchedTable("public.c", 200)],
    )

    assert {kind: compared.rows(kind) for kind in Difference} == {
        Difference.ONLY_LIVE: 111,
        Difference.ONLY_RESTORED: 222,
        Difference.CHANGED: 44,
    }
    assert compared.rows_in_both(Difference.ONLY_LIVE) == 11


def test_a_comparison_as_json_has_everything_and_only_sequences_that_need_attention() -> None:
    orders = table(only_live=3)
    orders.samples = [
        Sample(Difference.CHANGED, {"id": "1"}, {"v": "a"}, {"v": None}),
        Sample(Difference.ONLY_LIVE, {"id": "2"}, {"id": "2", "v": "b"}),
    ]
    compared = comparison(
        tables=[orders],
        only_live=[UnmatchedTable("public.a", 5)],
        only_restored=[UnmatchedTable("public.b", None)],
        schema=[CHANGED_VIEW],
        sequences=[SAME, REPEATS],
        notes=["n"],
        all_tables=False,
    )

    side = {
        "database": "orders at h",
        "moment": "2026-11-22T02:00:00+00:00",
        "server": "PostgreSQL 18.3",
        "ledger_version": 7,
    }
    assert compared.to_dict() == {
        "same": False,
        "live": side,
        "restored": side,
        "rows": {"only_in_live": 8, "only_in_restored": 0, "changed": 0},
        "tables": [
            {
                "table": "public.orders",
                "same": False,
                "rows": {"live": 10, "restored": 9},
                "only_in_live": 3,
                "only_in_restored": 0,
                "changed": 0,
                "refused": None,
                "notes": ["a note"],
                "samples": [
                    {"kind": "changed", "key": {"id": "1"}, "live": {"v": "a"}, "restored": {"v": None}},
                    {"kind": "only_in_live", "key": {"id": "2"}, "live": {"id": "2", "v": "b"}},
                ],
            }
        ],
        "tables_only_in_live": [{"table": "public.a", "rows": 5}],
        "tables_only_in_restored": [{"table": "public.b", "rows": None}],
        "schema": [{"kind": "view", "name": "public.v", "where": "only_in_live", "live": "select 1", "restored": None}],
        "sequences": [
            {
                "name": "s",
                "live": {"last_value": 9, "furthest": {}, "behind": {}},
                "restored": {"last_value": 7, "furthest": {}, "behind": {}},
                "restored_behind_live": 2,
            }
        ],
        "notes": ["n"],
        "whole": False,
    }


def test_a_table_that_was_not_compared_has_no_numbers() -> None:
    refused = table(changed=1)
    refused.error = "permission denied"

    assert refused.to_dict() == {
        "table": "public.orders",
        "same": False,
        "rows": None,
        "only_in_live": None,
        "only_in_restored": None,
        "changed": None,
        "refused": "permission denied",
        "notes": ["a note"],
        "samples": [],
    }


def test_objects_of_a_table_that_only_one_database_has_are_not_listed() -> None:
    live = {
        ("table", "public.new"): ("", "table"),
        ("index", "public.new_id"): ("public.new", "btree (id)"),
        ("view", "public.v"): ("", "select 1"),
        ("index", "public.i"): ("public.orders", "btree (a)"),
        ("view", "public.same"): ("", "select 2"),
        ("table", "public.orders"): ("", "table"),
    }
    restored = {
        ("view", "public.v"): ("", "select 3"),
        ("role", "clerk"): ("", "member"),
        ("view", "public.same"): ("", "select 2"),
        ("table", "public.orders"): ("", "table"),
        ("trigger", "t on public.orders"): ("public.orders", "before insert"),
    }

    assert {(found.kind, found.name, found.where, found.live, found.restored) for found in _unlike(live, restored)} == {
        ("table", "public.new", FoundIn.ONLY_LIVE, "table", None),
        ("index", "public.i", FoundIn.ONLY_LIVE, "btree (a)", None),
        ("view", "public.v", FoundIn.DIFFERS, "select 1", "select 3"),
        ("trigger", "t on public.orders", FoundIn.ONLY_RESTORED, None, "before insert"),
        ("role", "clerk", FoundIn.ONLY_RESTORED, None, "member"),
    }


def test_differences_of_the_schema_are_in_the_order_of_kinds_and_of_names() -> None:
    names = ["b", "a"]
    live = {(kind, name): ("", "x") for kind in ("role", "view", "column", "table", "schema") for name in names}

    assert [(found.kind, found.name) for found in _unlike(live, {})] == [
        (kind, name) for kind in ("table", "column", "view", "schema", "role") for name in ("a", "b")
    ]


# sequences


@pytest.mark.parametrize(
    ("last", "furthest", "step", "behind"),
    [
        (7, 9, 1, 2),
        (9, 9, 1, None),
        (9, 7, 1, None),
        (None, 7, 1, 7),
        (None, -7, 1, None),
        (None, 0, 1, None),
        (-7, -9, -1, 2),
        (-9, -7, -1, None),
        (None, -7, -1, 7),
        (None, 7, -1, None),
        (7, 9, 5, 2),
    ],
)
def test_a_sequence_is_behind_values_that_it_has_yet_to_return(
    last: int | None, furthest: int, step: int, behind: int | None
) -> None:
    position = SequencePosition(last, {"public.orders.id": furthest}, step)

    assert position.behind == ({} if behind is None else {"public.orders.id": behind})
    assert Sequence("s", position, position).in_order == (behind is None)


@pytest.mark.parametrize(
    ("live", "restored", "step", "lag"),
    [
        (9, 7, 1, 2),
        (7, 9, 1, 0),
        (9, 9, 1, 0),
        (None, 9, 1, 0),
        (9, None, 1, 9),
        (-9, -7, -1, 2),
        (-7, -9, -1, 0),
        (-9, None, -2, 9),
    ],
)
def test_a_restored_sequence_would_repeat_what_live_has_returned_since(
    live: int | None, restored: int | None, step: int, lag: int
) -> None:
    sequence = Sequence("s", SequencePosition(live, {}, step), SequencePosition(restored, {}, step))

    assert (sequence.lag, sequence.in_order) == (lag, lag == 0)


# keys


# The escapes of COPY's text format, from PostgreSQL's documentation of COPY.
@pytest.mark.parametrize(
    ("key", "values"),
    [
        (b"7", ["7"]),
        (b"a\tb\t", ["a", "b", ""]),
        (rb"\b\f\n\r\t\v", ["\b\f\n\r\t\v"]),
        (rb"a\\tb", ["a\\tb"]),
        (b"a\\\tb", ["a\\", "b"]),
        ("Zoë\\\\n".encode(), ["Zoë\\n"]),
    ],
)
def test_a_key_is_split_into_its_values(key: bytes, values: list[str]) -> None:
    assert key_values(key) == values


def test_a_key_that_is_no_text_is_an_error_with_its_bytes() -> None:
    with pytest.raises(Unreadable) as refused:
        key_values(b"\xff")

    assert refused.value.message == r"a key is not valid text: b'\xff'"


@pytest.mark.parametrize(
    ("texts", "literal"),
    [
        (["a", "b"], """'{"a","b"}'"""),
        ([None, ""], """'{NULL,""}'"""),
        (['"', "\\"], """ E'{"\\\\"","\\\\\\\\"}'"""),
        ([], "'{}'"),
        (["NULL", "a,b", "it's"], """'{"NULL","a,b","it''s"}'"""),
    ],
)
def test_an_array_of_texts_is_quoted(texts: list[str | None], literal: str) -> None:
    assert text_array(texts).as_string(None) == literal


# streams


def test_progress_is_reported_every_hundred_thousand_rows() -> None:
    progress: list[str] = []
    counts = Counts()
    lines = (b"%d\t1\n" % number for number in range(200_010))

    found = sum(1 for _ in merge_by_key(lines, iter([]), counts, progress.append))

    assert (found, counts.live, counts.restored) == (200_010, 200_010, 0)
    assert len(progress) == 2
    assert progress[0].startswith("fetched the hashes of 106,") and progress[0].endswith(" rows of live")


def test_progress_without_a_key_names_the_side() -> None:
    progress: list[str] = []
    streams = [(b"%d\t1\n" % number for number in range(100_005)) for _ in range(2)]

    assert not list(merge_by_hash(streams[0], streams[1], Counts(), progress.append))

    assert progress == [f"fetched the hashes of 100,000 rows of {side}" for side in ("live", "restored")]


def test_rows_that_share_a_position_and_differ_are_told_apart_by_their_keys() -> None:
    live = [b"1\t10\ta\n", b"1\t11\tb\tx\n", b"2\t5\n"]
    restored = [b"1\t10\ta\n", b"1\t12\tb\tx\n", b"1\t13\tc\n", b"3\t5\n"]

    assert set(merge_by_key(iter(live), iter(restored), Counts(), lambda _: None)) == {
        RowDifference(Difference.CHANGED, b"b\tx"),
        RowDifference(Difference.ONLY_RESTORED, b"c"),
        RowDifference(Difference.ONLY_LIVE, b"2"),
        RowDifference(Difference.ONLY_RESTORED, b"3"),
    }


def test_large_objects_differ_by_size_and_content() -> None:
    live = {1: (5, "a"), 2: (5, "b"), 4: (0, None), 9: (1, "x"), 8: (1, "x")}
    restored = {1: (5, "a"), 2: (6, "b"), 3: (1, "c"), 4: (0, None)}

    assert unequal(live, restored) == {
        Difference.ONLY_LIVE: [8, 9],
        Difference.ONLY_RESTORED: [3],
        Difference.CHANGED: [2],
    }


# buckets


def test_adjacent_buckets_are_one_range_of_positions() -> None:
    assert UnequalBuckets(4, [3, 1, 2, 7, -1], 0, (0, 0)).ranges == ([-16, 16, 112], [-1, 63, 127])
    assert UnequalBuckets(0, [5, 6, 8], 0, (0, 0)).ranges == ([5, 8], [6, 8])
    assert UnequalBuckets(0, [], 0, (0, 0)).ranges == ([], [])


def column(name: str, kind: str = "bigint", **other: Any) -> ComparedColumn:
    values = {"generated": False, "virtual": False, "identity": False, "basis": kind, "equals": "=", "loose": False}
    return ComparedColumn(name, kind, **{**values, **other})


def side(*columns: ComparedColumn, rows: int | None = 1_000) -> TableSnapshot:
    return TableSnapshot(1, "public", "orders", False, False, rows, {part.name: part for part in columns}, [("id",)])


def pair(*columns: ComparedColumn, rows: tuple[int | None, int | None] = (1_000, 1_000)) -> TablePair:
    columns = columns or (column("id"),)
    live, restored = (side(*columns, rows=number) for number in rows)
    return TablePair(live, restored, [part.name for part in columns], ("id",))


def queries(compared: TablePair, **tuning: Any) -> TableQueries:
    return TableQueries(None, compared, RowHash(False, 1, "null"), lambda _: None, Tuning(**tuning))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unequal_buckets", "pays"),
    [
        (UnequalBuckets(8, [1], 60_000, (10**6, 10**6)), True),
        (UnequalBuckets(0, [1], 60_000, (10**6, 10**6)), False),
        (UnequalBuckets(8, [1], 50_000, (10**6, 10**6)), False),
        (UnequalBuckets(8, range(32_768), 4 * 16 * 32_768 + 1, (10**7, 10**7)), True),
        (UnequalBuckets(8, range(32_768), 4 * 16 * 32_768, (10**7, 10**7)), False),
        (UnequalBuckets(8, range(32_769), 10**7, (10**7, 10**7)), False),
    ],
    ids=["few crowded", "finest", "few rows", "just crowded", "not crowded", "too many"],
)
def test_another_pass_pays_for_few_crowded_buckets(unequal_buckets: UnequalBuckets, pays: bool) -> None:
    assert queries(pair()).another_pass_pays(unequal_buckets) is pays


@pytest.mark.parametrize(
    ("rows", "shift"),
    [((None, 1), 64 - 16), ((16 * 1_024, 5), 64 - 10), ((5, 16 * 1_024), 64 - 10), ((1, 1), 64 - 6), ((10**9, 1), 48)],
)
def test_hashed_positions_are_split_into_buckets_of_some_rows(rows: tuple[int | None, int | None], shift: int) -> None:
    assert queries(pair(column("id", "text"), rows=rows)).first_shift() == shift


@pytest.mark.parametrize(
    ("live", "restored", "rows", "shift"),
    [
        ((0, 63), (0, 63), 1, 0),
        ((0, 64), (0, 63), 1, 1),
        ((0, 63), (0, 127), 1, 1),
        ((-32, 31), (5, 6), 1, 0),
        ((0, 0), (-33, 31), 1, 1),
        ((0, 128), (0, 128), 1, 2),
        ((0, 128), (0, 128), None, 0),
        ((10**12, 10**12 + 64 * 1_024), (10**12, 10**12), 16 * 1_024, 7),
        ((None, None), (None, None), 1, 0),
    ],
    ids=["64", "65", "128", "negative", "one more", "129", "rows unknown", "far from zero", "empty"],
)
def test_numbers_are_split_into_as_many_buckets_as_wanted_and_no_more(
    live: tuple[int | None, int | None], restored: tuple[int | None, int | None], rows: int | None, shift: int
) -> None:
    spans = [SimpleNamespace(rows=lambda _, span=span: [span]) for span in (live, restored)]
    compared = dataclasses.replace(
        queries(pair(rows=(rows, rows))), snapshots=cast(Any, SimpleNamespace(live=spans[0], restored=spans[1]))
    )

    assert compared.first_shift() == shift


# tables


def test_a_key_is_a_number_only_if_both_databases_have_it_as_one() -> None:
    number, text = side(column("id", "integer")), side(column("id", "text"))

    assert TablePair(number, number, ["id"], ("id",)).numbered
    assert not TablePair(number, text, ["id"], ("id",)).numbered
    assert not TablePair(number, number, ["id", "a"], ("id", "a")).numbered
    assert not TablePair(number, number, ["id"], ()).numbered


def test_generated_columns_of_either_database_are_not_written() -> None:
    live = side(column("id"), column("a", generated=True), column("b"), column("c"))
    restored = side(column("id"), column("a"), column("b", generated=True), column("c"))

    assert TablePair(live, restored, ["id", "a", "b", "c"], ("id",)).writable == ["id", "c"]


@pytest.mark.parametrize(
    ("rows", "estimate"), [((5, 9), 9), ((9, 5), 9), ((None, 5), None), ((5, None), None), ((0, 0), 0)]
)
def test_the_estimate_is_that_of_the_larger_table(rows: tuple[int | None, int | None], estimate: int | None) -> None:
    assert pair(rows=rows).estimate == estimate


@pytest.mark.parametrize(("basis", "likely"), [("oid", True), ("lo", True), ("bigint", False)])
def test_a_column_of_either_database_may_refer_to_large_objects(basis: str, likely: bool) -> None:
    without, having = side(column("id")), side(column("id"), column("file", basis=basis))

    assert refers(TablePair(without, having, ["id"], ("id",))) is likely
    assert refers(TablePair(having, without, ["id"], ("id",))) is likely


def test_times_of_a_comparison_are_in_utc() -> None:
    assert datetime.fromisoformat(database().to_dict()["moment"]).tzinfo == UTC


def test_tables_are_paired_by_their_common_stored_columns_and_a_common_key() -> None:
    live = replace(
        side(column("id"), column("a", virtual=True), column("b"), column("c")), keys=[("a",), ("b", "c"), ("id",)]
    )
    restored = replace(side(column("b"), column("id"), column("a"), column("d")), keys=[("id",), ("a",), ("b", "c")])

    paired = _paired(live, restored)

    assert (paired.columns, paired.key) == (["id", "b"], ("id",))
    assert paired.notes == ("column c only in live: not compared", "column d only in restored: not compared")


@pytest.mark.parametrize(
    ("live", "restored", "notes"),
    [
        (side(column("id")), side(column("id")), []),
        (
            side(column("id"), column("a"), column("b")),
            side(column("id")),
            ["columns a, b only in live: not compared"],
        ),
        (
            side(column("id", loose=True)),
            side(column("id")),
            ["key id: equal values that are written differently count as two rows"],
        ),
        (
            side(column("id")),
            side(column("id", loose=True)),
            ["key id: equal values that are written differently count as two rows"],
        ),
        (
            side(column("id")),
            replace(side(column("id")), keys=[]),
            ["no common key: compared by the number of equal rows"],
        ),
        (side(column("id")), replace(side(column("id")), unlogged=True), ["unlogged: empty after a restore"]),
        (replace(side(column("id")), unlogged=True), side(column("id")), ["unlogged: empty after a restore"]),
    ],
    ids=["same", "columns", "loose in live", "loose in restored", "no key", "unlogged restored", "unlogged live"],
)
def test_what_is_compared_differently_is_noted(live: TableSnapshot, restored: TableSnapshot, notes: list[str]) -> None:
    assert list(_paired(live, restored).notes) == notes
