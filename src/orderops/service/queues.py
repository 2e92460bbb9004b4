"""The order queue in SQS as the web side uses it: its depth, and new messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError

from orderops.service.circuit import Away, Circuit, Unavailable

# Both codes are in use: one by the JSON protocol, one by the older query protocol.
_ABSENT = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_COUNTS = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True)
class Depth:
    """Number of messages in a queue; SQS counts approximately."""

    visible: int
    in_flight: int
    delayed: int
    dead_letters: int | None


class Queue:
    """The queue of orders and its dead-letter queue."""

    def __init__(self, sqs: Any, url: str, dead_letter_url: str | None = None) -> None:
        self._sqs = sqs
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._circuit = Circuit("queue")

    def depth(self) -> Depth:
        """Count the messages. Raises Unavailable."""
        return self._circuit.call(self._count)

    def check(self) -> None:
        """Return when the queue answers. Raises Unavailable."""
        self._circuit.call(lambda: self._attributes(self._url))

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Send a message with attributes of text.

        Raises Unavailable; the message may have been sent nevertheless, if the answer was lost.
        """
        self._circuit.call(lambda: self._send(body, attributes or {}))

    def _send(self, body: str, attributes: Mapping[str, str]) -> None:
        described = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        more = {"MessageAttributes": described} if described else {}
        try:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, **more)
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self._url, "sqs:SendMessage") from error

    def _count(self) -> Depth:
        counts = self._attributes(self._url)
        dead_letters = self._attributes(self._dead_letter_url)["visible"] if self._dead_letter_url else None
        return Depth(**counts, dead_letters=dead_letters)

    def _attributes(self, url: str) -> dict[str, int]:
        try:
            response = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS.values()))
        except (BotoCoreError, ClientError) as error:
            raise explained(error, url, "sqs:GetQueueAttributes") from error
        return {name: int(response["Attributes"].get(attribute, 0)) for name, attribute in _COUNTS.items()}


def explained(error: BotoCoreError | ClientError, url: str, permission: str) -> Unavailable:
    """Return why a call that needs a permission failed; the URL is the queue's."""
    name = url.rstrip("/").rsplit("/", 1)[-1]
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if code in _ABSENT:
            return Unavailable(f"queue {name} does not exist", "the queue does not exist")
        if code in _DENIED:
            reason = f"the task's role may not use queue {name}: it needs {permission}"
            return Unavailable(reason, f"access is denied: {permission}")
        return Away(f"queue {name}: {code}", f"SQS refuses: {code}")
    if isinstance(error, NoCredentialsError):
        return Away("no AWS credentials: the task has no role", "no AWS credentials")
    if isinstance(error, ConnectionError | HTTPClientError):
        return Away(f"SQS does not answer for queue {name}", "SQS does not answer")
    return Away(f"queue {name}: {error}")
