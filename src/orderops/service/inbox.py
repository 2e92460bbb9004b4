"""The order queue in SQS as the consumer uses it: receive, delete, give back, keep hidden, dead-letter."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from orderops.service.circuit import Circuit, Unavailable
from orderops.service.queues import explained

log = logging.getLogger(__name__)

# The most messages of one call, and the longest visibility timeout in seconds (SQS quotas).
MOST, LONGEST = 10, 43_200
# Attributes of a message that carry its trace (W3C Trace Context).
TRACE_CONTEXT = ("traceparent", "tracestate")
# What SQS accepts in text (SendMessage, "valid characters").
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Message:
    """Received message; `receives` counts this receive, too."""

    id: str
    receipt: str
    body: str
    receives: int = 1
    sent_at: float = 0.0
    """Seconds since the epoch."""
    trace_context: Mapping[str, str] = field(default_factory=dict)
    """The attributes of TRACE_CONTEXT that it has, as they were received."""
    trace_id: str = ""
    """The trace that its delivery belongs to; empty while tracing is off."""


@dataclass(frozen=True)
class Limits:
    """Settings of the queue."""

    visibility: int = 30
    """Seconds for which a received message stays hidden."""
    max_receives: int | None = None
    """Receives after which SQS itself moves a message to the dead letters; None for never."""


class Inbox:
    """The queue and its dead-letter queue. All methods raise Unavailable, except where they say otherwise."""

    def __init__(
        self,
        sqs: Any,
        url: str,
        dead_letter_url: str | None = None,
        *,
        polling: Any = None,
        poll_seconds: int = 5,
        keep_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use `polling`, a client that waits longer than `poll_seconds` for an answer, to receive."""
        self._sqs = sqs
        self._polling = polling or sqs
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._poll_seconds = poll_seconds
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._circuit = Circuit("queue")
        self._lock = Lock()
        self._limits: Limits | None = None
        self._read_at = 0.0

    def limits(self) -> Limits:
        """Return the settings of the queue, at most a minute old; the last known ones if they cannot be read."""
        with self._lock:
            if self._limits is None or self._clock() - self._read_at > self._keep_seconds:
                try:
                    self._limits = self._circuit.call(self._read_limits)
                except Unavailable:
                    if self._limits is None:
                        raise
                self._read_at = self._clock()
            return self._limits

    def receive(self) -> list[Message]:
        """Wait for messages, and return at most ten."""
        limits = self.limits()
        return self._circuit.call(lambda: self._receive(limits.visibility))

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages, and return those that SQS did not delete: they come again. Raises nothing."""
        left = list(messages)
        for _ in range(3):
            if not left:
                break
            left = self._batch("delete_message_batch", "sqs:DeleteMessage", left)
        return left

    def give_back(self, messages: Sequence[Message], seconds: int = 0) -> None:
        """Let messages be received again after some seconds. Raises nothing: they come again in any case."""
        if left := self.hide(messages, seconds):
            log.warning(
                "%d messages could not be given back: they come again after their visibility timeout", len(left)
            )

    def hide(self, messages: Sequence[Message], seconds: int) -> list[Message]:
        """Hide received messages for some seconds from now, and return those that failed. Raises nothing."""
        return self._batch(
            "change_message_visibility_batch",
            "sqs:ChangeMessageVisibility",
            messages,
            VisibilityTimeout=min(seconds, LONGEST),
        )

    def dead_letter(self, message: Message, reason: str, detail: str) -> bool:
        """Send a message to the dead letters with its reason; False if there is no dead-letter queue."""
        if not self._dead_letter_url:
            return False
        attributes = {
            "reason": reason,
            "detail": detail,
            "failed_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "receives": str(message.receives),
            "message_id": message.id,
            # A message that is sent again then goes on with the trace of its request.
            **message.trace_context,
        }
        try:
            self._sqs.send_message(
                QueueUrl=self._dead_letter_url,
                MessageBody=message.body,
                MessageAttributes={
                    # SQS refuses an attribute without a value.
                    name: {"DataType": "String", "StringValue": _REFUSED.sub("\ufffd", value)[:1000] or "-"}
                    for name, value in attributes.items()
                },
            )
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self._dead_letter_url, "sqs:SendMessage") from error
        return True

    def _read_limits(self) -> Limits:
        names = ["VisibilityTimeout", "RedrivePolicy"]
        try:
            answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self._url, "sqs:GetQueueAttributes") from error
        attributes = answer.get("Attributes", {})
        redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
        # SQS returns maxReceiveCount as a number or as a string.
        most = int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None
        # With less than that, a message would reappear before its visibility can be extended.
        return Limits(max(3, int(attributes.get("VisibilityTimeout", 30))), most)

    def _receive(self, visibility: int) -> list[Message]:
        try:
            answer = self._polling.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MOST,
                WaitTimeSeconds=self._poll_seconds,
                VisibilityTimeout=visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=list(TRACE_CONTEXT),
            )
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self._url, "sqs:ReceiveMessage") from error
        return [_message(raw) for raw in answer.get("Messages", ())]

    def _batch(self, call: str, permission: str, messages: Sequence[Message], **more: Any) -> list[Message]:
        """Make a call for all messages, ten at a time, and return those for which it failed."""
        failed: list[Message] = []
        for start in range(0, len(messages), MOST):
            part = messages[start : start + MOST]
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, **more} for number, message in enumerate(part)
            ]
            try:
                answer = getattr(self._sqs, call)(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                log.warning("%s", explained(error, self._url, permission))
                failed += part
                continue
            # The call succeeds even if it failed for every entry.
            for entry in answer.get("Failed", ()):
                message = part[int(entry["Id"])]
                log.warning("%s: %s", call, entry.get("Code"), extra={"message_id": message.id})
                failed.append(message)
        return failed


def _message(raw: dict[str, Any]) -> Message:
    attributes, more = raw.get("Attributes", {}), raw.get("MessageAttributes", {})
    return Message(
        raw["MessageId"],
        raw["ReceiptHandle"],
        raw["Body"],
        int(attributes.get("ApproximateReceiveCount", 1)),
        int(attributes.get("SentTimestamp", 0)) / 1000,
        # Anybody who may send can send another type: that is no trace.
        {name: text for name in TRACE_CONTEXT if (text := more.get(name, {}).get("StringValue"))},
    )
