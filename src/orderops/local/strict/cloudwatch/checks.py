"""What PutMetricAlarm refuses; from the CloudWatch API reference."""

from __future__ import annotations

from typing import Any

from orderops.local.strict.cloudwatch.bands import band_call
from orderops.local.strict.cloudwatch.queries import check_period, check_queries, check_statistic, refused

TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
ONE_METRIC = ("Namespace", "Dimensions", "Period", "Statistic", "ExtendedStatistic", "Unit")
ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")
MOST_ACTIONS = 5
OPERATORS = {f"{side}{equal}Threshold" for side in ("GreaterThan", "LessThan") for equal in ("", "OrEqualTo")}
BAND_OPERATORS = {
    "GreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
}
DAY = 24 * 60 * 60


def check_alarm(alarm: dict[str, Any]) -> None:
    """Raise ApiError for an alarm that AWS does not accept."""
    treatment = alarm.get("TreatMissingData", "missing")
    if treatment not in TREATMENTS:
        raise refused(f"Option {treatment} is not supported. Supported options for parameter TreatMissingData are …")
    if bool(alarm.get("MetricName")) is bool(alarm.get("Metrics")):
        raise refused("Exactly one of MetricName and Metrics must be set")
    _check_threshold(alarm)
    for key in ACTIONS:
        if len(alarm.get(key) or ()) > MOST_ACTIONS:
            raise refused(f"{key} has more than {MOST_ACTIONS} actions")
    points, periods = alarm.get("DatapointsToAlarm"), int(alarm["EvaluationPeriods"])
    if points is not None and not 1 <= int(points) <= periods:
        raise refused("DatapointsToAlarm must be 1 to EvaluationPeriods")
    period = _check_expression(alarm) if alarm.get("Metrics") else _check_metric(alarm)
    # Seven days with periods of an hour and more, else a day.
    if period * periods > (7 * DAY if period >= 3600 else DAY):
        raise refused("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)")


def _check_threshold(alarm: dict[str, Any]) -> None:
    """Operators for bands go with ThresholdMetricId, and the others with Threshold."""
    band = bool(alarm.get("ThresholdMetricId"))
    operators = BAND_OPERATORS if band else OPERATORS
    if alarm["ComparisonOperator"] not in operators or band is (alarm.get("Threshold") is not None):
        raise refused("ComparisonOperator must fit exactly one of Threshold and ThresholdMetricId")
    if band and any(":autoscaling:" in action for key in ACTIONS for action in alarm.get(key) or ()):
        raise refused("An alarm on an anomaly detection model cannot have Auto Scaling actions")


def _check_metric(alarm: dict[str, Any]) -> int:
    if not alarm.get("Period"):
        raise refused("The parameter Period is required")
    check_period(alarm["Period"])
    if bool(alarm.get("Statistic")) is bool(alarm.get("ExtendedStatistic")):
        raise refused("Exactly one of Statistic and ExtendedStatistic must be set")
    check_statistic(alarm.get("Statistic") or alarm["ExtendedStatistic"])
    return int(alarm["Period"])


def _check_expression(alarm: dict[str, Any]) -> int:
    if given := [key for key in ONE_METRIC if alarm.get(key)]:
        raise refused(f"{given[0]} must not be set together with Metrics")
    queries = alarm["Metrics"]
    check_queries(queries)
    returned = {query["Id"] for query in queries if query.get("ReturnData", True)}
    if alarm.get("ThresholdMetricId"):
        _check_band(alarm["ThresholdMetricId"], queries, returned)
    elif len(returned) != 1:
        raise refused("Exactly one element of the metrics list should return data.")
    return max((int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query), default=60)


def _check_band(name: str, queries: list[dict[str, Any]], returned: set[str]) -> None:
    """The threshold is a band, and the only other query that returns data is the metric that it is for."""
    expression = next((query.get("Expression", "") for query in queries if query["Id"] == name), "")
    call = band_call(expression)
    if call is None:
        raise refused(f"ThresholdMetricId {name} is not the id of an ANOMALY_DETECTION_BAND function")
    if returned != {name, call.metric}:
        raise refused("Exactly two elements of the metrics list should return data: a metric and its band.")
