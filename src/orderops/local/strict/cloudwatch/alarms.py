"""Evaluate metric alarms: M of the last N periods beyond the threshold."""

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

# The comparison operators of metric alarms; those for anomaly bands are missing.
COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# TreatMissingData: how a missing data point counts. "missing" and "ignore" are handled separately.
MISSING_DATA_BREACHES = {"breaching": True, "notBreaching": False}
# SNS accepts subjects of up to 100 characters.
MAX_SUBJECT_LENGTH = 99
log = logging.getLogger(__name__)


def evaluate(region: str, min_age: float) -> None:
    """Set each alarm to the state of its data, unless it was put or set less than `min_age` seconds ago."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    for alarm in list(backend.alarms.values()):
        changed_at = max(_with_utc(alarm.configuration_updated_timestamp), _with_utc(alarm.state_updated_timestamp))
        # SetAlarmState would otherwise be overwritten by the evaluation that the next read causes.
        if datetime.now(UTC) - changed_at < timedelta(seconds=min_age):
            continue
        state, reason = _evaluate(backend, alarm)
        if state and state != alarm.state_value:
            previous = alarm.state_value
            alarm.update_state(reason, "{}", state)
            notify(region, alarm, previous)


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
        try:
            with only_confirmed(region):
                get_backend("sns")[DEFAULT_ACCOUNT_ID][region].publish(
                    _message(region, alarm, previous), arn, None, subject
                )
        except Exception as error:
            # AWS ignores a deleted topic, too.
            log.warning("%s: %s: %s", alarm.name, arn, error)


def _evaluate(backend: Any, alarm: Any) -> tuple[str, str]:
    if alarm.metric_data_queries or alarm.comparison_operator not in COMPARISONS:
        # Metric math and anomaly bands are not emulated.
        return "", ""
    points = _points(backend, alarm)
    known = [point for point in points if point is not None]
    if not known and alarm.treat_missing_data == "ignore":
        return "", ""
    breaches = COMPARISONS[alarm.comparison_operator]
    if known or alarm.treat_missing_data in MISSING_DATA_BREACHES:
        missing = MISSING_DATA_BREACHES.get(alarm.treat_missing_data or "")
        breaching = sum(bool(missing) if point is None else breaches(point, alarm.threshold) for point in points)
        needed = alarm.datapoints_to_alarm or len(points)
        if missing is None:
            # With "missing" and "ignore", only the existing data points count.
            needed = min(needed, len(known))
        state = "ALARM" if breaching >= needed else "OK"
        return state, f"Threshold Crossed: {breaching} of {len(points)} datapoints {known} {_comparison_text(alarm)}."
    return "INSUFFICIENT_DATA", f"Insufficient Data: {len(points)} datapoints were unknown."


def _points(backend: Any, alarm: Any) -> list[float | None]:
    """Return the statistic of each of the last periods, newest first."""
    period, now = timedelta(seconds=int(alarm.period)), datetime.now(UTC)
    windows: list[list[Any]] = [[] for _ in range(int(alarm.evaluation_periods))]
    for datum in backend.metric_data:
        if (datum.namespace, datum.name) != (alarm.namespace, alarm.metric_name):
            continue
        if (alarm.unit and datum.unit != alarm.unit) or not are_dimensions_same(datum.dimensions, alarm.dimensions):
            continue
        index = (now - _with_utc(datum.timestamp)) // period
        if 0 <= index < len(windows):
            windows[index].append(datum)
    return [_statistic(data, alarm.statistic or alarm.extended_statistic) if data else None for data in windows]


def _statistic(data: list[Any], name: str) -> float:
    aggregates = [datum for datum in data if isinstance(datum, MetricAggregatedDatum)]
    values = sorted(datum.value for datum in data if not isinstance(datum, MetricAggregatedDatum))
    count = len(values) + sum(datum.sample_count for datum in aggregates)
    total = sum(values) + sum(datum.sum for datum in aggregates)
    match name:
        case "Sum":
            return float(total)
        case "SampleCount":
            return float(count)
        case "Average":
            return float(total / count)
        case "Minimum":
            return float(min([*values, *(datum.min for datum in aggregates)]))
        case "Maximum":
            return float(max([*values, *(datum.max for datum in aggregates)]))
    # Percentiles such as p99.
    spread = sorted([*values, *(datum.max for datum in aggregates)])
    return float(spread[min(len(spread) - 1, int(len(spread) * float(name[1:]) / 100))])


def _message(region: str, alarm: Any, previous: str) -> str:
    return json.dumps(
        {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "AWSAccountId": DEFAULT_ACCOUNT_ID,
            "NewStateValue": alarm.state_value,
            "NewStateReason": alarm.state_reason,
            "StateChangeTime": _with_utc(alarm.state_updated_timestamp).isoformat(timespec="milliseconds"),
            "Region": region,
            "AlarmArn": alarm.alarm_arn,
            "OldStateValue": previous,
            "OKActions": alarm.ok_actions,
            "AlarmActions": alarm.alarm_actions,
            "InsufficientDataActions": alarm.insufficient_data_actions,
            "Trigger": {
                "MetricName": alarm.metric_name,
                "Namespace": alarm.namespace,
                "Statistic": alarm.statistic or alarm.extended_statistic,
                "Dimensions": [{"name": dimension.name, "value": dimension.value} for dimension in alarm.dimensions],
                "Period": alarm.period,
                "EvaluationPeriods": alarm.evaluation_periods,
                "ComparisonOperator": alarm.comparison_operator,
                "Threshold": alarm.threshold,
                "TreatMissingData": alarm.treat_missing_data or "missing",
            },
        }
    )


def _comparison_text(alarm: Any) -> str:
    return f"count against the threshold ({alarm.threshold}) with {alarm.comparison_operator}"


def _with_utc(time: datetime) -> datetime:
    """Add the zone: moto's times are UTC without one."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
