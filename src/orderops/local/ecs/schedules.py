"""EventBridge Scheduler: starts the tasks of schedules when they are due, in the time of this machine.

A schedule is due when it is made and every interval after that. What is due while the environment is stopped is
missed, as with AWS's own retries off. Only `rate(…)` is known here, and only tasks are started.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.backends import get_backend

from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.launch import definition, trusts, unusable_role
from orderops.local.ecs.records import EcsTask, Json

RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
PRINCIPAL = "scheduler.amazonaws.com"
# How ECS shows who has started such a task.
STARTED_BY = "scheduler.amazonaws.com"
log = logging.getLogger(__name__)


class Schedules:
    """The schedules of the account. Call only while holding the emulator's lock."""

    def __init__(self, tasks: Fleet, clock: Callable[[], float] = time.time) -> None:
        self._tasks = tasks
        self._clock = clock
        self._last = clock()

    def tick(self) -> bool:
        """Start what has become due since the last call, and return whether anything was."""
        since, self._last = self._last, self._clock()
        started = False
        for region, schedule in list(_enabled()):
            if is_due(schedule.schedule_expression, schedule.creation_date, since, self._last):
                started = True
                # One schedule that cannot be carried out must not keep back the others.
                try:
                    self._start(region, schedule)
                except Exception as error:
                    log.warning("the schedule %s started nothing: %s", schedule.name, error)
        return started

    def _start(self, region: str, schedule: Any) -> None:
        target: Json = schedule.target
        parameters: Json = target["EcsParameters"]
        task_definition = definition(parameters["TaskDefinitionArn"], region)
        if not trusts(target["RoleArn"], PRINCIPAL):
            raise PermissionError(f"it cannot assume {target['RoleArn']}")
        if role := unusable_role(task_definition):
            raise PermissionError(f"ECS cannot assume {role}")
        for _ in range(parameters.get("TaskCount") or 1):
            self._tasks.add(
                EcsTask(
                    region=region,
                    cluster=target["Arn"].rpartition("/")[2],
                    definition=task_definition.arn,
                    group=parameters.get("Group") or f"family:{task_definition.family}",
                    started_by=STARTED_BY,
                    launch_type=parameters.get("LaunchType") or "FARGATE",
                    overrides=json.loads(target.get("Input") or "{}"),
                )
            )


def _enabled() -> Iterator[tuple[str, Any]]:
    for _, region, backend in get_backend("scheduler").iter_backends():
        for group in backend.schedule_groups.values():
            for schedule in group.schedules.values():
                if schedule.state == "ENABLED" and "EcsParameters" in schedule.target:
                    yield region, schedule


def is_due(expression: str, made: float, since: float, now: float) -> bool:
    """Whether a schedule that was made at this time has one of its times after `since` and not after `now`."""
    rate = RATE.fullmatch(expression)
    if rate is None or now < made:
        return False
    # Its times are numbered from 0, the one at which it was made.
    interval = int(rate[1]) * SECONDS[rate[2]]
    return (now - made) // interval > (since - made) // interval
