"""Evaluate alarms. Metric alarms: M of the last N periods beyond the threshold."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError
from orderops.local.strict.cloudwatch.bands import beyond
from orderops.local.strict.cloudwatch.composites import evaluate_composites
from orderops.local.strict.cloudwatch.detectors import detectors_of, identity
from orderops.local.strict.cloudwatch.expressions import WrongExpression
from orderops.local.strict.cloudwatch.notifications import notify, set_state
from orderops.local.strict.cloudwatch.points import MetricKey, PeriodWindow, with_utc
from orderops.local.strict.cloudwatch.queries import band_of, values_of

Breaches = Callable[[float], bool]
# The comparison operators of metric alarms with a threshold.
COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# TreatMissingData: how a missing data point counts. "missing" and "ignore" are handled separately.
MISSING_DATA_BREACHES = {"breaching": True, "notBreaching": False}


def evaluate(region: str, min_age: float) -> None:
    """Set each alarm to the state of its data, unless it was put or set less than `min_age` seconds ago."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    for alarm in [alarm for alarm in backend.alarms.values() if alarm.rule is None]:
        changed_at = max(with_utc(alarm.configuration_updated_timestamp), with_utc(alarm.state_updated_timestamp))
        # SetAlarmState would otherwise be overwritten by the evaluation that the next read causes.
        if datetime.now(UTC) - changed_at < timedelta(seconds=min_age):
            continue
        state, reason = _evaluate(backend, alarm)
        if state and state != alarm.state_value:
            notify(region, alarm, set_state(region, alarm, state, reason))
    evaluate_composites(region)


def _evaluate(backend: Any, alarm: Any) -> tuple[str, str]:
    try:
        breaches, limit = _judgement(backend, alarm)
        points = _points(backend, alarm)
    except (ApiError, WrongExpression):
        # moto's scaling policies make alarms that no check has seen.
        return "", ""
    if breaches is None:
        return "INSUFFICIENT_DATA", "Insufficient Data: the anomaly detection model is not trained."
    known = [point for point in points if point is not None]
    if not known and alarm.treat_missing_data == "ignore":
        return "", ""
    if known or alarm.treat_missing_data in MISSING_DATA_BREACHES:
        missing = MISSING_DATA_BREACHES.get(alarm.treat_missing_data or "")
        breaching = sum(bool(missing) if point is None else breaches(point) for point in points)
        needed = alarm.datapoints_to_alarm or len(points)
        if missing is None:
            # With "missing" and "ignore", only the existing data points count.
            needed = min(needed, len(known))
        state = "ALARM" if breaching >= needed else "OK"
        return state, f"Threshold Crossed: {breaching} of {len(points)} datapoints {known} {limit}."
    return "INSUFFICIENT_DATA", f"Insufficient Data: {len(points)} datapoints were unknown."


def _judgement(backend: Any, alarm: Any) -> tuple[Breaches | None, str]:
    """What counts as beyond the limit, and the limit in words; None while there is no band yet."""
    if alarm.threshold_metric_id is None:
        compare = COMPARISONS[alarm.comparison_operator]
        words = f"count against the threshold ({alarm.threshold}) with {alarm.comparison_operator}"
        return lambda point: compare(point, alarm.threshold), words
    queries = [_query(query) for query in alarm.metric_data_queries]
    stat = next(query["MetricStat"] for query in queries if "MetricStat" in query)
    has_model = identity({**stat["Metric"], "Stat": stat["Stat"]}) in detectors_of(backend)
    band = band_of(backend, queries, alarm.threshold_metric_id, _window(alarm, queries)) if has_model else None
    if band is None:
        return None, ""
    words = f"count against the band ({band.lower:g} to {band.upper:g}) with {alarm.comparison_operator}"
    return lambda point: beyond(alarm.comparison_operator, band, point), words


def _points(backend: Any, alarm: Any) -> list[float | None]:
    """Return the value of each of the last periods, newest first."""
    queries = [_query(query) for query in alarm.metric_data_queries]
    window = _window(alarm, queries)
    if queries:
        (result,) = [
            query["Id"] for query in queries if query["ReturnData"] and query["Id"] != alarm.threshold_metric_id
        ]
        return list(values_of(backend, queries, window)[result])[::-1]
    key = MetricKey.of(alarm.namespace, alarm.metric_name, alarm.dimensions, alarm.unit)
    return list(window.values(backend, key, alarm.statistic or alarm.extended_statistic))[::-1]


def _window(alarm: Any, queries: list[dict[str, Any]]) -> PeriodWindow:
    """The periods that are judged."""
    seconds = max((int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query), default=60)
    period, count = timedelta(seconds=int(alarm.period or seconds)), int(alarm.evaluation_periods)
    # A datum of this very moment belongs to the newest period.
    return PeriodWindow(datetime.now(UTC) - count * period + timedelta(microseconds=1), period, count)


def _query(query: Any) -> dict[str, Any]:
    """A query of moto as it was sent."""
    sent: dict[str, Any] = {"Id": query.id, "ReturnData": query.return_data is not False}
    if query.expression:
        return {**sent, "Expression": query.expression}
    metric = query.metric_stat.metric
    dimensions = [{"Name": pair.name, "Value": pair.value} for pair in metric.dimensions]
    named = {"Namespace": metric.namespace, "MetricName": metric.metric_name, "Dimensions": dimensions}
    return {**sent, "MetricStat": {"Metric": named, "Period": query.metric_stat.period, "Stat": query.metric_stat.stat}}
