"""Starts of scheduled tasks that failed: the queue in which EventBridge Scheduler says so."""

from __future__ import annotations

from datetime import timedelta

from orderops.config.environment import Environment
from orderops.resources.sqs_queue import SqsQueue

KEPT = timedelta(days=4)
"""How long a failed start is told: over a long weekend, and not for ever once schedules start again."""


def schedules_of(environment: Environment) -> tuple[str, ...]:
    """The names of the schedules by which AWS runs commands of orderops, as the file declares them."""
    board, database = environment.board, environment.database
    declared = {
        "board": board.interval is not None and board.bucket is not None,
        "rotation": database.rotate_days is not None,
    }
    return tuple(name for name, there in declared.items() if there)


def dead_letter_of(environment: Environment) -> SqsQueue:
    """The queue of the starts that failed, of all schedules of an environment."""
    # Queues of services end in -queue and -dlq, so no service has one of this name.
    return SqsQueue(f"{environment.prefix}-failed-schedules", retention=int(KEPT.total_seconds()))
