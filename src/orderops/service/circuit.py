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
    """A dependency did not return the requested data.

    The message explains why to an operator and belongs in the log. `public` is for clients: it names no host, no port,
    no role and no secret.
    """

    def __init__(self, message: str, public: str = "") -> None:
        super().__init__(message)
        self.public = public or "cannot be used: the log of the service says why"


class Away(Unavailable):
    """A dependency cannot be reached at all, so that the next request would fail as well."""


class Unusable(Unavailable):
    """A dependency answers and can do none of the work: a table is missing, its disk is full, all slots are taken."""


class Rejected(Unavailable):
    """A dependency refuses the values of a request, and will refuse them again."""


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
    _reason: Away = field(default_factory=lambda: Away(""), init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @property
    def open(self) -> bool:
        """True after repeated failures, until a call succeeds."""
        with self._lock:
            return self._failures >= self.failures_allowed

    def call(self, work: Callable[[], Result]) -> Result:
        """Run the work, or raise Away with the last reason while the circuit is open."""
        self._check_open()
        try:
            result = work()
        # Only an unreachable dependency opens the circuit; a rejected query says nothing about the next one.
        except Away as error:
            self._failed(error)
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
                raise Away(str(self._reason), self._reason.public)
            # This caller probes; the others fail with the last reason until it is done.
            self._retry_at = now + self.memory_seconds

    def _failed(self, reason: Away) -> None:
        with self._lock:
            now = self.clock()
            self._failures += 1
            # A new error, since this one holds the frames of the call that failed.
            self._reason = Away(str(reason), reason.public)
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
