"""Loads the renderer of help pages: without parts of rich that they do not need, and without types of flags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

HELP_OPTIONS = ("--help", "-h")
# typer.rich_utils imports both at its top. Markdown is used only for help texts in Markdown, and ours are in rich's
# markup; Traceback only for pretty exceptions, which are off. They bring a Markdown parser, a syntax highlighter and
# attrs: half of the time that a help page takes.
UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a help page: by an option, or by being empty."""
    return not arguments or any(argument in HELP_OPTIONS for argument in arguments)


def load_renderer() -> None:
    """Import typer's renderer with empty classes in place of the unused ones."""
    missing = [name for name in UNUSED if name not in sys.modules]
    for name in missing:
        stub = ModuleType(name)
        setattr(stub, UNUSED[name], type(UNUSED[name], (), {}))
        sys.modules[name] = stub
    try:
        import typer.rich_utils  # noqa: F401 - for the import
    finally:
        # Whoever imports them later in this process gets the real ones.
        for name in missing:
            del sys.modules[name]
    _leave_out_types_of_flags()


def _leave_out_types_of_flags() -> None:
    """Show `--json` instead of `--json <bool>`, which typer shows: a flag takes no value."""
    from typer.core import TyperOption

    shown: Callable[[Any, Any], str | None] | None = getattr(TyperOption, "display_type_rich", None)
    if shown is None or hasattr(shown, "of_values"):
        return

    def of_values(option: Any, ctx: Any) -> str | None:
        return None if option.is_flag else shown(option, ctx)

    vars(of_values)["of_values"] = True
    # Typer's commands make their --help themselves, so a metavar of each option would leave that one out.
    setattr(TyperOption, "display_type_rich", of_values)  # noqa: B010  # the class of an older typer has no such method
