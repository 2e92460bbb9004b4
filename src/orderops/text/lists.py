"""Lists and counts in words."""

from __future__ import annotations

from collections.abc import Collection


def joined(names: Collection[object], max_names: int = 3) -> str:
    """The first names, and how many more there are: "a, b, c and 4 more"; "" for none."""
    shown = [str(name) for name in names][:max_names]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 row", "1,200 rows"; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
