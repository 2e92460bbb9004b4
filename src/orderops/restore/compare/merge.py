"""Merging two sorted streams of row hashes into the rows that differ, without holding either stream in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from math import inf
from typing import NamedTuple

# Large enough that most of the work is done by set operations, small enough for some megabytes of memory.
WINDOW = 8_192
"""Lines of each stream that are compared together."""
PROGRESS_ROWS = 100_000
"""Rows between two progress messages."""


class Difference(StrEnum):
    """How a row differs between the two databases."""

    ONLY_LIVE = "only in live"
    ONLY_RESTORED = "only in restored"
    CHANGED = "changed"

    @property
    def key(self) -> str:
        """The key in JSON documents."""
        return str(self).replace(" ", "_")


class RowDifference(NamedTuple):
    """A row that differs, and how many such rows there are.

    The key is in COPY's text format; in a table without a key it is the row's hash.
    """

    kind: Difference
    key: bytes
    times: int = 1


@dataclass
class Counts:
    """The number of rows in each database."""

    live: int = 0
    restored: int = 0


def merge_by_key(
    live: Iterator[bytes], restored: Iterator[bytes], counts: Counts, on_progress: Callable[[str], None]
) -> Iterator[RowDifference]:
    """Merge lines of position, hash and key, sorted by position; updates `counts`."""
    live_lines, restored_lines = Window(live), Window(restored)
    # Both windows must be filled, so no short-circuiting `or`.
    while live_lines.fill() | restored_lines.fill():
        end = min(live_lines.end, restored_lines.end)
        yield from _differences(live_lines.take_before(end), restored_lines.take_before(end))
        if live_lines.read // PROGRESS_ROWS != counts.live // PROGRESS_ROWS:
            on_progress(f"fetched the hashes of {live_lines.read:,} rows of live")
        counts.live, counts.restored = live_lines.read, restored_lines.read


@dataclass
class Window:
    """The next lines of a stream that is sorted by position."""

    lines: Iterator[bytes]
    buffer: list[bytes] = field(default_factory=list)
    read: int = 0
    exhausted: bool = False

    def fill(self) -> bool:
        """Read more lines if there is room; returns whether the buffer has any."""
        # Lines of one position must be compared together: a window that holds only one position is extended.
        if not self.exhausted and (
            len(self.buffer) < WINDOW or _position(self.buffer[0]) == _position(self.buffer[-1])
        ):
            more = list(islice(self.lines, WINDOW))
            self.buffer += more
            self.read += len(more)
            self.exhausted = len(more) < WINDOW
        return bool(self.buffer)

    @property
    def end(self) -> float:
        """The first position that may be incomplete: more lines of it can follow."""
        return inf if self.exhausted else _position(self.buffer[-1])

    def take_before(self, end: float) -> list[bytes]:
        """Remove and return the lines before a position."""
        index = bisect_left(self.buffer, end, key=_position)
        taken, self.buffer = self.buffer[:index], self.buffer[index:]
        return taken


def merge_by_hash(
    live: Iterator[bytes], restored: Iterator[bytes], counts: Counts, on_progress: Callable[[str], None]
) -> Iterator[RowDifference]:
    """Merge lines of a row's hash and the number of such rows, sorted by hash; updates `counts`."""
    live_hashes = _hashes(live, counts, "live", on_progress)
    restored_hashes = _hashes(restored, counts, "restored", on_progress)
    in_live, in_restored = next(live_hashes, None), next(restored_hashes, None)
    while in_live is not None or in_restored is not None:
        if in_restored is None or (in_live is not None and in_live[0] < in_restored[0]):
            assert in_live, "the loop ends when both are exhausted"
            yield RowDifference(Difference.ONLY_LIVE, b"%d" % in_live[0], in_live[1])
            in_live = next(live_hashes, None)
        elif in_live is None or in_restored[0] < in_live[0]:
            yield RowDifference(Difference.ONLY_RESTORED, b"%d" % in_restored[0], in_restored[1])
            in_restored = next(restored_hashes, None)
        else:
            if in_live[1] != in_restored[1]:
                kind = Difference.ONLY_LIVE if in_live[1] > in_restored[1] else Difference.ONLY_RESTORED
                yield RowDifference(kind, b"%d" % in_live[0], abs(in_live[1] - in_restored[1]))
            in_live, in_restored = next(live_hashes, None), next(restored_hashes, None)


def _differences(live: Sequence[bytes], restored: Sequence[bytes]) -> Iterator[RowDifference]:
    """Yield the differing rows of the same range of positions."""
    # Almost all lines are equal in most tables, and a set look-up is all that they cost.
    live_set, restored_set = set(live), set(restored)
    live_keys = dict.fromkeys(_key(line) for line in live if line not in restored_set)
    restored_keys = dict.fromkeys(_key(line) for line in restored if line not in live_set)
    for key in live_keys:
        yield RowDifference(Difference.CHANGED if key in restored_keys else Difference.ONLY_LIVE, key)
    for key in restored_keys:
        if key not in live_keys:
            yield RowDifference(Difference.ONLY_RESTORED, key)


def _position(line: bytes) -> int:
    return int(line[: line.index(b"\t")])


def _key(line: bytes) -> bytes:
    """Return the key after position and hash; a line without one has an integer key, which is the position."""
    parts = line[:-1].split(b"\t", 2)
    return parts[2] if len(parts) > 2 else parts[0]


def _hashes(
    lines: Iterator[bytes], counts: Counts, side: str, on_progress: Callable[[str], None]
) -> Iterator[tuple[int, int]]:
    rows = 0
    for number, line in enumerate(lines, 1):
        row_hash, count = map(int, line.split(b"\t"))
        rows += count
        if not number % PROGRESS_ROWS:
            on_progress(f"fetched the hashes of {number:,} rows of {side}")
        yield row_hash, count
    setattr(counts, side, rows)
