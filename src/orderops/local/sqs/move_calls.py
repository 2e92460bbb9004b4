"""Calls of SQS about message move tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.local.emulator.protocol import Request
from orderops.local.sqs.errors import invalid_value, not_found
from orderops.local.sqs.index import MessageState
from orderops.local.sqs.moves import RUNNING, MoveTasks, described
from orderops.local.sqs.parameters import Parameters, number, text
from orderops.local.sqs.queues import Queues

# From StartMessageMoveTask and ListMessageMoveTasks.
MAX_RATE = 500
MAX_RESULTS = 10


class MoveCalls:
    """Starts, lists and cancels move tasks."""

    def __init__(self, queues: Queues, moves: MoveTasks) -> None:
        self._queues = queues
        self._moves = moves

    def start(self, _request: Request, parameters: Parameters) -> Mapping[str, Any]:
        source = self._queue(parameters, "SourceArn")
        arn = source.queue_arn
        if not any((queue.redrive_policy or {}).get("deadLetterTargetArn") == arn for queue in self._queues.every()):
            raise invalid_value("Source queue must be configured as a Dead Letter Queue.")
        destination = None
        if parameters.get("DestinationArn"):
            destination = self._queue(parameters, "DestinationArn").queue_arn
            if destination == arn:
                raise invalid_value("Source queue arn and destination queue arn cannot be the same.")
        rate = number(parameters, "MaxNumberOfMessagesPerSecond", 1, MAX_RATE, 0) or None
        mailbox = self._queues.mailbox(source)
        with self._queues.store.lock:
            if any(task.status == RUNNING for task in self._moves.of(arn)):
                raise invalid_value(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a "
                    "given time."
                )
            to_move = self._queues.store.counts(mailbox)[MessageState.VISIBLE]
            return {"TaskHandle": self._moves.start(arn, destination, rate, to_move).handle}

    def list(self, _request: Request, parameters: Parameters) -> Mapping[str, Any]:
        source = self._queue(parameters, "SourceArn")
        limit = number(parameters, "MaxResults", 1, MAX_RESULTS, 1)
        return {"Results": [described(task) for task in self._moves.of(source.queue_arn)[:limit]]}

    def cancel(self, _request: Request, parameters: Parameters) -> Mapping[str, Any]:
        task = self._moves.get(text(parameters, "TaskHandle"))
        # "A message movement can be cancelled only when the current status is RUNNING."
        if task is None or task.status != RUNNING:
            raise not_found("Task does not exist.")
        self._moves.cancel(task)
        return {"ApproximateNumberOfMessagesMoved": task.moved}

    def _queue(self, parameters: Parameters, name: str) -> Any:
        arn = text(parameters, name)
        if len(arn.split(":")) != 6:
            raise invalid_value(
                f"You must use this format to specify the {name}: "
                "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
            )
        queue = self._queues.by_arn(arn)
        if queue is None or queue.fifo_queue:
            raise not_found(f"The resource that you specified for the {name} parameter doesn't exist.")
        return queue
