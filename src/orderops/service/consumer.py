"""The consumer: threads that receive orders, write them, and delete their messages after the commit.

A message is deleted once its order is committed, or once it lies in the dead letters with its reason. A process that is
killed in between leaves messages that come again, and the idempotency key of an order that is written already.
"""

from __future__ import annotations

import logging
import time
from threading import Thread

from orderops.service.circuit import Unavailable
from orderops.service.delivery import Delivery, Parts
from orderops.service.inbox import Message

log = logging.getLogger(__name__)


class Consumer:
    """Threads that take messages from the queue, each the messages of one receive at a time."""

    def __init__(self, parts: Parts, *, threads: int = 1) -> None:
        self._parts = parts
        self._reported = ""
        self._threads = [Thread(target=self._run, name=f"consumer-{number}", daemon=True) for number in range(threads)]

    def start(self) -> None:
        """Start to receive."""
        self._parts.heartbeat.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Receive nothing more. Returns at once; `join` waits until what was started is finished."""
        self._parts.gate.stop()

    def join(self) -> None:
        """Wait until no message is held any more."""
        for thread in self._threads:
            thread.join()
        self._parts.heartbeat.stop()
        log.info("drained: no message is held any more")

    def _run(self) -> None:
        while not self._parts.gate.stopping:
            try:
                self._step()
            except Unavailable as error:
                self._report(str(error))
                self._parts.gate.pause()
            else:
                self._reported = ""

    def _step(self) -> None:
        """Receive and deliver, unless the database cannot take orders: each receive uses up one of the attempts."""
        if self._parts.gate.held:
            self._parts.gate.pause()
            return
        self._parts.writer.check()
        messages = self._parts.inbox.receive()
        if messages:
            self._measure(messages)
            Delivery(self._parts, messages).run()

    def _report(self, reason: str) -> None:
        # Once, and not at each try.
        if reason != self._reported:
            self._reported = reason
            log.warning("nothing is received: %s", reason)

    def _measure(self, messages: list[Message]) -> None:
        oldest = min(message.sent_at for message in messages)
        self._parts.metrics.highest("OldestMessageAge", max(0.0, time.time() - oldest))
