"""Starts of scheduled tasks that failed: the queue in which EventBridge Scheduler says so."""

from __future__ import annotations

from datetime import timedelta

from orderops.config.environment import Environment
from orderops.resources.sqs_queue import SqsQueue

KEPT = timedelta(days=4)
"""How long a failed start is told: over a long weekend, and not for ever once schedules start again."""


def dead_letter_of(environment: Environment) -> SqsQueue:
    """The queue of the starts that failed, of all schedules of an environment."""
    # Queues of services end in -queue and -dlq, so no service has one of this name.
    return SqsQueue(f"{environment.prefix}-failed-schedules", retention=int(KEPT.total_seconds()))
