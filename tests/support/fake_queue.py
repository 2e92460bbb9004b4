"""SQS in memory, for the calls that the order processor makes: hidden messages, receive counts, dead letters."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from botocore.exceptions import ClientError

URL = "https://sqs.ap-southeast-2.amazonaws.com/111122223333/orders"
DEAD_LETTERS = f"{URL}-dlq"


@dataclass
class StoredMessage:
    """Message of the queue."""

    id: str
    body: str
    attributes: dict[str, Any]
    sent_at: float
    receives: int = 0
    receipt: str = ""
    visible_at: float = 0.0


@dataclass
class FakeQueue:
    """A boto3 client of SQS with one queue and its dead letters; by `clock`, hidden messages become visible again."""

    clock: Callable[[], float] = time.time
    visibility: int = 30
    max_receives: int | None = 5
    refused: dict[str, str] = field(default_factory=dict)
    """Error codes by call: that call fails."""
    unlucky: set[str] = field(default_factory=set)
    """Bodies of messages whose entry of a batch fails, once."""

    def __post_init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[StoredMessage] = deque()
        self._hidden: dict[str, StoredMessage] = {}
        self.dead: list[StoredMessage] = []
        self.calls: list[str] = []

    def send_message(self, QueueUrl: str, MessageBody: str, MessageAttributes: Any = None) -> dict[str, Any]:  # noqa: N803
        self._refuse("send_message")
        message = StoredMessage(uuid.uuid4().hex, MessageBody, MessageAttributes or {}, self.clock())
        with self._changed:
            (self.dead if QueueUrl == DEAD_LETTERS else self._waiting).append(message)
            self._changed.notify()
        return {"MessageId": message.id, "MD5OfMessageBody": hashlib.md5(MessageBody.encode()).hexdigest()}

    def receive_message(
        self,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int = 1,  # noqa: N803
        WaitTimeSeconds: int = 0,  # noqa: N803
        VisibilityTimeout: int | None = None,  # noqa: N803
        MessageSystemAttributeNames: Any = (),  # noqa: N803
        MessageAttributeNames: Any = (),  # noqa: N803
    ) -> dict[str, Any]:
        self._refuse("receive_message")
        hidden_for = self.visibility if VisibilityTimeout is None else VisibilityTimeout
        with self._changed:
            taken = self._take(MaxNumberOfMessages, hidden_for)
            if not taken and WaitTimeSeconds:
                # Shorter than asked for, which SQS may be as well.
                self._changed.wait(min(WaitTimeSeconds, 0.05))
                taken = self._take(MaxNumberOfMessages, hidden_for)
            return {"Messages": [_shown(message, MessageAttributeNames) for message in taken]} if taken else {}

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:  # noqa: N803
        with self._changed:
            self._hidden.pop(ReceiptHandle, None)
        return {}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._refuse("delete_message_batch")
        return self._batch(Entries, lambda entry: self._hidden.pop(entry["ReceiptHandle"], None))

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._refuse("change_message_visibility_batch")
        return self._batch(Entries, self._hide)

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        self._refuse("get_queue_attributes")
        redrive = f'{{"deadLetterTargetArn":"arn:aws:sqs:::orders-dlq","maxReceiveCount":"{self.max_receives}"}}'
        with self._changed:
            return {
                "Attributes": {
                    "VisibilityTimeout": str(self.visibility),
                    **({"RedrivePolicy": redrive} if self.max_receives else {}),
                    "ApproximateNumberOfMessages": str(len(self._waiting)),
                    "ApproximateNumberOfMessagesNotVisible": str(len(self._hidden)),
                    "ApproximateNumberOfMessagesDelayed": "0",
                }
            }

    @property
    def empty(self) -> bool:
        """True when no message is left, visible or hidden."""
        with self._changed:
            return not self._waiting and not self._hidden

    @property
    def messages(self) -> list[StoredMessage]:
        """All messages of the queue, visible ones first."""
        with self._changed:
            return [*self._waiting, *self._hidden.values()]

    def delays(self) -> list[float]:
        """Return for how many seconds each message of the queue is still hidden."""
        return sorted(max(0.0, message.visible_at - self.clock()) for message in self.messages)

    def _take(self, most: int, hidden_for: int) -> list[StoredMessage]:
        now = self.clock()
        for receipt, message in list(self._hidden.items()):
            if message.visible_at > now:
                continue
            del self._hidden[receipt]
            self._waiting.append(message)
        taken: list[StoredMessage] = []
        while self._waiting and len(taken) < most:
            message = self._waiting.popleft()
            if self.max_receives and message.receives >= self.max_receives:
                self.dead.append(message)
                continue
            message.receives += 1
            message.receipt = uuid.uuid4().hex
            message.visible_at = now + hidden_for
            self._hidden[message.receipt] = message
            taken.append(message)
        return taken

    def _batch(self, entries: list[dict[str, Any]], do: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        successful, failed = [], []
        with self._changed:
            for entry in entries:
                message = self._hidden.get(entry["ReceiptHandle"])
                if message and message.body in self.unlucky:
                    self.unlucky.discard(message.body)
                    failed.append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
                else:
                    do(entry)
                    successful.append({"Id": entry["Id"]})
            self._changed.notify()
        return {"Successful": successful, **({"Failed": failed} if failed else {})}

    def _hide(self, entry: dict[str, Any]) -> None:
        if message := self._hidden.get(entry["ReceiptHandle"]):
            message.visible_at = self.clock() + entry["VisibilityTimeout"]

    def _refuse(self, call: str) -> None:
        self.calls.append(call)
        if code := self.refused.get(call):
            raise ClientError({"Error": {"Code": code, "Message": code}}, call)


def _shown(message: StoredMessage, names: Any) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        },
        "MessageAttributes": {name: value for name, value in message.attributes.items() if name in names},
    }
