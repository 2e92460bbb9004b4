"""What keeps the consumer from receiving: a database that is away, and SIGTERM."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Lock
from typing import TypeVar

from orderops.service.circuit import Away, Unusable

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Stopping(Exception):
    """The consumer has to end before its work is done."""


class Gate:
    """Holds work until the database takes it; while some work is held, nothing is received."""

    def __init__(self, *, pause_seconds: float = 0.5) -> None:
        self._pause_seconds = pause_seconds
        self._stopping = Event()
        self._lock = Lock()
        self._held = 0

    @property
    def stopping(self) -> bool:
        """True after `stop`."""
        return self._stopping.is_set()

    @property
    def held(self) -> bool:
        """True while work waits for the database."""
        with self._lock:
            return self._held > 0

    def stop(self) -> None:
        """Begin to end: work that waits for the database raises Stopping."""
        self._stopping.set()

    def pause(self) -> bool:
        """Wait for a moment, or until `stop`; True if it was called."""
        return self._stopping.wait(self._pause_seconds)

    def through(self, work: Callable[[], Result]) -> Result:
        """Do work that needs the database, again and again while it is away. Raises Stopping."""
        try:
            return work()
        except (Away, Unusable) as error:
            log.warning("waiting for the database: %s", error)
        self._count(1)
        try:
            while not self.pause():
                try:
                    return work()
                except (Away, Unusable) as error:
                    log.debug("still waiting for the database: %s", error)
            raise Stopping
        finally:
            self._count(-1)

    def _count(self, number: int) -> None:
        with self._lock:
            self._held += number
