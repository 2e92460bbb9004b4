"""The tree of commands, and the options that each one takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]


def options_below(command: Any, path: Path = ()) -> Iterator[tuple[Path, set[str]]]:
    """Yield the path of each command and group, such as ("infra", "plan"), with its options."""
    yield path, {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, inner in getattr(command, "commands", {}).items():
        yield from options_below(inner, (*path, name))
