"""Merging two sorted streams is exact, wherever a window ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pytest

from orderops.restore.compare.merge import WINDOW, Counts, Difference, merge_by_hash, merge_by_key

Rows = Mapping[bytes, int]
"""A hash by key."""


@pytest.mark.parametrize("crowd", [1, 7, 20_000], ids=["own positions", "a few share one", "all share one"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_differences_are_found_however_many_keys_share_a_position(crowd: int, part: float) -> None:
    dice = random.Random(f"{crowd} {part}")
    live, restored = ({b"k%d" % number: 1 for number in range(20_000) if dice.random() > part / 3} for _ in range(2))
    for key in restored:
        restored[key] = 2 if dice.random() < part else 1
    counts = Counts()

    found = {
        (difference.kind, difference.key)
        for difference in merge_by_key(stream(live, crowd), stream(restored, crowd), counts, quiet)
    }

    assert found == {
        *((Difference.ONLY_LIVE, key) for key in live.keys() - restored.keys()),
        *((Difference.ONLY_RESTORED, key) for key in restored.keys() - live.keys()),
        *((Difference.CHANGED, key) for key in live.keys() & restored.keys() if live[key] != restored[key]),
    }
    assert (counts.live, counts.restored) == (len(live), len(restored))


@pytest.mark.parametrize("length", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1])
def test_a_stream_may_end_at_the_end_of_a_window(length: int) -> None:
    rows = {b"k%05d" % number: 1 for number in range(length)}

    assert list(merge_by_key(stream(rows), stream(rows), Counts(), quiet)) == []
    assert len(list(merge_by_key(stream(rows), stream({}), Counts(), quiet))) == length
    assert len(list(merge_by_key(stream({}), stream(rows), Counts(), quiet))) == length


def test_at_most_two_windows_of_a_stream_are_read_ahead() -> None:
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


def test_rows_without_a_key_are_counted_by_hash() -> None:
    live, restored = ([b"-3\t2\n", b"1\t1\n", b"5\t4\n"], [b"-3\t2\n", b"5\t1\n", b"9\t2\n"])
    counts = Counts()

    found = [tuple(difference) for difference in merge_by_hash(iter(live), iter(restored), counts, quiet)]

    assert found == [
        (Difference.ONLY_LIVE, b"1", 1),
        (Difference.ONLY_LIVE, b"5", 3),
        (Difference.ONLY_RESTORED, b"9", 2),
    ]
    assert (counts.live, counts.restored) == (7, 5)


def stream(rows: Rows, crowd: int = 1) -> Iterator[bytes]:
    """Yield lines of position, hash and key, sorted by position and shuffled inside one."""
    positions = {key: int(key[1:]) // crowd for key in rows}
    shuffled = random.Random(len(rows)).sample(list(rows), len(rows))
    return iter(
        [b"%d\t%d\t%s\n" % (positions[key], rows[key], key) for key in sorted(shuffled, key=positions.__getitem__)]
    )


def quiet(_: str) -> None:
    """Ignore the progress."""
