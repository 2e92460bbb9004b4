"""Messages of a queue, held while they are looked at and let go afterwards.

SQS has no call that only looks: a received message is hidden from other receivers for as long as it is held, and the
receive counts. In a dead-letter queue that does no harm, since nothing moves on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws, if_found
from orderops.errors import AwsError
from orderops.frozen import Frozen, as_dict, field
from orderops.resources.sqs_queue import GONE

BATCH = 10
"""Messages in one call (SQS quotas)."""
LARGEST_BATCH = 1_048_576
"""Bytes in the messages of one call (SQS quotas)."""
HOLD = 300
"""Seconds after which held messages come back if this process is killed."""
# With less, SQS asks only some of its servers, and answers with no message although there are some.
WAIT = 2
REASON, DETAIL = "reason", "detail"
"""Attributes that the order processor adds to a message that it gives up."""
SCHEDULE, ERROR, ERROR_TEXT = "SCHEDULE_ARN", "ERROR_CODE", "ERROR_MESSAGE"
"""Attributes that EventBridge Scheduler adds to the start of a schedule that failed."""
OURS = frozenset({REASON, DETAIL, "failed_at", "receives", "message_id"})


class MessageCounts(Frozen):
    """Numbers of messages, approximate as SQS counts them."""

    waiting: int
    in_flight: int
    delayed: int

    def to_dict(self) -> dict[str, int]:
        """As JSON, with stable keys."""
        return as_dict(self)


class QueuedMessage(Frozen):
    """A received message; times are those of SQS."""

    id: str
    body: str
    receipt: str
    sent_at: datetime
    receives: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Its message attributes in SQS's form."""

    @property
    def reason(self) -> str:
        """Why it was given up, as the service or EventBridge Scheduler said; in other words if SQS moved it."""
        if schedule := self._text(SCHEDULE):
            return f"{schedule.rpartition('/')[2]} did not start: {self._text(ERROR)}"
        return self._text(REASON) or "received too often without success"

    @property
    def detail(self) -> str:
        """What exactly was wrong; empty if nobody said."""
        return self._text(DETAIL) or self._text(ERROR_TEXT)

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return len(self.body.encode())

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "id": self.id,
            "reason": self.reason,
            "detail": self.detail or None,
            "sent": self.sent_at.isoformat(),
            "receives": self.receives,
            "body": self.body,
        }

    def _text(self, name: str) -> str:
        return str(self.attributes.get(name, {}).get("StringValue", ""))


def url_of(aws: Aws, name: str) -> str | None:
    """The URL of a queue; None if it does not exist."""
    response = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    return response["QueueUrl"] if response else None


def depth_of(aws: Aws, url: str) -> MessageCounts:
    """How many messages a queue has."""
    names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
    raw = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return MessageCounts(*(int(raw.get(name, 0)) for name in names))


@contextmanager
def held(
    aws: Aws,
    url: str,
    *,
    most: int | None = None,
    on_read: Callable[[int], object] = lambda _: None,
    wait: int = WAIT,
) -> Iterator[list[QueuedMessage]]:
    """Receive the messages of a queue, at most so many, and let those go at the end that were not deleted.

    `wait` are the seconds after which a queue that answers with nothing is taken for empty.
    """
    found: dict[str, QueuedMessage] = {}
    try:
        while most is None or len(found) < most:
            batch = _receive(aws, url, BATCH if most is None else min(BATCH, most - len(found)), wait)
            if not batch:
                break
            # A second copy of the same message has the receipt that counts.
            found.update({message.id: message for message in batch})
            on_read(len(found))
        yield list(found.values())
    finally:
        _let_go(aws, url, list(found.values()))


def send(aws: Aws, url: str, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
    """Send messages to a queue, without what was added when they were given up; returns those that SQS took."""
    taken = []
    for batch in _batches(messages):
        entries = [
            {"Id": str(number), "MessageBody": message.body, "MessageAttributes": _own_attributes(message)}
            for number, message in enumerate(batch)
        ]
        answer = aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)
        taken += [batch[int(entry["Id"])] for entry in answer.get("Successful", ())]
    return taken


def delete(aws: Aws, url: str, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
    """Delete received messages; returns those that are gone."""
    gone = []
    for start in range(0, len(messages), BATCH):
        batch = messages[start : start + BATCH]
        entries = [{"Id": str(number), "ReceiptHandle": message.receipt} for number, message in enumerate(batch)]
        answer = aws.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        gone += [batch[int(entry["Id"])] for entry in answer.get("Successful", ())]
    return gone


def _receive(aws: Aws, url: str, number: int, wait: int) -> list[QueuedMessage]:
    answer = aws.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=number,
        VisibilityTimeout=HOLD,
        WaitTimeSeconds=wait,
        MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        MessageAttributeNames=["All"],
    )
    return [_message(raw) for raw in answer.get("Messages", ())]


def _message(raw: Mapping[str, Any]) -> QueuedMessage:
    system = raw.get("Attributes", {})
    return QueuedMessage(
        raw["MessageId"],
        raw["Body"],
        raw["ReceiptHandle"],
        datetime.fromtimestamp(int(system.get("SentTimestamp", 0)) / 1000, UTC),
        int(system.get("ApproximateReceiveCount", 0)),
        raw.get("MessageAttributes", {}),
    )


def _let_go(aws: Aws, url: str, messages: Sequence[QueuedMessage]) -> None:
    for start in range(0, len(messages), BATCH):
        batch = messages[start : start + BATCH]
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
            for number, message in enumerate(batch)
        ]
        # What was deleted meanwhile is refused entry by entry. What stays hidden comes back after HOLD seconds.
        with suppress(AwsError):
            aws.sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)


def _own_attributes(message: QueuedMessage) -> dict[str, Any]:
    kept = ("DataType", "StringValue", "BinaryValue")
    return {
        name: {key: value for key, value in attribute.items() if key in kept}
        for name, attribute in message.attributes.items()
        if name not in OURS
    }


def _batches(messages: Sequence[QueuedMessage]) -> Iterator[list[QueuedMessage]]:
    batch: list[QueuedMessage] = []
    for message in messages:
        if batch and (len(batch) == BATCH or sum(one.size for one in [*batch, message]) > LARGEST_BATCH):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch
