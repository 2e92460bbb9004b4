"""Alarms follow their data: M of the last N periods beyond the threshold, counted back from the look."""

from __future__ import annotations

import json
import logging
import operator
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import MetricAggregatedDatum, are_dimensions_same
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.strict.sns import only_confirmed

BEYOND = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
TREATED = {"breaching": True, "notBreaching": False}
LONGEST_SUBJECT = 99
log = logging.getLogger(__name__)


def evaluate(region: str, pace: float) -> None:
    """Bring each alarm into the state that its data say; none so soon after it was set or put."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    for alarm in list(backend.alarms.values()):
        touched = max(_aware(alarm.configuration_updated_timestamp), _aware(alarm.state_updated_timestamp))
        if datetime.now(UTC) - touched < timedelta(seconds=pace):
            continue
        state, reason = _metric(backend, alarm)
        if state and state != alarm.state_value:
            before = alarm.state_value
            alarm.update_state(reason, "{}", state)
            act(region, alarm, before)


def act(region: str, alarm: Any, before: str) -> None:
    """Tell the topics that an alarm names for the state it has come to."""
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[alarm.state_value]
    topics = [arn for arn in actions or () if arn.split(":")[2] == "sns"] if alarm.actions_enabled else []
    for arn in topics:
        subject = f'{alarm.state_value}: "{alarm.name}" in {region}'[:LONGEST_SUBJECT]
        try:
            with only_confirmed(region):
                get_backend("sns")[DEFAULT_ACCOUNT_ID][region].publish(
                    _message(region, alarm, before), arn, None, subject
                )
        except Exception as error:  # the topic may be gone: AWS says nothing either
            log.warning("%s: %s: %s", alarm.name, arn, error)


def _metric(backend: Any, alarm: Any) -> tuple[str, str]:
    if alarm.metric_data_queries or alarm.comparison_operator not in BEYOND:
        return "", ""  # metric math and bands are beyond us
    points = _points(backend, alarm)
    known = [point for point in points if point is not None]
    if not known and alarm.treat_missing_data == "ignore":
        return "", ""
    beyond = BEYOND[alarm.comparison_operator]
    if known or alarm.treat_missing_data in TREATED:
        missing = TREATED.get(alarm.treat_missing_data or "")
        breaching = sum(bool(missing) if point is None else beyond(point, alarm.threshold) for point in points)
        needed = alarm.datapoints_to_alarm or len(points)
        if missing is None:  # with "missing" and "ignore", what there is decides
            needed = min(needed, len(known))
        state = "ALARM" if breaching >= needed else "OK"
        return state, f"Threshold Crossed: {breaching} of {len(points)} datapoints {known} {_than(alarm)}."
    return "INSUFFICIENT_DATA", f"Insufficient Data: {len(points)} datapoints were unknown."


def _points(backend: Any, alarm: Any) -> list[float | None]:
    """The statistic of each of the last periods, newest first."""
    period, now = timedelta(seconds=int(alarm.period)), datetime.now(UTC)
    windows: list[list[Any]] = [[] for _ in range(int(alarm.evaluation_periods))]
    for datum in backend.metric_data:
        if (datum.namespace, datum.name) != (alarm.namespace, alarm.metric_name):
            continue
        if (alarm.unit and datum.unit != alarm.unit) or not are_dimensions_same(datum.dimensions, alarm.dimensions):
            continue
        index = (now - _aware(datum.timestamp)) // period
        if 0 <= index < len(windows):
            windows[index].append(datum)
    return [_statistic(data, alarm.statistic or alarm.extended_statistic) if data else None for data in windows]


def _statistic(data: list[Any], name: str) -> float:
    groups = [one for one in data if isinstance(one, MetricAggregatedDatum)]
    values = sorted(one.value for one in data if not isinstance(one, MetricAggregatedDatum))
    count = len(values) + sum(one.sample_count for one in groups)
    total = sum(values) + sum(one.sum for one in groups)
    match name:
        case "Sum":
            return float(total)
        case "SampleCount":
            return float(count)
        case "Average":
            return float(total / count)
        case "Minimum":
            return float(min([*values, *(one.min for one in groups)]))
        case "Maximum":
            return float(max([*values, *(one.max for one in groups)]))
    spread = sorted([*values, *(one.max for one in groups)])  # p99 and its like
    return float(spread[min(len(spread) - 1, int(len(spread) * float(name[1:]) / 100))])


def _message(region: str, alarm: Any, before: str) -> str:
    return json.dumps(
        {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "AWSAccountId": DEFAULT_ACCOUNT_ID,
            "NewStateValue": alarm.state_value,
            "NewStateReason": alarm.state_reason,
            "StateChangeTime": _aware(alarm.state_updated_timestamp).isoformat(timespec="milliseconds"),
            "Region": region,
            "AlarmArn": alarm.alarm_arn,
            "OldStateValue": before,
            "OKActions": alarm.ok_actions,
            "AlarmActions": alarm.alarm_actions,
            "InsufficientDataActions": alarm.insufficient_data_actions,
            "Trigger": {
                "MetricName": alarm.metric_name,
                "Namespace": alarm.namespace,
                "Statistic": alarm.statistic or alarm.extended_statistic,
                "Dimensions": [{"name": one.name, "value": one.value} for one in alarm.dimensions],
                "Period": alarm.period,
                "EvaluationPeriods": alarm.evaluation_periods,
                "ComparisonOperator": alarm.comparison_operator,
                "Threshold": alarm.threshold,
                "TreatMissingData": alarm.treat_missing_data or "missing",
            },
        }
    )


def _than(alarm: Any) -> str:
    return f"count against the threshold ({alarm.threshold}) with {alarm.comparison_operator}"


def _aware(when: datetime) -> datetime:
    """moto tells times of UTC without a zone."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)
