"""Progress reports of one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orderops.migrations.execution.blocker import Blocker

REPORT_AFTER = 0.5
# A shorter wait is over before an operator could read the line.


@dataclass
class Reporter:
    """Reports progress repeatedly, and each blocking session once."""

    name: str = ""
    watch: Callable[[str, str], None] = lambda *_: None
    """Called with the file's name and its progress or its wait; with an empty text when that is over."""
    say: Callable[[str], None] = lambda _: None
    _named: set[int] = field(default_factory=set)
    _watched: bool = False

    def now(self, text: str) -> None:
        """Show the current progress."""
        self._watched = True
        self.watch(self.name, text)

    def over(self) -> None:
        """Clear the progress."""
        if self._watched:
            self._watched = False
            self.watch(self.name, "")

    def line(self, text: str) -> None:
        """Print a permanent line."""
        self.say(f"{self.name}: {text}")

    def waits_for(self, blocker: Blocker, seconds: float, what: str = "") -> None:
        """Report a blocking session after a wait of `seconds`."""
        lead = f"{what}, waits for" if what else "waits for"
        if seconds >= REPORT_AFTER and blocker.pid not in self._named:
            self._named.add(blocker.pid)
            self.line(f"{lead} {blocker.describe}")
        self.now(f"{lead} {blocker.brief}")
