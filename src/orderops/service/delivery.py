"""The messages of one receive, each brought to an end: written and deleted, put away with its reason, or given back."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orderops.service.circuit import Rejected, Unavailable
from orderops.service.gate import Gate, Stopping
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox, Message
from orderops.service.metrics import Metrics
from orderops.service.order_writer import OrderWriter, Written, reason_of
from orderops.service.orders import InvalidOrder, NewerMessage, PlacedOrder, read_message
from orderops.service.tracing import DeliverySpans, Tracing

log = logging.getLogger(__name__)

# Seconds. With five receives, the default of max_receives, a message is tried for two to four minutes.
FIRST_DELAY, LONGEST_DELAY, GROWTH = 5, 900, 3


@dataclass(frozen=True)
class Parts:
    """What a delivery works with."""

    inbox: Inbox
    writer: OrderWriter
    heartbeat: Heartbeat
    metrics: Metrics
    gate: Gate
    jitter: Callable[[float, float], float] = random.uniform
    tracing: Tracing = field(default_factory=Tracing)


@dataclass(frozen=True)
class Received:
    """Message with the order in it, which is None in a message that cannot be read."""

    message: Message
    placed: PlacedOrder | None = None

    @property
    def ids(self) -> dict[str, str]:
        """Ids for the log."""
        ids = {"message_id": self.message.id}
        if self.placed:
            ids |= {"order_id": self.placed.id, "request_id": self.placed.request_id}
        return {**ids, "trace_id": self.message.trace_id} if self.message.trace_id else ids


class Delivery:
    """Work on the messages of one receive."""

    def __init__(self, parts: Parts, messages: Sequence[Message]) -> None:
        self._parts = parts
        self._messages = list(messages)
        self._spans = DeliverySpans(messages)
        # What has not come to an end yet, by its receipt.
        self._left = {message.receipt: message for message in messages}

    def run(self) -> None:
        """Bring every message to an end. Raises nothing that SQS or the database causes."""
        tracing, heartbeat = self._parts.tracing, self._parts.heartbeat
        with tracing.delivery(self._messages) as self._spans, heartbeat.keeping(self._messages):
            try:
                self._work(self._spans.messages)
            except Stopping:
                self._give_back(list(self._left.values()), 0)
            except Exception:
                # A mistake of ours must not end the thread.
                log.exception("unhandled error")
                self._give_back(list(self._left.values()), self._delay(1))

    def _work(self, messages: Sequence[Message]) -> None:
        """Write the orders of messages together, or each alone if that fails. Raises Stopping before it starts."""
        if self._parts.gate.stopping:
            raise Stopping
        batch = [(message, placed) for message in messages if (placed := self._read(message))]
        if not batch:
            return
        orders = [placed for _, placed in batch]
        try:
            written = self._parts.gate.through(lambda: self._parts.writer.write(orders))
        except Stopping:
            raise
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.exception("unhandled error")
            if len(batch) == 1:
                self._failed(*batch[0], error)
                return
            log.info("%d orders cannot be written together, trying each alone: %s", len(batch), error)
            for message, _ in batch:
                self._work([message])
            return
        self._finish(batch, written)

    def _read(self, message: Message) -> PlacedOrder | None:
        """Return the order in a message; None after the end of a message without one."""
        try:
            return read_message(message.body)
        except NewerMessage as error:
            # This is an older release, after a rollback: a later one will read the message.
            self._retry_later(Received(message), str(error))
        except InvalidOrder as error:
            self._put_away(Received(message), "invalid message", str(error))
        return None

    def _finish(self, batch: Sequence[tuple[Message, PlacedOrder]], written: Written) -> None:
        """Delete the messages of a committed batch, and put away those whose key is another order's."""
        done = [Received(message, placed) for message, placed in batch if placed.id not in written.conflicts]
        self._delete([received.message for received in done])
        self._parts.metrics.add("Processed", len(written.new))
        self._parts.metrics.add("Duplicates", len(done) - len(written.new))
        if written.new:
            ids = [received.ids for received in done if received.placed and received.placed.id in written.new]
            log.info("orders written", extra={"orders": ids})
        for received in done:
            if received.placed and received.placed.id in written.duplicates:
                log.info("order was written before", extra=received.ids)
        for message, placed in batch:
            if placed.id in written.conflicts:
                reason = "the idempotency key belongs to another order"
                self._reject(message, placed, "key used before", reason)

    def _failed(self, message: Message, placed: PlacedOrder, error: Exception) -> None:
        """End a single order: one that can never be written is put away, one that may be is given back."""
        if isinstance(error, Rejected):
            log.warning("the database refuses an order: %s", error, extra=Received(message, placed).ids)
            self._reject(message, placed, "refused by the database", reason_of(error, placed))
        else:
            self._retry_later(Received(message, placed), str(error) or type(error).__name__)

    def _reject(self, message: Message, placed: PlacedOrder, reason: str, detail: str) -> None:
        try:
            self._parts.gate.through(lambda: self._parts.writer.fail(placed, detail))
        except Unavailable as error:
            self._retry_later(Received(message, placed), str(error))
            return
        self._put_away(Received(message, placed), reason, detail)

    def _retry_later(self, received: Received, detail: str) -> None:
        """Give a message back with a delay that grows; after its last attempt, put it away."""
        message, placed = received.message, received.placed
        most = self._parts.inbox.limits().max_receives
        if most is None or message.receives < most:
            delay = self._delay(message.receives)
            log.warning("given back for %d s: %s", delay, detail, extra=received.ids)
            self._give_back([message], delay)
            return
        if placed:
            reason = f"failed {message.receives} times"
            try:
                self._parts.gate.through(lambda: self._parts.writer.fail(placed, reason))
            except Unavailable as error:
                log.warning("the failure cannot be recorded: %s", error, extra=received.ids)
        self._put_away(received, "failed too often", detail)

    def _put_away(self, received: Received, reason: str, detail: str) -> None:
        """Send a message to the dead letters, then delete it."""
        message = received.message
        self._spans.failed(message, reason)
        extra = {**received.ids, "reason": reason, "receives": message.receives}
        try:
            sent = self._parts.inbox.dead_letter(message, reason, detail)
        except Unavailable as error:
            log.error("not sent to the dead letters: %s", error, extra=extra)
            self._give_back([message], self._delay(message.receives))
            return
        if not sent:
            log.error("failed, and there is no dead-letter queue: %s", detail, extra=extra)
            self._give_back([message], LONGEST_DELAY)
            return
        log.error("sent to the dead letters: %s", detail, extra=extra)
        self._parts.metrics.add("Failed")
        self._delete([message])

    def _delete(self, messages: Sequence[Message]) -> None:
        # Those that SQS did not delete come again, and their orders are found written.
        self._parts.inbox.delete(messages)
        self._end(messages)

    def _give_back(self, messages: Sequence[Message], seconds: int) -> None:
        for message in messages:
            self._spans.failed(message, "given back")
        # Released first, or the heartbeat could hide them again.
        self._end(messages)
        self._parts.inbox.give_back(messages, seconds)
        self._parts.metrics.add("GivenBack", len(messages))

    def _end(self, messages: Sequence[Message]) -> None:
        self._parts.heartbeat.release(messages)
        for message in messages:
            self._left.pop(message.receipt, None)
            self._spans.end(message)

    def _delay(self, receives: int) -> int:
        # The exponent is bounded: without max_receives, a message may come thousands of times.
        longest = min(LONGEST_DELAY, FIRST_DELAY * GROWTH ** min(receives - 1, 10))
        return round(self._parts.jitter(longest / 2, longest))
