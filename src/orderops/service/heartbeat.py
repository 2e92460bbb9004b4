"""Visibility of received messages, extended while they are worked on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from orderops.service.circuit import Unavailable
from orderops.service.inbox import Inbox, Message

log = logging.getLogger(__name__)


class Heartbeat:
    """Thread that hides the kept messages anew, three times in each visibility timeout."""

    def __init__(self, inbox: Inbox, *, interval: float | None = None) -> None:
        self._inbox = inbox
        self._interval = interval
        self._kept: dict[str, Message] = {}
        # Held during a call to SQS: a message that is being given back must not be hidden again behind it.
        self._lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    @contextmanager
    def keeping(self, messages: Iterable[Message]) -> Iterator[None]:
        """Keep messages hidden inside the block, as long as they are not released."""
        messages = list(messages)
        with self._lock:
            self._kept.update({message.receipt: message for message in messages})
        try:
            yield
        finally:
            self.release(messages)

    def release(self, messages: Iterable[Message]) -> None:
        """Keep messages no longer."""
        with self._lock:
            for message in messages:
                self._kept.pop(message.receipt, None)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._pause()):
            with self._lock:
                if self._kept:
                    self._inbox.hide(list(self._kept.values()), self._visibility())

    def _pause(self) -> float:
        return self._visibility() / 3 if self._interval is None else self._interval

    def _visibility(self) -> int:
        try:
            return self._inbox.limits().visibility
        except Unavailable:
            # Nothing can have been received yet.
            return 30
