"""How deep values nest that were read from a file or a document."""

from __future__ import annotations

from typing import Any


def nests_deeper(value: Any, levels: int) -> bool:
    """Whether dicts and lists nest deeper than so many levels; found without recursion, however deep they are."""
    level = [value]
    for _ in range(levels):
        inner = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
        level = [item for item in inner if isinstance(item, (dict, list))]
        if not level:
            return False
    return True
