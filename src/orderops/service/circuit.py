"""A dependency that is away is asked again now and then, not by every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Unavailable(Exception):
    """A dependency did not give what was asked; the text says why in an operator's words."""


class Away(Unavailable):
    """A dependency cannot be reached at all, so the next request would not fare better."""


@dataclass
class Circuit:
    """After repeated failures answers from memory, and lets one caller at a time find out whether it is over."""

    name: str
    failures_allowed: int = 2
    memory_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic

    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _ask_again_at: float = field(default=0.0, init=False)
    _reason: str = field(default="", init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Do the work, or say at once why it would fail."""
        self._let_through()
        try:
            answer = work()
        except Away as error:
            self._failed(str(error))
            raise
        except Unavailable:
            self._worked()  # it answered, if only to refuse
            raise
        self._worked()
        return answer

    def _let_through(self) -> None:
        with self._lock:
            if self._failures < self.failures_allowed:
                return
            now = self.clock()
            if now < self._ask_again_at:
                raise Away(self._reason)
            # This caller asks; the others get the memory until it knows more.
            self._ask_again_at = now + self.memory_seconds

    def _failed(self, reason: str) -> None:
        with self._lock:
            now = self.clock()
            self._failures += 1
            self._reason = reason
            self._ask_again_at = now + self.memory_seconds
            opened = self._failures == self.failures_allowed
            if self._failures == 1:
                self._since = now
        if opened:
            log.warning("the %s is away: %s", self.name, reason)

    def _worked(self) -> None:
        with self._lock:
            was_open = self._failures >= self.failures_allowed
            seconds = self.clock() - self._since
            self._failures = 0
        if was_open:
            log.info("the %s is back after %.1f s", self.name, seconds)
