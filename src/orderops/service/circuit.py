"""Circuit breaker: an unreachable dependency is tried now and then, and not by every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Unavailable(Exception):
    """A dependency did not return the requested data; the message explains why to an operator."""


class Away(Unavailable):
    """A dependency cannot be reached at all, so that the next request would fail as well."""


@dataclass
class Circuit:
    """Breaker that fails at once after repeated failures, and lets one caller at a time probe the dependency."""

    name: str
    failures_allowed: int = 2
    memory_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic

    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _retry_at: float = field(default=0.0, init=False)
    _reason: str = field(default="", init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def call(self, work: Callable[[], Result]) -> Result:
        """Run the work, or raise Away with the last reason while the circuit is open."""
        self._check_open()
        try:
            result = work()
        # Only an unreachable dependency opens the circuit; a rejected query says nothing about the next one.
        except Away as error:
            self._failed(str(error))
            raise
        except Unavailable:
            # The dependency answered, even though with an error.
            self._succeeded()
            raise
        self._succeeded()
        return result

    def _check_open(self) -> None:
        with self._lock:
            if self._failures < self.failures_allowed:
                return
            now = self.clock()
            if now < self._retry_at:
                raise Away(self._reason)
            # This caller probes; the others fail with the last reason until it is done.
            self._retry_at = now + self.memory_seconds

    def _failed(self, reason: str) -> None:
        with self._lock:
            now = self.clock()
            self._failures += 1
            self._reason = reason
            self._retry_at = now + self.memory_seconds
            opened = self._failures == self.failures_allowed
            if self._failures == 1:
                self._since = now
        if opened:
            log.warning("the %s is unavailable: %s", self.name, reason)

    def _succeeded(self) -> None:
        with self._lock:
            was_open = self._failures >= self.failures_allowed
            seconds = self.clock() - self._since
            self._failures = 0
        if was_open:
            log.info("the %s is available again after %.1f s", self.name, seconds)
