"""The verdict's sentence for the waits of query groups."""

from __future__ import annotations

import pytest

from orderops.rehearsal.queries import Query, QueryOrigin
from orderops.rehearsal.report import BrokenQuery, Impact, Stall, Verdict
from orderops.rehearsal.verdict import Evaluator, worse_of
from orderops.rehearsal.workload import QueryGroup


def family(name: str) -> QueryGroup:
    verb, _, table = name.partition(" ")
    writes = frozenset() if verb == "reads" else frozenset({table})
    return QueryGroup(Query(name, "", QueryOrigin.DERIVED, writes=writes), 50.0, [], {1}, (table,))


FAMILIES = [family(f"{verb} {table}") for table in ("orders", "users") for verb in ("reads", "writes")]
JUDGE = Evaluator(FAMILIES, {"reads users": 0.1})
CASES = {
    "nothing": ({}, "SAFE: no query waits more than 50 ms"),
    "briefly": ({"reads orders": 0.049}, "SAFE: no query waits more than 50 ms"),
    "not longer than it does anyway": ({"reads users": 0.142}, "SAFE: no query waits more than 150 ms"),
    "writes": ({"writes orders": 1.12}, "BLOCKS writes to orders for 1.1 s"),
    "reads": ({"reads orders": 0.2}, "BLOCKS reads of orders for 200 ms"),
    "writes of two": ({"writes orders": 1.0, "writes users": 0.9}, "BLOCKS writes to orders, users for 1.0 s"),
    "reads for less long": ({"writes orders": 4.0, "reads orders": 0.2}, "BLOCKS writes to orders for 4.0 s"),
    "one table": ({"writes orders": 2, "reads orders": 1.9}, "STOPS reads and writes of orders for 2.0 s"),
    "one table and more": (
        {"writes orders": 2, "reads orders": 1.9, "writes users": 2},
        "STOPS reads and writes of orders, and writes to users for 2.0 s",
    ),
    "all": (
        dict.fromkeys(("writes orders", "reads orders", "writes users", "reads users"), 9.52),
        "STOPS everything for 9.5 s",
    ),
}


@pytest.mark.parametrize(("waited", "sentence"), CASES.values(), ids=CASES.keys())
def test_the_sentence_names_the_waiting_queries_and_the_longest_wait(waited: dict[str, float], sentence: str) -> None:
    assert JUDGE.verdict_on([Stall(name, seconds) for name, seconds in waited.items()]).sentence == sentence


def test_a_wait_without_a_lock_counts_only_if_it_is_long() -> None:
    assert JUDGE.verdict_on([Stall("writes orders", 0.2, for_lock=False)]).impact is Impact.SAFE
    assert JUDGE.verdict_on([Stall("writes orders", 0.4, for_lock=False)]).impact is Impact.BLOCKS


def test_broken_queries_come_before_waiting_ones() -> None:
    verdict = JUDGE.verdict_on([Stall("writes orders", 1.1)], [BrokenQuery("an order", "gone")])

    assert verdict.impact is Impact.BREAKS
    assert verdict.sentence == "BREAKS 'an order' (gone); BLOCKS writes to orders for 1.1 s"


def test_a_wait_behind_a_transaction_is_mentioned_only_if_clearly_worse() -> None:
    blocks, longer, much = (
        Verdict(Impact.BLOCKS, name, seconds) for name, seconds in (("", 1.0), ("", 1.2), ("", 3.0))
    )
    stops = Verdict(Impact.STOPS, "", 0.1)

    assert worse_of(blocks, longer) is blocks
    assert worse_of(blocks, much) is much
    assert worse_of(blocks, stops) is stops
    assert worse_of(stops, much) is stops
