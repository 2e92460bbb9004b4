"""Composite alarms: what AWS refuses of them, their states, and actions that another alarm suppresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import Request
from orderops.local.strict.cloudwatch.history import note
from orderops.local.strict.cloudwatch.notifications import notify, set_state
from orderops.local.strict.cloudwatch.points import with_utc
from orderops.local.strict.cloudwatch.queries import refused
from orderops.local.strict.cloudwatch.rules import name_in, parsed

PERIODS = ("ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
STATE_KEYS = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history")


@dataclass(frozen=True)
class HeldActions:
    """Actions that a suppressor holds back: by what, until when, and the state before."""

    by: str
    previous: str
    until: datetime | None = None


def put_composite_alarm(backend: Any, request: Request) -> None:
    """PutCompositeAlarm, which moto lacks. An existing alarm keeps its state and tags, and is evaluated again."""
    given, name = request.json, request.json["AlarmName"]
    rule = parsed(given["AlarmRule"])
    suppressor = name_in(given.get("ActionsSuppressor", ""))
    if unknown := {*rule.children, *([suppressor] if suppressor else [])} - backend.alarms.keys():
        raise refused(f"Could not save the composite alarm as alarms {sorted(unknown)} in the alarm rule do not exist")
    if bool(suppressor) != all(key in given for key in PERIODS) or (
        not suppressor and any(k in given for k in PERIODS)
    ):
        raise refused(f"{' and '.join(PERIODS)} are required if, and only if, ActionsSuppressor is specified")
    previous = backend.alarms.get(name)
    if previous is not None and previous.rule is None:
        raise refused(f"An alarm named {name} already exists and is not a composite alarm")
    alarm = backend.put_metric_alarm(
        name=name,
        namespace=None,
        metric_name=None,
        comparison_operator=None,
        evaluation_periods=None,
        period=None,
        threshold=None,
        statistic=None,
        description=given.get("AlarmDescription"),
        dimensions=[],
        alarm_actions=given.get("AlarmActions", []),
        ok_actions=given.get("OKActions", []),
        insufficient_data_actions=given.get("InsufficientDataActions", []),
        actions_enabled=given.get("ActionsEnabled", True),
        rule=given["AlarmRule"],
        tags=given.get("Tags") if previous is None else None,
    )
    alarm.suppressor = given.get("ActionsSuppressor")
    alarm.wait, alarm.extension = (given.get(key) for key in PERIODS)
    alarm.held = getattr(previous, "held", None)
    alarm.seen = None
    alarm.state_value = "INSUFFICIENT_DATA"
    for key in STATE_KEYS if previous is not None else ():
        setattr(alarm, key, getattr(previous, key))
    note(backend, alarm, "ConfigurationUpdate", f'Alarm "{name}" {"updated" if previous else "created"}')


def check_deletion(backend: Any, request: Request) -> None:
    """Refuse to delete two composite alarms at once, and an alarm on which another one depends."""
    names = set(request.json.get("AlarmNames", ()))
    composites = _composites(backend)
    if len(names & composites.keys()) > 1:
        raise refused("You can delete only one composite alarm in one operation")
    for name in sorted(names):
        users = [user for user, alarm in composites.items() if name in _named(alarm) and user not in names]
        if users and name in backend.alarms:
            raise refused(f"Cannot delete {name} as there are composite alarm(s) depending on it: {sorted(users)}")


def evaluate_composites(region: str) -> None:
    """Set each composite alarm to what its rule says, once a child has changed; let held actions go or end."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    for alarm in _children_first(_composites(backend)):
        rule = parsed(alarm.rule)
        states = {name: backend.alarms[name].state_value for name in rule.children if name in backend.alarms}
        if alarm.seen == states:
            # One that SetAlarmState changed stays so until a child changes.
            _settle(region, backend, alarm)
            continue
        alarm.seen = states
        state = "ALARM" if rule.holds(states) else "OK"
        if state != alarm.state_value:
            raised = sorted(name for name, child in states.items() if child == "ALARM")
            reason = f"arn children in ALARM: {raised}" if raised else "the alarm rule is not true"
            act(region, alarm, set_state(region, alarm, state, reason))
        _settle(region, backend, alarm)


def act(region: str, alarm: Any, previous: str) -> None:
    """Carry out the actions of a new state of a composite alarm, or hold them back."""
    suppressor = _suppressor(get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region], alarm)
    held, alarm.held = alarm.held, None
    if suppressor is None:
        notify(region, alarm, previous)
    elif suppressor.state_value == "ALARM":
        alarm.held = HeldActions("Alarm", previous)
    elif alarm.state_value == "ALARM":
        alarm.held = HeldActions("WaitPeriod", previous, datetime.now(UTC) + timedelta(seconds=alarm.wait))
    elif held is None:
        notify(region, alarm, previous)


def _settle(region: str, backend: Any, alarm: Any) -> None:
    held, suppressor = alarm.held, _suppressor(backend, alarm)
    if held is None:
        return
    if suppressor is not None and suppressor.state_value == "ALARM":
        alarm.held = HeldActions("Alarm", held.previous)
    elif alarm.state_value != "ALARM":
        alarm.held = None
    elif suppressor is not None and held.by == "Alarm":
        until = datetime.now(UTC) + timedelta(seconds=alarm.extension)
        alarm.held = HeldActions("ExtensionPeriod", held.previous, until)
    elif held.until is None or datetime.now(UTC) >= held.until:
        alarm.held = None
        notify(region, alarm, held.previous)


def described(alarm: Any) -> dict[str, Any]:
    """A composite alarm as DescribeAlarms returns it."""
    held = alarm.held and {
        "ActionsSuppressedBy": alarm.held.by,
        "ActionsSuppressedReason": f"Actions suppressed by {alarm.held.by}",
    }
    found = {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.alarm_arn,
        "AlarmDescription": alarm.description,
        "AlarmRule": alarm.rule,
        "AlarmConfigurationUpdatedTimestamp": with_utc(alarm.configuration_updated_timestamp).timestamp(),
        "ActionsEnabled": alarm.actions_enabled,
        "AlarmActions": alarm.alarm_actions,
        "OKActions": alarm.ok_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "StateValue": alarm.state_value,
        "StateReason": alarm.state_reason,
        "StateUpdatedTimestamp": with_utc(alarm.state_updated_timestamp).timestamp(),
        "ActionsSuppressor": alarm.suppressor,
        "ActionsSuppressorWaitPeriod": alarm.wait,
        "ActionsSuppressorExtensionPeriod": alarm.extension,
        **(held or {}),
    }
    return {key: value for key, value in found.items() if value is not None}


def _composites(backend: Any) -> dict[str, Any]:
    return {name: alarm for name, alarm in backend.alarms.items() if alarm.rule is not None}


def _named(alarm: Any) -> set[str]:
    return {*parsed(alarm.rule).children, name_in(alarm.suppressor or "")}


def _suppressor(backend: Any, alarm: Any) -> Any:
    return backend.alarms.get(name_in(alarm.suppressor)) if alarm.suppressor else None


def _children_first(composites: Mapping[str, Any]) -> Iterator[Any]:
    """Each alarm after those that it names; none of a cycle, whose evaluation CloudWatch stops."""
    waiting = dict(composites)
    while ready := [name for name, alarm in waiting.items() if not _named(alarm) & (waiting.keys() - {name})]:
        yield from (waiting.pop(name) for name in ready)
