"""Calls of SQS about messages, answered in place of moto, and what calls about queues do to messages."""

from __future__ import annotations

import hashlib
import json
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orderops.local.emulator.protocol import ApiError, Environ, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.sqs.attributes import TRACE_HEADER, digest, selected
from orderops.local.sqs.errors import invalid_receipt, invalid_value, no_fifo, no_queue, sqs_error
from orderops.local.sqs.index import MessageState
from orderops.local.sqs.move_calls import MoveCalls
from orderops.local.sqs.moves import MoveTasks
from orderops.local.sqs.parameters import (
    Parameters,
    check_batch_size,
    draft,
    entries,
    number,
    parameters_of,
    text,
    texts,
)
from orderops.local.sqs.query import answered, with_attributes
from orderops.local.sqs.queues import Queues
from orderops.local.sqs.store import (
    Delivered,
    Draft,
    InvisibleTooLong,
    Mailbox,
    MessageStore,
    NotReceived,
    QueueGone,
    TooManyInFlight,
    UnknownReceipt,
)

MAX_MESSAGES = 10
MAX_VISIBILITY = 43_200
MAX_WAIT = 20
# Seconds between two looks whether the client of a waiting receive is still there.
LOOK_AT_CLIENT = 1.0
# Id of the user who sends; the laptop has one.
SENDER = "AIDAIT2UOQQY3AUEKVGXU"
SYSTEM_ATTRIBUTES = frozenset(
    {
        "All",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        TRACE_HEADER,
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
    }
)
COUNTS = {
    "ApproximateNumberOfMessages": MessageState.VISIBLE,
    "ApproximateNumberOfMessagesDelayed": MessageState.DELAYED,
    "ApproximateNumberOfMessagesNotVisible": MessageState.IN_FLIGHT,
}
CHANGING_QUEUES = ("CreateQueue", "SetQueueAttributes", "TagQueue", "UntagQueue")
Answer = Mapping[str, Any]


class SqsMessages:
    """Messages of all queues of an emulator."""

    def __init__(self, emulator: Emulator, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.purge_pause = 0.0
        """Seconds between two purges of a queue."""
        self.store = MessageStore(path, clock)
        self.queues = Queues(self.store, emulator.lock)
        self.moves = MoveTasks(self.store, self.queues.mailboxes)
        moves = MoveCalls(self.queues, self.moves)
        calls: dict[str, Callable[[Request, Parameters], Answer]] = {
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._hide,
            "ChangeMessageVisibilityBatch": self._hide_batch,
            "PurgeQueue": self._purge,
            "StartMessageMoveTask": moves.start,
            "ListMessageMoveTasks": moves.list,
            "CancelMessageMoveTask": moves.cancel,
        }
        for action, call in calls.items():
            emulator.unlocked["sqs", action] = _answered(call)
        for action in (*CHANGING_QUEUES, "DeleteQueue"):
            emulator.on_before("sqs", action, _check_protocol)
        for action in CHANGING_QUEUES:
            emulator.on_after("sqs", action, self._keep_definition)
        emulator.on_before("sqs", "CreateQueue", _refuse_fifo)
        emulator.on_before("sqs", "DeleteQueue", self._close)
        emulator.on_after("sqs", "GetQueueAttributes", self._count)
        emulator.settled.append(self.queues.adopt)

    def resume(self) -> None:
        """Open the queues of the state that was loaded, and continue move tasks."""
        self.queues.resume()
        self.moves.resume()

    def shut(self) -> None:
        """End move tasks and close the journal."""
        self.moves.stop()
        with self.store.lock:
            self.store.journal.close()

    def deliver(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send a message to a queue as another service of AWS does. Raises ApiError if there is none.

        Call it with the emulator's lock, or with none.
        """
        queue = self.queues.by_arn(arn)
        if queue is None:
            raise no_queue()
        texts = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        message = draft({"MessageBody": body, "MessageAttributes": texts}, queue.maximum_message_size, 0)
        self.store.send(self.queues.mailbox(queue), [message])

    def _mailbox(self, request: Request, parameters: Parameters) -> tuple[Any, Mailbox]:
        queue = self.queues.by_url(text(parameters, "QueueUrl"), request.region)
        if queue.fifo_queue:
            raise no_fifo()
        return queue, self.queues.mailbox(queue)

    def _send(self, request: Request, parameters: Parameters) -> Answer:
        queue, mailbox = self._mailbox(request, parameters)
        message = draft(parameters, queue.maximum_message_size, queue.delay_seconds)
        return _sent(message, self.store.send(mailbox, [message])[0])

    def _send_batch(self, request: Request, parameters: Parameters) -> Answer:
        queue, mailbox = self._mailbox(request, parameters)
        batch = entries(parameters, "SendMessageBatchRequestEntry")
        check_batch_size(batch)
        drafts: dict[str, Draft] = {}

        def check(entry: Parameters) -> Answer:
            drafts[entry["Id"]] = draft(entry, queue.maximum_message_size, queue.delay_seconds)
            return {}

        answer = _entry_by_entry(batch, check)
        ids = self.store.send(mailbox, list(drafts.values()))
        sent = [
            {"Id": entry_id, **_sent(message, message_id)}
            for (entry_id, message), message_id in zip(drafts.items(), ids, strict=True)
        ]
        return {**answer, "Successful": sent}

    def _receive(self, request: Request, parameters: Parameters) -> Answer:
        queue, mailbox = self._mailbox(request, parameters)
        limit = number(parameters, "MaxNumberOfMessages", 1, MAX_MESSAGES, 1)
        timeout = number(parameters, "VisibilityTimeout", 0, MAX_VISIBILITY, queue.visibility_timeout)
        wait = number(parameters, "WaitTimeSeconds", 0, MAX_WAIT, queue.receive_message_wait_time_seconds)
        names = {*texts(parameters, "AttributeNames"), *texts(parameters, "MessageSystemAttributeNames")}
        if unknown := names - SYSTEM_ATTRIBUTES:
            raise sqs_error("InvalidAttributeName", f"Unknown Attribute {min(unknown)}.")
        patterns = texts(parameters, "MessageAttributeNames")
        until = time.monotonic() + wait
        while True:
            received: list[Delivered] = []
            try:
                received = self.store.receive(mailbox, limit, timeout, self.queues.redrive(queue))
            except TooManyInFlight:
                # From "Amazon SQS message quotas": no error for long polling.
                if not wait:
                    raise sqs_error("OverLimit", "Too many messages in flight; delete some first.", 403) from None
            left = until - time.monotonic()
            if received or left <= 0:
                messages = [_described(message, names, patterns) for message in received]
                return {"Messages": messages} if messages else {}
            self.store.wait(mailbox, min(left, LOOK_AT_CLIENT))
            if _client_gone(request.environ):
                # Nobody would process what it received.
                return {}
            queue, mailbox = self._mailbox(request, parameters)

    def _delete(self, request: Request, parameters: Parameters) -> Answer:
        _, mailbox = self._mailbox(request, parameters)
        return self._delete_one(mailbox, parameters)

    def _delete_batch(self, request: Request, parameters: Parameters) -> Answer:
        _, mailbox = self._mailbox(request, parameters)
        batch = entries(parameters, "DeleteMessageBatchRequestEntry")
        return _entry_by_entry(batch, lambda entry: self._delete_one(mailbox, entry))

    def _delete_one(self, mailbox: Mailbox, parameters: Parameters) -> Answer:
        handle = text(parameters, "ReceiptHandle")
        try:
            self.store.delete(mailbox, handle)
        except UnknownReceipt:
            raise invalid_receipt(handle) from None
        return {}

    def _hide(self, request: Request, parameters: Parameters) -> Answer:
        _, mailbox = self._mailbox(request, parameters)
        return self._hide_one(mailbox, parameters)

    def _hide_batch(self, request: Request, parameters: Parameters) -> Answer:
        _, mailbox = self._mailbox(request, parameters)
        batch = entries(parameters, "ChangeMessageVisibilityBatchRequestEntry")
        return _entry_by_entry(batch, lambda entry: self._hide_one(mailbox, entry))

    def _hide_one(self, mailbox: Mailbox, parameters: Parameters) -> Answer:
        handle = text(parameters, "ReceiptHandle")
        timeout = number(parameters, "VisibilityTimeout", 0, MAX_VISIBILITY)
        try:
            self.store.hide(mailbox, handle, timeout)
        except UnknownReceipt:
            raise invalid_receipt(handle) from None
        except NotReceived:
            # Not MessageNotInflight, which the API reference has: vmihailenco/taskq#29, mapbox/ecs-watchbot#135.
            raise invalid_value(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
                "available for visibility timeout change."
            ) from None
        except InvisibleTooLong:
            raise invalid_value(
                f"Value {timeout} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the "
                f"message is beyond the limit [{MAX_VISIBILITY} seconds]"
            ) from None
        return {}

    def _purge(self, request: Request, parameters: Parameters) -> Answer:
        queue, mailbox = self._mailbox(request, parameters)
        if self.store.seconds_since_purge(mailbox) < self.purge_pause:
            raise sqs_error(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
                403,
            )
        self.store.purge(mailbox)
        return {}

    def _keep_definition(self, request: Request, _answer: Response) -> None:
        self.queues.keep_definition(self._named(request))

    def _close(self, request: Request) -> None:
        self.queues.close(self._named(request))

    def _count(self, request: Request, response: Response) -> Response:
        by_state = self.store.counts(self.queues.mailbox(self._named(request)))
        counts = {name: str(by_state[state]) for name, state in COUNTS.items()}
        if request.form:
            return replace(response, body=with_attributes(response.body, counts))
        document = json.loads(response.body)
        attributes = document.get("Attributes", {})
        attributes.update({name: count for name, count in counts.items() if name in attributes})
        return replace(response, body=json.dumps(document).encode())

    def _named(self, request: Request) -> Any:
        parameters = parameters_of(request)
        return self.queues.by_url(parameters.get("QueueUrl") or parameters.get("QueueName"), request.region)


def _answered(call: Callable[[Request, Parameters], Answer]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            content = call(request, parameters_of(request))
            return answered(request, content) if request.form else json_answer(content)
        except QueueGone:
            raise no_queue() from None

    return answer


def _entry_by_entry(batch: list[Parameters], call: Callable[[Parameters], Answer]) -> dict[str, Any]:
    """Call a function for each entry of a batch; one that is refused refuses no other."""
    successful, failed = [], []
    for entry in batch:
        try:
            successful.append({"Id": entry["Id"], **call(entry)})
        except ApiError as error:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": error.message})
    return {"Successful": successful, "Failed": failed}


def _sent(message: Draft, message_id: str) -> Answer:
    properties = json.loads(message.properties)
    answer = {"MessageId": message_id, "MD5OfMessageBody": _md5(message.body)}
    if properties["attributes"]:
        answer["MD5OfMessageAttributes"] = digest(properties["attributes"])
    if properties["system"]:
        answer["MD5OfMessageSystemAttributes"] = digest(properties["system"])
    return answer


def _described(message: Delivered, names: set[str], patterns: list[str]) -> Answer:
    """Return a message as ReceiveMessage returns it."""
    entry, content = message.entry, message.content
    properties = json.loads(content.properties)
    trace = properties["system"].get(TRACE_HEADER)
    system = {
        "SenderId": SENDER,
        "SentTimestamp": str(entry.sent),
        "ApproximateReceiveCount": str(entry.receives),
        "ApproximateFirstReceiveTimestamp": str(entry.first_received),
        "DeadLetterQueueSourceArn": entry.source,
        "MessageGroupId": properties["group"],
        TRACE_HEADER: trace and trace["StringValue"],
    }
    described: dict[str, Any] = {
        "MessageId": content.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": _md5(content.body),
        "Body": content.body,
    }
    shown = {name: value for name, value in system.items() if value and ("All" in names or name in names)}
    if shown:
        described["Attributes"] = shown
    if attributes := selected(properties["attributes"], patterns):
        described |= {"MessageAttributes": attributes, "MD5OfMessageAttributes": digest(attributes)}
    return described


def _md5(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def _check_protocol(request: Request) -> None:
    """Raise ApiError for a change of a queue in the query protocol, which is there for messages only."""
    if request.form:
        raise ApiError(
            "NotEmulated",
            f"SQS {request.action} of the query protocol is not emulated on the laptop: use a client of 2024 or later",
        )


def _refuse_fifo(request: Request) -> None:
    parameters = parameters_of(request)
    attributes = parameters.get("Attributes") or {}
    if str(parameters.get("QueueName")).endswith(".fifo") or str(attributes.get("FifoQueue")).lower() == "true":
        raise no_fifo()


def _client_gone(environ: Environ) -> bool:
    """Tell whether the client has disconnected: it would receive messages that are then never processed."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return False
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
