"""moto's queues, which have the settings, and the mailboxes with their messages."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.sqs.errors import no_queue
from orderops.local.sqs.index import Entry
from orderops.local.sqs.journal import Content
from orderops.local.sqs.store import Mailbox, MessageStore, Redrive

# Attributes that CreateQueue does not take.
READ_ONLY = frozenset(
    {
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "CreatedTimestamp",
        "LastModifiedTimestamp",
        "QueueArn",
    }
)
log = logging.getLogger(__name__)


class Queues:
    """Finds queues by URL and ARN, and opens a mailbox for each."""

    def __init__(self, store: MessageStore, lock: threading.RLock) -> None:
        self.store = store
        # The emulator's. Take it before the store's lock, or alone.
        self._lock = lock
        self._mailboxes: WeakKeyDictionary[Any, Mailbox] = WeakKeyDictionary()

    def by_url(self, url: object, region: str) -> Any:
        """Return the queue with this URL, or this name. Raises ApiError."""
        queue = _backend(region).queues.get(str(url or "").rpartition("/")[2])
        if queue is None:
            raise no_queue()
        return queue

    def by_arn(self, arn: object) -> Any:
        """Return the queue with this ARN; None when there is none."""
        parts = str(arn or "").split(":")
        if len(parts) != 6 or parts[2] != "sqs":
            return None
        queue = _backend(parts[3]).queues.get(parts[5])
        return queue if queue is not None and queue.queue_arn == arn else None

    def every(self) -> Iterator[Any]:
        for _, _, backend in get_backend("sqs").iter_backends():
            yield from list(backend.queues.values())

    def mailboxes(self) -> dict[str, Mailbox]:
        """Return the messages of all queues by ARN. Call without holding the store's lock."""
        return {queue.queue_arn: self.mailbox(queue) for queue in self.every() if not queue.fifo_queue}

    def mailbox(self, queue: Any) -> Mailbox:
        """Return the messages of a queue. Call without holding the store's lock."""
        mailbox = self._mailboxes.get(queue)
        if mailbox is None:
            with self._lock:
                mailbox = self._mailboxes.get(queue)
                if mailbox is None:
                    mailbox = self.store.open(_key(queue), queue.queue_arn, _definition(queue))
                    self._mailboxes[queue] = mailbox
        mailbox.retention = queue.message_retention_period
        if queue._messages:
            with self._lock:
                self._adopt(queue, mailbox)
        return mailbox

    def redrive(self, queue: Any) -> Redrive | None:
        """Return where dead letters of a queue go; None without a policy, or when that queue is gone."""
        policy = queue.redrive_policy
        target = self.by_arn(policy["deadLetterTargetArn"]) if policy else None
        return Redrive(self.mailbox(target), int(policy["maxReceiveCount"])) if target is not None else None

    def keep_definition(self, queue: Any) -> None:
        """Store the settings of a queue: the state file follows only later."""
        mailbox = self.mailbox(queue)
        with self.store.lock:
            self.store.journal.keep_queue(mailbox.key, _definition(queue))

    def close(self, queue: Any) -> None:
        """Delete the messages of a queue that is being deleted."""
        self.store.close(self.mailbox(queue))

    def adopt(self) -> None:
        """Take over what other services of moto delivered. Call while holding the emulator's lock."""
        for queue in self.every():
            if queue._messages and not queue.fifo_queue:
                self.mailbox(queue)

    def resume(self) -> None:
        """Open every queue of the state; create again those that were made after it was last saved."""
        there = {_key(queue) for queue in self.every()}
        lost = [json.loads(text) for key, text in self.store.journal.definitions().items() if key not in there]
        for definition in lost:
            _create(definition)
        for definition in lost:
            _set_redrive(definition)
        self.mailboxes()

    def forget(self) -> None:
        """Open every queue anew."""
        self._mailboxes.clear()

    def _adopt(self, queue: Any, mailbox: Mailbox) -> None:
        messages, queue._messages = queue._messages, []
        self.store.adopt(mailbox, [_adopted(message) for message in messages])


def _backend(region: str) -> Any:
    return get_backend("sqs")[DEFAULT_ACCOUNT_ID][region]


def _key(queue: Any) -> str:
    """Return a key that a queue of the same name, created later, does not have."""
    return f"{queue.created_timestamp!r} {queue.queue_arn}"


def _definition(queue: Any) -> str:
    attributes = {
        name: str(value) for name, value in queue.attributes.items() if name not in READ_ONLY and value is not None
    }
    place = {"account": queue.account_id, "region": queue.region, "name": queue.name}
    return json.dumps({**place, "created": queue.created_timestamp, "attributes": attributes, "tags": queue.tags})


def _create(definition: dict[str, Any]) -> None:
    attributes = {name: value for name, value in definition["attributes"].items() if name != "RedrivePolicy"}
    backend = get_backend("sqs")[definition["account"]][definition["region"]]
    if definition["name"] in backend.queues:
        # Deleted and created again, and the deletion was not saved: the later one counts.
        if backend.queues[definition["name"]].created_timestamp > definition["created"]:
            return
        del backend.queues[definition["name"]]
    queue = backend.create_queue(definition["name"], definition["tags"], **attributes)
    queue.created_timestamp = definition["created"]
    log.info("%s is created again: it was made after the state was last saved", queue.queue_arn)


def _set_redrive(definition: dict[str, Any]) -> None:
    policy = definition["attributes"].get("RedrivePolicy")
    queue = get_backend("sqs")[definition["account"]][definition["region"]].queues.get(definition["name"])
    if policy and queue is not None:
        try:
            # Not _set_attributes, which takes away the policy.
            queue._setup_dlq(policy)
        # Its dead-letter queue was deleted.
        except Exception as error:
            log.warning("%s is created again without its dead-letter queue: %s", queue.queue_arn, error)


def _adopted(message: Any) -> tuple[Entry, Content]:
    """Return a message of moto's as ours."""
    sent = int(message.sent_timestamp or 0)
    entry = Entry(
        0,
        sent,
        sent,
        visible_at=int(max(message.visible_at, message.delayed_until)),
        receives=message.approximate_receive_count,
        first_received=message.approximate_first_receive_timestamp or 0,
    )
    attributes = {name: _as_json(attribute) for name, attribute in message.message_attributes.items()}
    system = {name: _as_json(attribute) for name, attribute in (message.system_attributes or {}).items()}
    properties = {"attributes": attributes, "system": system, "group": message.group_id}
    return entry, Content(message.id, json.dumps(properties), message.body)


def _as_json(attribute: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in attribute.items()
    }
