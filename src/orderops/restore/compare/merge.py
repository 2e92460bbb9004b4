"""Two streams of rows in one order, merged into what they do not share; neither is ever held as a whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from math import inf
from typing import NamedTuple

WINDOW = 8_192
"""Lines of each side that are looked at together."""
SPOKEN = 100_000
"""Rows between two words about how far it is."""


class Difference(StrEnum):
    """In what way a row is not the same on both sides."""

    ONLY_LIVE = "only in live"
    ONLY_RESTORED = "only in restored"
    CHANGED = "changed"

    @property
    def key(self) -> str:
        """The same as a key of JSON's."""
        return str(self).replace(" ", "_")


class RowDifference(NamedTuple):
    """A row that is not the same: its key as COPY writes it (without one: its hash), and how many such rows."""

    kind: Difference
    key: bytes
    times: int = 1


@dataclass
class Counts:
    """How many rows each side has."""

    live: int = 0
    restored: int = 0


def merge_by_key(
    live: Iterator[bytes], restored: Iterator[bytes], counts: Counts, said: Callable[[str], None]
) -> Iterator[RowDifference]:
    """Merge lines of place, hash and key, window by window; equal lines, mostly all, cost a look-up."""
    here, there = Window(live), Window(restored)
    while here.filled() | there.filled():
        end = min(here.end, there.end)
        yield from _unequal(here.before(end), there.before(end))
        if here.seen // SPOKEN != counts.live // SPOKEN:
            said(f"hashes of {here.seen:,} rows of live carried over")
        counts.live, counts.restored = here.seen, there.seen


@dataclass
class Window:
    """The next lines of a stream, in the order of their places."""

    lines: Iterator[bytes]
    held: list[bytes] = field(default_factory=list)
    seen: int = 0
    over: bool = False

    def filled(self) -> bool:
        """Whether there are lines; more are taken where there is room, or nothing tells where one place ends."""
        if not self.over and (len(self.held) < WINDOW or _place(self.held[0]) == _place(self.held[-1])):
            more = list(islice(self.lines, WINDOW))
            self.held += more
            self.seen += len(more)
            self.over = len(more) < WINDOW
        return bool(self.held)

    @property
    def end(self) -> float:
        """The place of which more lines may come; lines before it are whole."""
        return inf if self.over else _place(self.held[-1])

    def before(self, end: float) -> list[bytes]:
        """Take the lines before a place."""
        at = bisect_left(self.held, end, key=_place)
        taken, self.held = self.held[:at], self.held[at:]
        return taken


def merge_by_hash(
    live: Iterator[bytes], restored: Iterator[bytes], counts: Counts, said: Callable[[str], None]
) -> Iterator[RowDifference]:
    """Merge lines of a row's hash and how often it is there."""
    here, there = _numbers(live, counts, "live", said), _numbers(restored, counts, "restored", said)
    mine, theirs = next(here, None), next(there, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine, "one of them is there"
            yield RowDifference(Difference.ONLY_LIVE, b"%d" % mine[0], mine[1])
            mine = next(here, None)
        elif mine is None or theirs[0] < mine[0]:
            yield RowDifference(Difference.ONLY_RESTORED, b"%d" % theirs[0], theirs[1])
            theirs = next(there, None)
        else:
            if mine[1] != theirs[1]:
                kind = Difference.ONLY_LIVE if mine[1] > theirs[1] else Difference.ONLY_RESTORED
                yield RowDifference(kind, b"%d" % mine[0], abs(mine[1] - theirs[1]))
            mine, theirs = next(here, None), next(there, None)


def _unequal(live: Sequence[bytes], restored: Sequence[bytes]) -> Iterator[RowDifference]:
    """What differs among the lines of the same places."""
    on_live, on_restored = set(live), set(restored)
    here = dict.fromkeys(_key(line) for line in live if line not in on_restored)
    there = dict.fromkeys(_key(line) for line in restored if line not in on_live)
    for key in here:
        yield RowDifference(Difference.CHANGED if key in there else Difference.ONLY_LIVE, key)
    for key in there:
        if key not in here:
            yield RowDifference(Difference.ONLY_RESTORED, key)


def _place(line: bytes) -> int:
    return int(line[: line.index(b"\t")])


def _key(line: bytes) -> bytes:
    """What follows place and hash; where nothing does, the place is the key."""
    parts = line[:-1].split(b"\t", 2)
    return parts[2] if len(parts) > 2 else parts[0]


def _numbers(
    lines: Iterator[bytes], counts: Counts, side: str, said: Callable[[str], None]
) -> Iterator[tuple[int, int]]:
    rows = 0
    for number, line in enumerate(lines, 1):
        place, count = map(int, line.split(b"\t"))
        rows += count
        if not number % SPOKEN:
            said(f"hashes of {number:,} rows of {side} carried over")
        yield place, count
    setattr(counts, side, rows)
