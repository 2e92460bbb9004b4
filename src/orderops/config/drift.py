"""Differences between the account and the file that are ignored, each with a reason and until a date."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from orderops.config import types as values
from orderops.config.loader import TomlTable
from orderops.config.types import counted


class IgnoreConfig(TomlTable):
    """Properties of a resource whose differences are ignored."""

    properties: Annotated[list[str], counted(1, 100)]
    """Names of the properties as `orderops infra drift` shows them; `*` stands for any text."""
    reason: values.Reason
    """Why the difference is left alone."""
    until: date
    """Last day, UTC, on which it is; afterwards it is drift again, and `orderops up` reverts it."""

    def covers(self, key: str) -> bool:
        """Whether a property is one of these."""
        return any(fnmatchcase(key, pattern) for pattern in self.properties)


class DriftConfig(TomlTable):
    """What is not drift."""

    ignore: Annotated[dict[values.AddressPattern, IgnoreConfig], counted(0, 200)] = Field(default_factory=dict)
    """Tables [drift.ignore."ADDRESS"]; `*` in an address stands for any text."""

    def ignoring(self, address: str, key: str, today: date) -> IgnoreConfig | None:
        """The table by which a difference is ignored today; None if there is none."""
        return next((entry for entry in self.covering(address, key) if entry.until >= today), None)

    def covering(self, address: str, key: str) -> list[IgnoreConfig]:
        """The tables that name a property of a resource, whatever their date."""
        return [entry for pattern, entry in self.ignore.items() if fnmatchcase(address, pattern) and entry.covers(key)]
