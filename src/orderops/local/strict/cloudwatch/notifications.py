"""What an alarm sends to its topics when its state changes, and the history of it."""

from __future__ import annotations

import json
import logging
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.strict.cloudwatch.history import note
from orderops.local.strict.cloudwatch.points import with_utc
from orderops.local.strict.sns import publish_to_confirmed

# SNS accepts subjects of up to 100 characters.
MAX_SUBJECT_LENGTH = 99
log = logging.getLogger(__name__)


def set_state(region: str, alarm: Any, state: str, reason: str) -> str:
    """Change an alarm's state, with its history; return the state before."""
    previous = str(alarm.state_value)
    alarm.update_state(reason, "{}", state)
    note_state(region, alarm, previous)
    return previous


def note_state(region: str, alarm: Any, previous: str) -> None:
    """Add a change of state to the history."""
    states = {"oldState": {"stateValue": previous}, "newState": {"stateValue": alarm.state_value}}
    states["newState"]["stateReason"] = alarm.state_reason
    note(_backend(region), alarm, "StateUpdate", f"Alarm updated from {previous} to {alarm.state_value}", states)


def notify(region: str, alarm: Any, previous: str) -> None:
    """Publish an alarm's new state to the topics it names for that state."""
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[alarm.state_value]
    topics = [arn for arn in actions or () if arn.split(":")[2] == "sns"] if alarm.actions_enabled else []
    for arn in topics:
        subject = f'{alarm.state_value}: "{alarm.name}" in {region}'[:MAX_SUBJECT_LENGTH]
        message = _message(region, alarm, previous)
        try:
            publish_to_confirmed(region, arn, message, subject)
        except Exception as error:
            # AWS ignores a deleted topic, too, except in the history.
            log.warning("%s: %s: %s", alarm.name, arn, error)
            note(_backend(region), alarm, "Action", f"Failed to execute action {arn}", {"actionState": "Failed"})
        else:
            data = {"actionState": "Succeeded", "notificationResource": arn, "publishedMessage": message}
            note(_backend(region), alarm, "Action", f"Successfully executed action {arn}", data)


def _message(region: str, alarm: Any, previous: str) -> str:
    return json.dumps(
        {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "AWSAccountId": DEFAULT_ACCOUNT_ID,
            "NewStateValue": alarm.state_value,
            "NewStateReason": alarm.state_reason,
            "StateChangeTime": with_utc(alarm.state_updated_timestamp).isoformat(timespec="milliseconds"),
            "Region": region,
            "AlarmArn": alarm.alarm_arn,
            "OldStateValue": previous,
            "OKActions": alarm.ok_actions,
            "AlarmActions": alarm.alarm_actions,
            "InsufficientDataActions": alarm.insufficient_data_actions,
            **({"Trigger": _trigger(alarm)} if alarm.rule is None else _composite(region, alarm)),
        }
    )


def _trigger(alarm: Any) -> dict[str, Any]:
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "Statistic": alarm.statistic or alarm.extended_statistic,
        "Dimensions": [{"name": dimension.name, "value": dimension.value} for dimension in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
    }


def _composite(region: str, alarm: Any) -> dict[str, Any]:
    """What a composite alarm says in place of its trigger: the rule, and the children that made it true."""
    known = _backend(region).alarms
    children = [known[name] for name, state in sorted((alarm.seen or {}).items()) if state == "ALARM" and name in known]
    return {
        "AlarmRule": alarm.rule,
        "TriggeringChildren": [
            {
                "Arn": child.alarm_arn,
                "State": {
                    "Value": child.state_value,
                    "Timestamp": with_utc(child.state_updated_timestamp).isoformat(timespec="milliseconds"),
                },
            }
            for child in children
        ],
    }


def _backend(region: str) -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
