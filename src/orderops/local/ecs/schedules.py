"""EventBridge Scheduler: starts the tasks of schedules when they are due, in the time of this machine.

A schedule is due when it is made and every interval after that. What is due while the environment is stopped is
missed. Only `rate(…)` is known here, and only tasks are started. A start that fails is tried again as the retry policy
says, and then written into the dead-letter queue with the permissions of the schedule's role.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.launch import definition, trusts, unusable_role
from orderops.local.ecs.records import EcsTask, Json
from orderops.local.emulator.permissions import allows, role

RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
PRINCIPAL = "scheduler.amazonaws.com"
# How ECS shows who has started such a task.
STARTED_BY = "scheduler.amazonaws.com"
# Scheduler's API reference, RetryPolicy: what a schedule has that says nothing.
DEFAULT_ATTEMPTS, DEFAULT_AGE = 185, 86_400
# Seconds; AWS says only that its pauses grow.
FIRST_PAUSE = 10.0
log = logging.getLogger(__name__)


class FailureSink(Protocol):
    """Where starts that failed are written."""

    def send(self, arn: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send a message to a queue. Raises an error if there is none."""

    def lost(self, region: str, group: str) -> None:
        """Count a start that could not even be written there."""


class StartError(Exception):
    """Why a start failed: a code of AWS, and its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass
class Start:
    """A start of a schedule, until it succeeds or is given up."""

    region: str
    schedule: Any
    due: float
    attempt_at: float
    failures: int = 0


class Schedules:
    """The schedules of the account. Call only while holding the emulator's lock."""

    def __init__(self, tasks: Fleet, failures: FailureSink, clock: Callable[[], float] = time.time) -> None:
        self._tasks = tasks
        self._failures = failures
        self._clock = clock
        self._last = clock()
        self._starts: list[Start] = []

    def tick(self) -> bool:
        """Start what has become due since the last call, or is tried again, and return whether anything was."""
        since, self._last = self._last, self._clock()
        for region, schedule in list(_enabled()):
            if is_due(schedule.schedule_expression, schedule.creation_date, since, self._last):
                self._starts.append(Start(region, schedule, self._last, self._last))
        now = [start for start in self._starts if start.attempt_at <= self._last]
        self._starts = [start for start in self._starts if start.attempt_at > self._last]
        for start in now:
            # One schedule that cannot be carried out must not keep back the others.
            try:
                self._start(start.region, start.schedule)
            except StartError as error:
                self._failed(start, error)
            except Exception as error:
                self._failed(start, StartError("InternalServerError", str(error)))
        return bool(now)

    def _start(self, region: str, schedule: Any) -> None:
        target: Json = schedule.target
        parameters: Json = target["EcsParameters"]
        if not trusts(target["RoleArn"], PRINCIPAL):
            raise StartError("AccessDenied", f"Scheduler cannot assume {target['RoleArn']}")
        cluster = target["Arn"].rpartition("/")[2]
        record = get_backend("ecs")[DEFAULT_ACCOUNT_ID][region].clusters.get(cluster)
        if record is None or record.status != "ACTIVE":
            raise StartError("ClusterNotFoundException", "Cluster not found.")
        task_definition = _active(parameters["TaskDefinitionArn"], region)
        if unusable := unusable_role(task_definition):
            raise StartError("ClientException", f"ECS was unable to assume the role '{unusable}'")
        for _ in range(parameters.get("TaskCount") or 1):
            self._tasks.add(
                EcsTask(
                    region=region,
                    cluster=cluster,
                    definition=task_definition.arn,
                    group=parameters.get("Group") or f"family:{task_definition.family}",
                    started_by=STARTED_BY,
                    launch_type=parameters.get("LaunchType") or "FARGATE",
                    overrides=json.loads(target.get("Input") or "{}"),
                )
            )

    def _failed(self, start: Start, error: StartError) -> None:
        """Try a start again later, or give it up."""
        log.warning("the schedule %s started nothing: %s", start.schedule.name, error)
        policy: Json = start.schedule.target.get("RetryPolicy") or {}
        start.attempt_at = self._last + FIRST_PAUSE * 2**start.failures
        start.failures += 1
        if start.failures > policy.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS):
            self._give_up(start, error, "MaximumRetryAttempts")
        elif start.attempt_at - start.due > policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE):
            self._give_up(start, error, "MaximumEventAgeInSeconds")
        else:
            self._starts.append(start)

    def _give_up(self, start: Start, error: StartError, condition: str) -> None:
        schedule, target = start.schedule, start.schedule.target
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        attributes = {
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message,
            "EXECUTION_ID": str(uuid.uuid4()),
            "EXHAUSTED_RETRY_CONDITION": condition,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(start.failures - 1),
            "SCHEDULED_TIME": f"{datetime.fromtimestamp(start.due, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "SCHEDULE_ARN": schedule.arn,
            "TARGET_ARN": target["Arn"],
        }
        starter = role(target["RoleArn"])
        try:
            # The role that starts the task is the one that writes into the queue.
            if not trusts(target["RoleArn"], PRINCIPAL) or not allows(starter, "sqs:SendMessage", queue):
                raise PermissionError(f"{target['RoleArn']} may not send to {queue}")
            self._failures.send(queue, target.get("Input") or "{}", attributes)
        except Exception as lost:
            log.warning("the failed start of %s is lost: %s", schedule.name, lost)
            self._failures.lost(start.region, schedule.group_name)


def _active(arn: str, region: str) -> Any:
    try:
        found = definition(arn, region)
    except Exception:
        raise StartError("ClientException", "TaskDefinition not found.") from None
    if found.status != "ACTIVE":
        raise StartError("ClientException", "TaskDefinition is inactive")
    return found


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
