"""The messages of all queues: an index in memory for each queue, and one journal on disk.

Every change is committed to the journal before the index follows, and before the call is answered.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orderops.local.sqs.index import Entry, MessageIndex, MessageState
from orderops.local.sqs.journal import Content, Journal, Rows

# From "Amazon SQS message quotas": messages in flight of a standard queue.
MAX_IN_FLIGHT = 120_000
# Milliseconds. From ChangeMessageVisibility: counted from the receive, not from the change.
MAX_INVISIBLE = 43_200_000


class QueueGone(Exception):
    """The queue was deleted."""


class TooManyInFlight(Exception):
    """No message of this queue may be received before others are deleted or visible again."""


class UnknownReceipt(Exception):
    """A text that is no receipt handle of this queue."""


class NotReceived(Exception):
    """A receipt handle whose message was deleted, or received again since."""


class InvisibleTooLong(Exception):
    """A message would stay invisible for more than 12 hours after its receive."""


class Mailbox:
    """Messages of one queue. Use it only while holding the store's lock."""

    def __init__(self, key: str, arn: str, lock: threading.RLock) -> None:
        self.key = key
        self.arn = arn
        self.retention = 0
        """Seconds, as the queue's attribute says now."""
        self.index = MessageIndex()
        self.changed = threading.Condition(lock)
        self.closed = False
        self.purged_at = float("-inf")


@dataclass(frozen=True)
class Draft:
    """Message to be sent."""

    body: str
    properties: str = "{}"
    delay: int = 0
    """Seconds."""


@dataclass(frozen=True)
class Delivered:
    """Message as a consumer receives it."""

    entry: Entry
    content: Content
    handle: str


@dataclass(frozen=True)
class Redrive:
    """Where a message goes that was received `max_receives` times."""

    target: Mailbox
    max_receives: int


class MessageStore:
    """All messages. Without a path, they live as long as the process."""

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.journal = Journal(path)
        self._clock = clock
        self._last_number = self.journal.last_number

    @property
    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    def open(self, key: str, arn: str, definition: str) -> Mailbox:
        """Return a queue with the messages that the journal has of it."""
        with self.lock:
            self.journal.keep_queue(key, definition)
            mailbox = Mailbox(key, arn, self.lock)
            mailbox.index = MessageIndex(self.journal.entries(key), self.now)
            return mailbox

    def close(self, mailbox: Mailbox) -> None:
        """Delete a queue with its messages; who waits for one is woken."""
        with self.lock:
            self.journal.forget_queue(mailbox.key)
            mailbox.closed = True
            mailbox.index = MessageIndex()
            mailbox.changed.notify_all()

    def send(self, mailbox: Mailbox, drafts: Sequence[Draft]) -> list[str]:
        """Add messages and return their ids."""
        with self._refreshed(mailbox) as now:
            messages = [self._made(draft, now) for draft in drafts]
            self._add(mailbox, messages, now)
            return [content.id for _, content in messages]

    def adopt(self, mailbox: Mailbox, messages: Sequence[tuple[Entry, Content]]) -> None:
        """Add messages that another service delivered, with the times that they have; their numbers are new."""
        with self._refreshed(mailbox) as now:
            self._add(mailbox, [(replace(entry, number=self._next()), content) for entry, content in messages], now)

    def receive(self, mailbox: Mailbox, limit: int, timeout: int, redrive: Redrive | None = None) -> list[Delivered]:
        """Return up to `limit` visible messages and hide them for `timeout` seconds; dead letters leave the queue.

        Raises QueueGone and TooManyInFlight.
        """
        with self._refreshed(mailbox) as now:
            room = MAX_IN_FLIGHT - mailbox.index.count(MessageState.IN_FLIGHT)
            if room <= 0:
                raise TooManyInFlight
            taken, dead = _taken(mailbox.index, min(limit, room), redrive)
            received = [
                replace(
                    entry,
                    receives=entry.receives + 1,
                    first_received=entry.first_received or now,
                    last_received=now,
                    visible_at=now + timeout * 1000,
                    receipt=secrets.token_hex(8),
                )
                for entry in taken
            ]
            moves = (
                [(redrive.target, replace(entry, arrived=now, source=mailbox.arn)) for entry in dead] if redrive else []
            )
            try:
                with self.journal.transaction():
                    for entry in received:
                        self.journal.put(mailbox.key, entry)
                    contents = self.journal.contents([entry.number for entry in received])
                    self._write_moves(moves)
            except BaseException:
                _put_back(mailbox.index, [*taken, *dead], now)
                raise
            for entry in received:
                mailbox.index.replace(entry, now)
            _follow_moves(mailbox, moves, now)
            return [
                Delivered(entry, content, _handle(mailbox, entry))
                for entry, content in zip(received, contents, strict=True)
            ]

    def wait(self, mailbox: Mailbox, seconds: float) -> None:
        """Wait until something happens in a queue or a message becomes visible, for so long at most."""
        with self.lock:
            if mailbox.closed:
                return
            if (due := mailbox.index.next_change) is not None:
                # A millisecond more: the clock counts whole ones.
                seconds = min(seconds, (due - self.now + 1) / 1000)
            in_flight = mailbox.index.count(MessageState.IN_FLIGHT)
            if seconds > 0 and not (mailbox.index.count(MessageState.VISIBLE) and in_flight < MAX_IN_FLIGHT):
                mailbox.changed.wait(seconds)

    def delete(self, mailbox: Mailbox, handle: str) -> None:
        """Delete a message. One that is gone, or was received again, stays as it is. Raises UnknownReceipt."""
        with self._refreshed(mailbox):
            entry = _entry(mailbox, handle)
            if entry is None:
                return
            with self.journal.transaction():
                self.journal.delete([entry.number])
            mailbox.index.remove(entry.number)
            mailbox.changed.notify_all()

    def hide(self, mailbox: Mailbox, handle: str, timeout: int) -> None:
        """Make a message visible in `timeout` seconds from now.

        Raises UnknownReceipt, NotReceived and InvisibleTooLong. A message that is visible again stays visible.
        """
        with self._refreshed(mailbox) as now:
            entry = _entry(mailbox, handle)
            if entry is None:
                raise NotReceived
            if not mailbox.index.is_in_flight(entry.number):
                return
            if now + timeout * 1000 - entry.last_received > MAX_INVISIBLE:
                raise InvisibleTooLong
            changed = replace(entry, visible_at=now + timeout * 1000)
            with self.journal.transaction():
                self.journal.put(mailbox.key, changed)
            mailbox.index.replace(changed, now)
            mailbox.changed.notify_all()

    def purge(self, mailbox: Mailbox) -> None:
        """Delete all messages of a queue."""
        with self._refreshed(mailbox):
            self.journal.empty(mailbox.key)
            mailbox.index = MessageIndex()
            mailbox.purged_at = self._clock()

    def seconds_since_purge(self, mailbox: Mailbox) -> float:
        return self._clock() - mailbox.purged_at

    def counts(self, mailbox: Mailbox) -> dict[MessageState, int]:
        """Return the number of messages in each state."""
        with self._refreshed(mailbox):
            return {state: mailbox.index.count(state) for state in MessageState}

    def oldest_age(self, mailbox: Mailbox) -> float:
        """Return for how many seconds the oldest message has been in the queue."""
        with self._refreshed(mailbox) as now:
            oldest = mailbox.index.oldest_arrival
            return 0.0 if oldest is None else max(0, now - oldest) / 1000

    def move(
        self, source: Mailbox, limit: int, target_of: Callable[[Entry], Mailbox], record: Callable[[int], None]
    ) -> int:
        """Move up to `limit` visible messages, each as a new message, and return how many moved.

        `record` is called with that number in the same transaction. When `target_of` raises, nothing moves.
        """
        with self._refreshed(source) as now:
            taken, _ = _taken(source.index, limit, None)
            try:
                moves = [(target_of(entry), Entry(entry.number, now, now)) for entry in taken]
                with self.journal.transaction():
                    self._write_moves(moves)
                    for _, entry in moves:
                        self.journal.rename(entry.number, str(uuid.uuid4()))
                    record(len(moves))
            except BaseException:
                _put_back(source.index, taken, now)
                raise
            _follow_moves(source, moves, now)
            return len(moves)

    def keep(self) -> Rows:
        """Return everything, for `bring_back`."""
        with self.lock:
            return self.journal.rows()

    def bring_back(self, rows: Rows) -> None:
        """Replace everything. Mailboxes that were opened before must not be used any more."""
        with self.lock:
            self.journal.replace(rows)
            self._last_number = max(self._last_number, self.journal.last_number)

    @contextmanager
    def _refreshed(self, mailbox: Mailbox) -> Iterator[int]:
        """Hold the lock on a queue whose messages are as old as the clock says, and yield that time."""
        with self.lock:
            if mailbox.closed:
                raise QueueGone
            now = self.now
            if expired := mailbox.index.refresh(now, now - mailbox.retention * 1000):
                with self.journal.transaction():
                    self.journal.delete(expired)
            yield now

    def _made(self, draft: Draft, now: int) -> tuple[Entry, Content]:
        visible_at = now + draft.delay * 1000 if draft.delay else 0
        return Entry(self._next(), now, now, visible_at), Content(str(uuid.uuid4()), draft.properties, draft.body)

    def _next(self) -> int:
        self._last_number += 1
        return self._last_number

    def _add(self, mailbox: Mailbox, messages: Sequence[tuple[Entry, Content]], now: int) -> None:
        with self.journal.transaction():
            self.journal.insert(mailbox.key, messages)
        for entry, _ in messages:
            mailbox.index.add(entry, now)
        mailbox.changed.notify_all()

    def _write_moves(self, moves: Sequence[tuple[Mailbox, Entry]]) -> None:
        for target, entry in moves:
            self.journal.put(target.key, entry)


def _taken(index: MessageIndex, limit: int, redrive: Redrive | None) -> tuple[list[Entry], list[Entry]]:
    """Take out the visible messages for a consumer, and those that were received too often."""
    taken: list[Entry] = []
    dead: list[Entry] = []
    while len(taken) < limit and (entry := index.take()):
        too_often = redrive and not redrive.target.closed and entry.receives >= redrive.max_receives
        (dead if too_often else taken).append(entry)
    return taken, dead


def _put_back(index: MessageIndex, entries: Sequence[Entry], now: int) -> None:
    for entry in entries:
        index.place(entry, now)


def _follow_moves(source: Mailbox, moves: Sequence[tuple[Mailbox, Entry]], now: int) -> None:
    for target, entry in moves:
        source.index.remove(entry.number)
        target.index.add(entry, now)
        target.changed.notify_all()


def _handle(mailbox: Mailbox, entry: Entry) -> str:
    """Return the receipt handle of the last receive of a message."""
    return base64.urlsafe_b64encode(f"{entry.number} {entry.receipt} {mailbox.key}".encode()).decode()


def _entry(mailbox: Mailbox, handle: str) -> Entry | None:
    """Return the message that was received with this handle; None when it is gone, or was received again since."""
    try:
        number, receipt, key = base64.urlsafe_b64decode(handle).decode().split(" ", 2)
        entry = mailbox.index.get(int(number))
    except ValueError:
        raise UnknownReceipt from None
    if key != mailbox.key:
        raise UnknownReceipt
    return entry if entry and entry.receipt == receipt else None
