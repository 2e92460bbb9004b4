"""What a run says of a file while it is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orderops.migrations.execution.blocker import Blocker

SPOKEN = 0.5
"""Seconds after which it is worth saying who is in the way."""


@dataclass
class Reporter:
    """How far it is, again and again; and who is in its way, once each."""

    name: str = ""
    watch: Callable[[str, str], None] = lambda *_: None
    """Told a name and what it waits for or how far it is; nothing when that is over."""
    say: Callable[[str], None] = lambda _: None
    _named: set[int] = field(default_factory=set)
    _watched: bool = False

    def now(self, told: str) -> None:
        """How far it is."""
        self._watched = True
        self.watch(self.name, told)

    def over(self) -> None:
        """Nothing is waited for any more."""
        if self._watched:
            self._watched = False
            self.watch(self.name, "")

    def line(self, told: str) -> None:
        """A line that stays."""
        self.say(f"{self.name}: {told}")

    def waits_for(self, blocker: Blocker, seconds: float, what: str = "") -> None:
        """Who is in the way, for so many seconds already."""
        lead = f"{what}, waits for" if what else "waits for"
        if seconds >= SPOKEN and blocker.pid not in self._named:
            self._named.add(blocker.pid)
            self.line(f"{lead} {blocker.describe}")
        self.now(f"{lead} {blocker.brief}")
