"""Message move tasks: dead letters return to where they came from, or go to another queue, at a given rate.

From StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask in the SQS API reference.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orderops.local.sqs.index import Entry
from orderops.local.sqs.store import Mailbox, MessageStore, QueueGone

# Messages moved while the store is locked.
CHUNK = 100
# Seconds between two looks at a task that waits for its rate.
PAUSE = 0.05
PAUSE_AFTER_ERROR = 5.0
RUNNING, COMPLETED, CANCELLED, FAILED = "RUNNING", "COMPLETED", "CANCELLED", "FAILED"
log = logging.getLogger(__name__)

Mailboxes = Mapping[str, Mailbox]
"""All queues by ARN."""


@dataclass
class MoveTask:
    """Move of all visible messages of a dead-letter queue."""

    handle: str
    source: str
    destination: str | None
    rate: int | None
    """Messages a second; None for as fast as possible."""

    started: int
    """Milliseconds since 1970."""

    to_move: int
    moved: int = 0
    status: str = RUNNING
    reason: str = ""


class MoveFailed(Exception):
    """The task ends with this reason."""


class MoveTasks:
    """All move tasks, and a thread for each that runs."""

    def __init__(self, store: MessageStore, mailboxes: Callable[[], Mailboxes]) -> None:
        self._store = store
        self._mailboxes = mailboxes
        self._tasks: dict[str, MoveTask] = {}
        self._stopping = threading.Event()

    def resume(self) -> None:
        """Read the tasks of the journal, and continue those that ran."""
        for document in self._store.journal.moves():
            task = MoveTask(**json.loads(document))
            self._tasks[task.handle] = task
            if task.status == RUNNING:
                self._run_in_background(task)

    def start(self, source: str, destination: str | None, rate: int | None, to_move: int) -> MoveTask:
        """Start a task. Its source has none that runs."""
        task = MoveTask(str(uuid.uuid4()), source, destination, rate, self._store.now, to_move)
        with self._store.lock:
            with self._store.journal.transaction():
                self._keep(task)
            self._tasks[task.handle] = task
        self._run_in_background(task)
        return task

    def get(self, handle: str) -> MoveTask | None:
        return self._tasks.get(handle)

    def of(self, source: str) -> list[MoveTask]:
        """Return the tasks of a dead-letter queue, the latest first."""
        with self._store.lock:
            return [task for task in reversed(self._tasks.values()) if task.source == source]

    def cancel(self, task: MoveTask) -> None:
        """End a task; what it has moved stays where it is."""
        with self._store.lock:
            if task.status == RUNNING:
                self._end(task, CANCELLED)

    def step(self, task: MoveTask) -> bool:
        """Move what the rate allows, a chunk at most, and tell whether the task still runs."""
        # Before the lock: opening a queue takes the emulator's, which comes first.
        mailboxes = self._mailboxes()
        with self._store.lock:
            if task.status != RUNNING:
                return False
            try:
                self._move(task, mailboxes)
            except MoveFailed as error:
                self._end(task, FAILED, str(error))
            except QueueGone:
                self._end(task, FAILED, "AWS.SimpleQueueService.NonExistentQueue")
            return task.status == RUNNING

    def stop(self) -> None:
        """End the threads; tasks that run continue with the next `resume`."""
        self._stopping.set()

    def _move(self, task: MoveTask, mailboxes: Mailboxes) -> None:
        source = _open(mailboxes, task.source)
        allowed = CHUNK
        if task.rate:
            # The first message goes at once.
            allowed = min(CHUNK, 1 + (self._store.now - task.started) * task.rate // 1000 - task.moved)
        if allowed <= 0:
            return
        moved = task.moved

        def target_of(entry: Entry) -> Mailbox:
            if not (arn := task.destination or entry.source):
                raise MoveFailed("CouldNotDetermineMessageSource")
            return _open(mailboxes, arn)

        def record(count: int) -> None:
            task.moved = moved + count
            self._keep(task)

        try:
            if self._store.move(source, allowed, target_of, record) == 0:
                self._end(task, COMPLETED)
        except BaseException:
            task.moved = moved
            raise

    def _end(self, task: MoveTask, status: str, reason: str = "") -> None:
        task.status, task.reason = status, reason
        with self._store.journal.transaction():
            self._keep(task)

    def _keep(self, task: MoveTask) -> None:
        self._store.journal.keep_move(task.handle, json.dumps(asdict(task)))

    def _run_in_background(self, task: MoveTask) -> None:
        threading.Thread(target=self._run, args=(task,), name="message move task", daemon=True).start()

    def _run(self, task: MoveTask) -> None:
        while not self._stopping.is_set():
            try:
                if not self.step(task):
                    return
                # Between two chunks, other calls get the lock.
                pause = PAUSE if task.rate else 0.001
            except Exception:
                # A full disk, for example.
                log.exception("message move task of %s", task.source)
                pause = PAUSE_AFTER_ERROR
            self._stopping.wait(pause)


def _open(mailboxes: Mailboxes, arn: str) -> Mailbox:
    mailbox = mailboxes.get(arn)
    if mailbox is None or mailbox.closed:
        raise QueueGone
    return mailbox


def described(task: MoveTask) -> dict[str, Any]:
    """Return a task as ListMessageMoveTasks shows it."""
    optional = {
        "TaskHandle": task.handle if task.status == RUNNING else None,
        "DestinationArn": task.destination,
        "MaxNumberOfMessagesPerSecond": task.rate,
        "FailureReason": task.reason or None,
    }
    return {
        "Status": task.status,
        "SourceArn": task.source,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started,
        **{name: value for name, value in optional.items() if value is not None},
    }
