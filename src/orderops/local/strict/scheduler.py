"""EventBridge Scheduler: expressions, zones, windows, roles and groups are checked, and an update replaces.

A group that is being deleted is kept in moto's backend, with the time until then as `going_until`.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from zoneinfo import available_timezones

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import not_yet_known, role_by_arn

SERVICE = "scheduler"
PRINCIPAL = "scheduler.amazonaws.com"
NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")
RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
CRON = re.compile(r"cron\(\S+( \S+){5}\)")
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
STANDARD_QUEUE = re.compile(r"arn:aws(-[a-z]+)?:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+")
LONGEST_WINDOW = 1440  # minutes
MOST_RETRIES = 185
OLDEST = 86_400  # seconds
GROUP_ACTIONS = (
    "CreateSchedule",
    "CreateScheduleGroup",
    "DeleteScheduleGroup",
    "GetScheduleGroup",
    "ListScheduleGroups",
    "ListTagsForResource",
)
GOING = "going_until"


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects; moto accepts any text."""
    for action in GROUP_ACTIONS:
        emulator.on_before(SERVICE, action, _forget_gone)
    emulator.on_before(SERVICE, "CreateSchedule", _check_new)
    emulator.on_before(SERVICE, "UpdateSchedule", _check_existing)
    for action in ("CreateSchedule", "UpdateSchedule"):
        emulator.on_before(SERVICE, action, _check_when)
        emulator.on_before(SERVICE, action, _check_target)
    emulator.on_after(SERVICE, "UpdateSchedule", _replace)
    emulator.on_before(SERVICE, "CreateScheduleGroup", _check_new_group)
    emulator.on_before(SERVICE, "DeleteScheduleGroup", _empty_group(delays))
    emulator.on_after(SERVICE, "DeleteScheduleGroup", _keep_going)
    emulator.on_after(SERVICE, "GetScheduleGroup", _show_going)
    for action in ("TagResource", "UntagResource", "ListTagsForResource"):
        emulator.on_before(SERVICE, action, _check_tagged)


def _check_new(request: Request) -> None:
    name = _name(request)
    _check_name(name)
    _check_stays(_group(request))
    if name in _group(request).schedules:
        raise ApiError("ConflictException", f"Schedule {name} already exists.", 409)


def _check_existing(request: Request) -> None:
    if _name(request) not in _group(request).schedules:
        raise ApiError("ResourceNotFoundException", f"Schedule {_name(request)} does not exist.", 404)


def _check_when(request: Request) -> None:
    parameters = request.json
    expression = parameters["ScheduleExpression"]
    if not _is_expression(expression):
        raise _invalid(f"Invalid Schedule Expression {expression}.")
    if parameters.get("ScheduleExpressionTimezone", "UTC") not in available_timezones():
        raise _invalid(f"The timezone {parameters['ScheduleExpressionTimezone']} is not valid.")
    window = parameters["FlexibleTimeWindow"]
    minutes = window.get("MaximumWindowInMinutes")
    if window["Mode"] == "FLEXIBLE" and not (minutes and minutes <= LONGEST_WINDOW):
        raise _invalid("A flexible time window needs MaximumWindowInMinutes from 1 to 1440.")
    if window["Mode"] == "OFF" and minutes is not None:
        raise _invalid("MaximumWindowInMinutes must not be set when the mode is OFF.")


def _is_expression(text: str) -> bool:
    if at := AT.fullmatch(text):
        try:
            return bool(datetime.fromisoformat(at[1]))
        except ValueError:
            return False
    return bool(RATE.fullmatch(text) or CRON.fullmatch(text))


def _check_target(request: Request) -> None:
    target = request.json["Target"]
    retries = target.get("RetryPolicy", {})
    # boto3 checks the lower limits by itself and sends nothing.
    if retries.get("MaximumRetryAttempts", 0) > MOST_RETRIES:
        raise _invalid("MaximumRetryAttempts must be at most 185.")
    if retries.get("MaximumEventAgeInSeconds", 0) > OLDEST:
        raise _invalid("MaximumEventAgeInSeconds must be at most 86400.")
    if (":cluster/" in target["Arn"]) != ("EcsParameters" in target):
        raise _invalid("EcsParameters and the ARN of a cluster need each other.")
    if (dead := target.get("DeadLetterConfig", {}).get("Arn")) and not STANDARD_QUEUE.fullmatch(dead):
        raise _invalid(f"{dead} is not the ARN of a standard queue of SQS.")
    role = role_by_arn(target["RoleArn"])
    if role is None or not_yet_known(role) or PRINCIPAL not in _principals(role):
        raise _invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")


def _principals(role: Any) -> list[str]:
    document = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    found: list[str] = []
    for statement in policy["Statement"]:
        service = statement.get("Principal", {}).get("Service", [])
        found += [service] if isinstance(service, str) else service
    return found


def _replace(request: Request, _answer: Response) -> None:
    """Set what the request leaves out to the defaults of AWS; moto forgets the state and keeps the rest."""
    schedule = _group(request).schedules[_name(request)]
    schedule.state = request.json.get("State", "ENABLED")
    schedule.action_after_completion = request.json.get("ActionAfterCompletion", "NONE")


def _check_new_group(request: Request) -> None:
    name = _name(request)
    _check_name(name)
    if name in _backend(request).schedule_groups:
        raise ApiError("ConflictException", f"Schedule group {name} already exists.", 409)


def _empty_group(delays: Delays) -> Callable[[Request], None]:
    """AWS deletes the schedules of a group first, and the group after a while."""

    def empty(request: Request) -> None:
        name = _name(request)
        if name == "default":
            raise _invalid("The default schedule group cannot be deleted.")
        group = _backend(request).schedule_groups.get(name)
        if group is None:
            raise _no_group(name)
        _check_stays(group)
        group.schedules.clear()
        setattr(group, GOING, time.time() + delays.schedule_group)
        _backend(request).__dict__.setdefault(GOING, {})[name] = group

    return empty


def _keep_going(request: Request, _answer: Response) -> None:
    """Bring back the group that moto has deleted within the request."""
    name = _name(request)
    _backend(request).schedule_groups[name] = _backend(request).__dict__[GOING].pop(name)


def _show_going(request: Request, answer: Response) -> Response:
    group = _backend(request).schedule_groups[_name(request)]
    state = "DELETING" if hasattr(group, GOING) else "ACTIVE"
    return replace(answer, body=json.dumps({**json.loads(answer.body), "State": state}).encode())


def _forget_gone(request: Request) -> None:
    groups = _backend(request).schedule_groups
    for name in [name for name, group in groups.items() if getattr(group, GOING, math.inf) < time.time()]:
        del groups[name]


def _check_stays(group: Any) -> None:
    if hasattr(group, GOING):
        raise ApiError("ConflictException", f"Schedule group {group.name} is being deleted.", 409)


def _check_tagged(request: Request) -> None:
    """Only groups have tags."""
    arn = unquote(request.path.partition("/tags/")[2])
    if ":schedule-group/" not in arn:
        raise _invalid(f"{arn} is not the ARN of a schedule group.")
    name = arn.rpartition("/")[2]
    if name not in _backend(request).schedule_groups:
        raise _no_group(name)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise _invalid(f"The name {name} must have 1 to 64 letters, digits, hyphens, underscores or dots.")


def _group(request: Request) -> Any:
    name = request.json.get("GroupName", "default")
    group = _backend(request).schedule_groups.get(name)
    if group is None:
        raise _no_group(name)
    return group


def _no_group(name: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def _name(request: Request) -> str:
    return unquote(request.path.rpartition("/")[2])


def _backend(request: Request) -> Any:
    return get_backend("scheduler")[DEFAULT_ACCOUNT_ID][request.region]
