"""The table [migrations] of an environment file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable
from orderops.config.types import between


class MigrationsConfig(TomlTable):
    """How migrations are applied."""

    on_up: bool = False
    """Whether `orderops up` applies pending migrations."""
    rehearsed: bool = False
    """Whether migrations must be rehearsed before they are applied."""
    receipt_days: values.Days = 7
    """Days for which the receipt of a rehearsal is valid."""
    max_replication_lag_seconds: Annotated[int, between(1, 3600)] = 10
    """Replication lag in seconds above which a batched change pauses."""
    max_waiting_sessions: Annotated[int, between(1, 1000)] = 10
    """Number of sessions waiting for locks above which a batched change pauses."""

    def mistakes(self) -> Iterator[Mistake]:
        """Check that `up` does not apply what has to be rehearsed: it rehearses nothing."""
        if self.rehearsed and self.on_up:
            rule = "cannot be combined with on_up = true: orderops up applies without a rehearsal"
            yield Mistake(("rehearsed",), self.rehearsed, rule, (("on_up",),))
