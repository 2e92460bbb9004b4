"""Two streams in one order are merged exactly, wherever a window of them ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pytest

from orderops.restore.compare.merge import WINDOW, Counts, Difference, merge_by_hash, merge_by_key

Rows = Mapping[bytes, int]
"""A hash by key."""


@pytest.mark.parametrize("crowd", [1, 7, 20_000], ids=["a place each", "a few share one", "all share one"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_what_is_not_shared_is_found_however_many_keys_share_a_place(crowd: int, part: float) -> None:
    dice = random.Random(f"{crowd} {part}")
    live, restored = ({b"k%d" % number: 1 for number in range(20_000) if dice.random() > part / 3} for _ in range(2))
    for key in restored:
        restored[key] = 2 if dice.random() < part else 1
    counts = Counts()

    found = {
        (each.kind, each.key) for each in merge_by_key(stream(live, crowd), stream(restored, crowd), counts, quiet)
    }

    assert found == {
        *((Difference.ONLY_LIVE, key) for key in live.keys() - restored.keys()),
        *((Difference.ONLY_RESTORED, key) for key in restored.keys() - live.keys()),
        *((Difference.CHANGED, key) for key in live.keys() & restored.keys() if live[key] != restored[key]),
    }
    assert (counts.live, counts.restored) == (len(live), len(restored))


@pytest.mark.parametrize("length", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1])
def test_a_stream_that_ends_where_a_window_does(length: int) -> None:
    rows = {b"k%05d" % number: 1 for number in range(length)}

    assert list(merge_by_key(stream(rows), stream(rows), Counts(), quiet)) == []
    assert len(list(merge_by_key(stream(rows), stream({}), Counts(), quiet))) == length
    assert len(list(merge_by_key(stream({}), stream(rows), Counts(), quiet))) == length


def test_no_more_than_a_few_windows_are_held() -> None:
    taken = Counter[str]()

    def watched(name: str, lines: Iterable[bytes]) -> Iterable[bytes]:
        for line in lines:
            taken[name] += 1
            yield line

    late = (b"%d\t1\n" % number for number in range(1_000_000, 1_100_000))
    early = (b"%d\t1\n" % number for number in range(100_000))
    merged = merge_by_key(iter(watched("late", late)), iter(watched("early", early)), Counts(), quiet)

    assert next(merged).kind is Difference.ONLY_RESTORED
    for _ in range(50_000):
        next(merged)
    assert taken["late"] <= 2 * WINDOW


def test_rows_without_a_key_are_counted() -> None:
    live, restored = ([b"-3\t2\n", b"1\t1\n", b"5\t4\n"], [b"-3\t2\n", b"5\t1\n", b"9\t2\n"])
    counts = Counts()

    found = [tuple(each) for each in merge_by_hash(iter(live), iter(restored), counts, quiet)]

    assert found == [
        (Difference.ONLY_LIVE, b"1", 1),
        (Difference.ONLY_LIVE, b"5", 3),
        (Difference.ONLY_RESTORED, b"9", 2),
    ]
    assert (counts.live, counts.restored) == (7, 5)


def stream(rows: Rows, crowd: int = 1) -> Iterator[bytes]:
    """Lines of place, hash and key, in the order of the places; within one, in any."""
    places = {key: int(key[1:]) // crowd for key in rows}
    shuffled = random.Random(len(rows)).sample(list(rows), len(rows))
    return iter([b"%d\t%d\t%s\n" % (places[key], rows[key], key) for key in sorted(shuffled, key=places.__getitem__)])


def quiet(_: str) -> None:
    """Nobody watches."""
