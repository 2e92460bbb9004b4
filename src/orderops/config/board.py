"""The table [board] of an environment file: the page about the environment."""

from __future__ import annotations

from orderops.config import types as values
from orderops.config.loader import TomlTable


class BoardConfig(TomlTable):
    """The page that `orderops board` makes."""

    title: values.Reason = "Order processing"
    """Heading of the page, which customers read."""
