"""Queries of GetMetricData and of alarms on expressions: their values, and what AWS refuses of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import Dimension

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.strict.cloudwatch.bands import Band, BandCall, band_before, band_call
from orderops.local.strict.cloudwatch.expressions import WrongExpression, calculate, names_in
from orderops.local.strict.cloudwatch.points import MetricKey, PeriodWindow, Series

QUERY_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
PERIODS = (10, 20, 30)
LONGEST_EXPRESSION = 2048
# Queries in one call of GetMetricData (CloudWatch API reference).
MOST_QUERIES = 500
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
PERCENTILE = re.compile(r"p(\d{1,2}(\.\d{0,10})?|100)")


def check_queries(queries: list[dict[str, Any]]) -> None:
    """Raise ApiError for queries that AWS refuses."""
    ids = [str(query.get("Id", "")) for query in queries]
    for query, name in zip(queries, ids, strict=True):
        if not QUERY_ID.fullmatch(name):
            raise refused(f"The value {name} for parameter MetricDataQueries.Id is not matching the expected pattern")
        if ("MetricStat" in query) is ("Expression" in query):
            raise refused("Each query must have either MetricStat or Expression")
        if call := band_call(query.get("Expression", "")):
            _check_band(call, queries)
        elif "Expression" in query:
            _check_expression(query["Expression"], ids)
        else:
            check_period(query["MetricStat"]["Period"])
            check_statistic(query["MetricStat"]["Stat"])
    if len(set(ids)) < len(ids):
        raise refused("The values of Id in MetricDataQueries must be unique")


def check_period(period: Any) -> None:
    """Raise ApiError unless CloudWatch keeps such periods."""
    if int(period) not in PERIODS and (int(period) < 60 or int(period) % 60):
        raise refused("The parameter Period must be 10, 20, 30 or a multiple of 60")


def check_statistic(name: str) -> None:
    """Raise ApiError for a statistic that does not exist."""
    if name not in STATISTICS and not PERCENTILE.fullmatch(name):
        raise refused(f"The value {name} for parameter Stat is not supported")


def _check_band(call: BandCall, queries: list[dict[str, Any]]) -> None:
    measured = [query for query in queries if query["Id"] == call.metric]
    if not measured:
        raise refused(f"Error in expression: Unknown identifier {call.metric}")
    if "MetricStat" not in measured[0]:
        raise ApiError("NotEmulated", "bands of metric math are not emulated on the laptop")
    if call.deviations <= 0:
        raise refused("Error in expression: the second argument of ANOMALY_DETECTION_BAND must be above 0")


def _check_expression(expression: str, ids: list[str]) -> None:
    if len(expression) > LONGEST_EXPRESSION:
        raise refused(f"An expression has at most {LONGEST_EXPRESSION} characters")
    try:
        unknown = names_in(expression) - set(ids)
    except WrongExpression as error:
        raise refused(f"Error in expression: {error}") from None
    if unknown:
        raise refused(f"Error in expression: Unknown identifier {min(unknown)}")


def values_of(backend: Any, queries: list[dict[str, Any]], window: PeriodWindow) -> dict[str, Series]:
    """The values of all queries but bands: first of the metrics, then of the expressions over them."""
    known = {
        query["Id"]: window.values(backend, _key(query["MetricStat"]["Metric"]), query["MetricStat"]["Stat"])
        for query in queries
        if "MetricStat" in query
    }
    waiting = {
        query["Id"]: query["Expression"]
        for query in queries
        if "Expression" in query and not band_call(query["Expression"])
    }
    while waiting:
        ready = [name for name, expression in waiting.items() if names_in(expression) <= known.keys()]
        if not ready:
            raise refused("Error in expression: it refers to itself")
        for name in ready:
            known[name] = calculate(waiting.pop(name), known, window.count)
    return known


def band_of(backend: Any, queries: list[dict[str, Any]], name: str, window: PeriodWindow) -> Band | None:
    """The band of a query by its id, from what came before the window; None while its detector knows too little."""
    by_id = {query["Id"]: query for query in queries}
    call = band_call(by_id[name].get("Expression", ""))
    if call is None or "MetricStat" not in by_id.get(call.metric, {}):
        raise WrongExpression("no band")
    stat = by_id[call.metric]["MetricStat"]
    return band_before(backend, _key(stat["Metric"]), stat["Stat"], window, call.deviations)


def get_metric_data(backend: Any, request: Request) -> Response:
    """GetMetricData, with metric math and percentiles, which moto lacks."""
    queries = request.json.get("MetricDataQueries", [])
    if len(queries) > MOST_QUERIES:
        raise refused(f"GetMetricData takes at most {MOST_QUERIES} queries")
    check_queries(queries)
    start, end = (datetime.fromtimestamp(float(request.json[key]), UTC) for key in ("StartTime", "EndTime"))
    if start >= end:
        raise refused("The parameter StartTime must be less than the parameter EndTime")
    seconds = max((int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query), default=60)
    first = datetime.fromtimestamp(start.timestamp() // seconds * seconds, UTC)
    window = PeriodWindow(first, timedelta(seconds=seconds), -((first - end) // timedelta(seconds=seconds)))
    known = values_of(backend, queries, window)
    newest_first = request.json.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = [
        _result(query, values, window, newest_first=newest_first)
        for query in queries
        if query.get("ReturnData", True)
        for values in _series_of(backend, queries, query, known, window)
    ]
    return json_answer({"MetricDataResults": results, "Messages": []})


def _series_of(
    backend: Any,
    queries: list[dict[str, Any]],
    query: dict[str, Any],
    known: Mapping[str, Series],
    window: PeriodWindow,
) -> list[Series]:
    """The series that a query returns: of a band two of one id, the upper and the lower edge."""
    if query["Id"] in known:
        return [known[query["Id"]]]
    band = band_of(backend, queries, query["Id"], window)
    edges = (band.upper, band.lower) if band else (None, None)
    return [(edge,) * window.count for edge in edges]


def _result(query: dict[str, Any], values: Series, window: PeriodWindow, *, newest_first: bool) -> dict[str, Any]:
    points = [
        ((window.start + index * window.period).timestamp(), value)
        for index, value in enumerate(values)
        if value is not None
    ]
    points.sort(reverse=newest_first)
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or query.get("MetricStat", {}).get("Metric", {}).get("MetricName") or query["Id"],
        "Timestamps": [time for time, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete",
    }


def _key(metric: Mapping[str, Any]) -> MetricKey:
    dimensions = [Dimension(pair["Name"], pair["Value"]) for pair in metric.get("Dimensions") or ()]
    return MetricKey.of(metric["Namespace"], metric["MetricName"], dimensions)


def refused(message: str) -> ApiError:
    """The error of CloudWatch for wrong parameters."""
    return ApiError("ValidationError", message)
