"""The tree of commands, and the options that each one takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]
EVERYTHING = "orderops.commands"
"""Where the context of a command line keeps what makes the whole tree: it is built of what one command needs."""


def whole_tree(context: Any) -> Any:
    """All commands of the program, in the context of one of them."""
    return context.meta[EVERYTHING]()


def options_below(command: Any, path: Path = ()) -> Iterator[tuple[Path, set[str]]]:
    """Yield the path of each command and group, such as ("infra", "plan"), with its options."""
    yield path, {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, inner in getattr(command, "commands", {}).items():
        yield from options_below(inner, (*path, name))
