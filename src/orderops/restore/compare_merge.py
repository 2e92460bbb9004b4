"""Two streams of rows in one order, merged into what they do not share; neither is ever held as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

SPOKEN = 100_000
"""Rows between two words about how far it is."""


class Kind(StrEnum):
    """In what way a row is not the same on both sides."""

    ONLY_LIVE = "only in live"
    ONLY_RESTORED = "only in restored"
    CHANGED = "changed"

    @property
    def key(self) -> str:
        """The same as a key of JSON's."""
        return str(self).replace(" ", "_")


class Difference(NamedTuple):
    """A row that is not the same: its key as COPY writes it (without one: its hash), and how many such rows."""

    kind: Kind
    key: bytes
    times: int = 1


@dataclass
class Counts:
    """How many rows each side has."""

    live: int = 0
    restored: int = 0


def by_key(
    of_live: Iterator[bytes], of_restored: Iterator[bytes], counts: Counts, said: Callable[[str], None]
) -> Iterator[Difference]:
    """Merge lines of place, hash and key. Equal lines, mostly all, are passed over as they are."""
    live, restored = _counted(of_live, counts, "live", said), _counted(of_restored, counts, "restored", said)
    here, there = next(live, None), next(restored, None)
    while here is not None and there is not None:
        if here == there:
            here, there = next(live, None), next(restored, None)
            continue
        place, other = int(here[: here.index(b"\t")]), int(there[: there.index(b"\t")])
        if place < other:
            yield Difference(Kind.ONLY_LIVE, _key(here))
            here = next(live, None)
        elif other < place:
            yield Difference(Kind.ONLY_RESTORED, _key(there))
            there = next(restored, None)
        else:
            mine, here = _at(here, live)
            theirs, there = _at(there, restored)
            yield from _of_one_place(mine, theirs)
    while here is not None:
        yield Difference(Kind.ONLY_LIVE, _key(here))
        here = next(live, None)
    while there is not None:
        yield Difference(Kind.ONLY_RESTORED, _key(there))
        there = next(restored, None)


def by_number(
    live: Iterator[bytes], restored: Iterator[bytes], counts: Counts, said: Callable[[str], None]
) -> Iterator[Difference]:
    """Merge lines of a row's hash and how often it is there."""
    here, there = _numbers(live, counts, "live", said), _numbers(restored, counts, "restored", said)
    mine, theirs = next(here, None), next(there, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine, "one of them is there"
            yield Difference(Kind.ONLY_LIVE, b"%d" % mine[0], mine[1])
            mine = next(here, None)
        elif mine is None or theirs[0] < mine[0]:
            yield Difference(Kind.ONLY_RESTORED, b"%d" % theirs[0], theirs[1])
            theirs = next(there, None)
        else:
            if mine[1] != theirs[1]:
                kind = Kind.ONLY_LIVE if mine[1] > theirs[1] else Kind.ONLY_RESTORED
                yield Difference(kind, b"%d" % mine[0], abs(mine[1] - theirs[1]))
            mine, theirs = next(here, None), next(there, None)


def _at(line: bytes, lines: Iterator[bytes]) -> tuple[list[bytes], bytes | None]:
    """The lines at one place, and the first of the next: keys share a place where their hashes are the same."""
    place = line[: line.index(b"\t") + 1]
    found, following = [line], next(lines, None)
    while following is not None and following.startswith(place):
        found.append(following)
        following = next(lines, None)
    return found, following


def _of_one_place(live: Sequence[bytes], restored: Sequence[bytes]) -> Iterator[Difference]:
    """What differs among lines of one place, of which each side has one, mostly."""
    here, there = ({_key(line): line for line in lines} for lines in (live, restored))
    for key, line in here.items():
        if key not in there:
            yield Difference(Kind.ONLY_LIVE, key)
        elif there[key] != line:
            yield Difference(Kind.CHANGED, key)
    for key in there.keys() - here.keys():
        yield Difference(Kind.ONLY_RESTORED, key)


def _key(line: bytes) -> bytes:
    """What follows place and hash; where nothing does, the place is the key."""
    parts = line.rstrip(b"\n").split(b"\t", 2)
    return parts[2] if len(parts) > 2 else parts[0]


def _counted(lines: Iterator[bytes], counts: Counts, side: str, said: Callable[[str], None]) -> Iterator[bytes]:
    number = 0
    for line in lines:
        number += 1
        if not number % SPOKEN:
            said(f"hashes of {number:,} rows of {side} carried over")
        yield line
    setattr(counts, side, number)


def _numbers(
    lines: Iterator[bytes], counts: Counts, side: str, said: Callable[[str], None]
) -> Iterator[tuple[int, int]]:
    rows = 0
    for line in _counted(lines, Counts(), side, said):
        place, count = map(int, line.split(b"\t"))
        rows += count
        yield place, count
    setattr(counts, side, rows)
