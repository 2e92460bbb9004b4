"""An environment as the text of a file, for an orderops on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.config.environment import Environment

# The address of a paging service is the key to it, and whoever may describe a task reads what it carries.
RECEIVERS = {"emails", "https", "sms", "p0", "p2"}


def file_text(environment: Environment) -> str:
    """The text of a file that declares the same environment: what its own file sets, without comments and receivers."""
    # It takes a while to load, and most environments need it for nothing.
    import tomlkit

    # What is not set stays a default of the orderops that reads it.
    left_out: dict[str, Any] = {"name": True, "alerts": RECEIVERS}
    document = environment.model_dump(exclude=left_out, exclude_unset=True, exclude_none=True)
    return tomlkit.dumps(_plain(document))


def _plain(value: Any) -> Any:
    """The value in the types of TOML, which has no tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
