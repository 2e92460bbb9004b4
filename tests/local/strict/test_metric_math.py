"""CloudWatch: expressions and percentiles in alarms and GetMetricData, and what PutMetricAlarm refuses."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.laptop import until
from support.strict_clients import Client, Refused

# The start of a period in the past, so that no test depends on the moment at which it runs.
START = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def stat(key: str, name: str, statistic: str = "Sum", **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "shop", "MetricName": name, "Dimensions": [{"Name": "A", "Value": "1"}]}
    return {"Id": key, "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}, "ReturnData": False, **more}


def measure(client: Client, name: str, *values: float | None, since: datetime = START) -> None:
    """One value a minute, None for a minute without data."""
    data = [
        {
            "MetricName": name,
            "Value": value,
            "Timestamp": since + timedelta(minutes=minute, seconds=5),
            "Dimensions": [{"Name": "A", "Value": "1"}],
        }
        for minute, value in enumerate(values)
        if value is not None
    ]
    client("cloudwatch").put_metric_data(Namespace="shop", MetricData=data)


def calculated(client: Client, expression: str, minutes: int = 3) -> list[float]:
    queries = [stat("a", "A"), stat("b", "B"), stat("c", "C"), {"Id": "x", "Expression": expression}]
    window = {"StartTime": START, "EndTime": START + timedelta(minutes=minutes), "ScanBy": "TimestampAscending"}
    results = client("cloudwatch").get_metric_data(MetricDataQueries=queries, **window)["MetricDataResults"]
    assert [result["Id"] for result in results] == ["x"]
    return [float(value) for value in results[0]["Values"]]


# From "Using metric math" in the CloudWatch user guide: A is 1, 2, 3; B is 10, no data, 30; C has no data.
@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a + 1", [2, 3, 4]),
        ("a + b", [11, 33]),
        ("100 * a / b", [10, 10]),
        ("a / (a - 2)", [-1, 3]),
        ("FILL(b, 0)", [10, 0, 30]),
        ("FILL(c, 7) + a", [8, 9, 10]),
        ("FILL(c, 0)", []),
        ("MAX([a, b])", [10, 2, 30]),
        ("MIN([a, b])", [1, 2, 3]),
        ("SUM([a, b, c])", [11, 2, 33]),
        ("IF(a > 1, a, 0)", [0, 2, 3]),
        ("IF(a >= 2 AND a < 3, 1, 0)", [0, 1, 0]),
        ("IF(b > 20 || a == 1, 1, 0)", [1, 1]),
        ("a + MAX(a)", [4, 5, 6]),
        ("-a", [-1, -2, -3]),
    ],
)
def test_an_expression_is_calculated_for_each_period(strict: Client, expression: str, values: list[float]) -> None:
    measure(strict, "A", 1, 2, 3)
    measure(strict, "B", 10, None, 30)

    assert calculated(strict, expression) == values


def test_a_percentile_is_read_as_any_statistic(strict: Client) -> None:
    data = [
        {"MetricName": "Time", "Value": float(value), "Timestamp": START, "Dimensions": [{"Name": "A", "Value": "1"}]}
        for value in range(1, 101)
    ]
    strict("cloudwatch").put_metric_data(Namespace="shop", MetricData=data)

    results = strict("cloudwatch").get_metric_data(
        MetricDataQueries=[stat("t", "Time", "p95", ReturnData=True)],
        StartTime=START,
        EndTime=START + timedelta(minutes=1),
    )["MetricDataResults"]

    assert [(result["Id"], result["Label"], result["Values"]) for result in results] == [("t", "Time", [96.0])]


def test_an_alarm_on_an_expression_follows_its_data(strict: Client) -> None:
    queries = [stat("a", "A"), stat("b", "B"), {"Id": "x", "Expression": "MAX([a, b])", "ReturnData": True}]
    strict("cloudwatch").put_metric_alarm(**alarm(Metrics=queries, Threshold=5.0, TreatMissingData="notBreaching"))
    until(lambda: state(strict) == "OK")

    measure(strict, "B", 9, since=datetime.now(UTC) - timedelta(seconds=10))

    until(lambda: state(strict) == "ALARM")


def test_an_alarm_on_two_dimensions_follows_its_data(strict: Client) -> None:
    pairs = [{"Name": "Cluster", "Value": "a"}, {"Name": "Service", "Value": "b"}]
    one = {"Namespace": "shop", "MetricName": "A", "Statistic": "Sum", "Period": 60, "Dimensions": pairs}
    strict("cloudwatch").put_metric_alarm(**alarm(**one))
    for dimensions, value in ((pairs[:1], 1.0), (pairs[::-1], 9.0)):
        datum = {"MetricName": "A", "Value": value, "Timestamp": time.time(), "Dimensions": dimensions}
        strict("cloudwatch").put_metric_data(Namespace="shop", MetricData=[datum])

    until(lambda: state(strict) == "ALARM")


SIMPLE = {"Namespace": "shop", "MetricName": "A", "Statistic": "Sum", "Period": 60}
EXPRESSION = {"Id": "x", "Expression": "a", "ReturnData": True}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({}, id="no metric"),
        pytest.param({**SIMPLE, "Metrics": [EXPRESSION, stat("a", "A")]}, id="a metric and an expression"),
        pytest.param({**SIMPLE, "Period": 45}, id="a period of 45 seconds"),
        pytest.param({**SIMPLE, "Period": 86400, "EvaluationPeriods": 8}, id="eight days"),
        pytest.param({**SIMPLE, "TreatMissingData": "nonsense"}, id="an unknown treatment of missing data"),
        pytest.param({**SIMPLE, "EvaluationPeriods": 2, "DatapointsToAlarm": 3}, id="three of two datapoints"),
        pytest.param({**SIMPLE, "ExtendedStatistic": "p95"}, id="two statistics"),
        pytest.param({**SIMPLE, "ComparisonOperator": "GreaterThanUpperThreshold"}, id="an operator for a band"),
        pytest.param({**SIMPLE, "ThresholdMetricId": "a"}, id="a band and a threshold"),
        pytest.param({"Namespace": "shop", "MetricName": "A", "Period": 60}, id="no statistic"),
        pytest.param({**SIMPLE, "AlarmActions": [f"arn:aws:sns:x:1:t{i}" for i in range(6)]}, id="six actions"),
        pytest.param({"Metrics": [EXPRESSION, stat("a", "A", ReturnData=True)]}, id="two that return data"),
        pytest.param({"Metrics": [{**EXPRESSION, "ReturnData": False}, stat("a", "A")]}, id="none returns data"),
        pytest.param({"Metrics": [{**EXPRESSION, "Expression": "b"}, stat("a", "A")]}, id="an unknown id"),
        pytest.param({"Metrics": [{**EXPRESSION, "Expression": "a +"}, stat("a", "A")]}, id="no expression"),
        pytest.param({"Metrics": [{**EXPRESSION, "Expression": "NO(a)"}, stat("a", "A")]}, id="an unknown function"),
        pytest.param({"Metrics": [{**EXPRESSION, "Id": "X"}, stat("a", "A")]}, id="an id with a capital"),
        pytest.param({"Metrics": [EXPRESSION, stat("a", "A")], "Period": 60}, id="a period beside an expression"),
        pytest.param({"Metrics": [EXPRESSION, stat("a", "A"), stat("a", "B")]}, id="an id twice"),
    ],
)
def test_an_alarm_that_aws_refuses_is_refused(strict: Client, refused: Refused, wrong: dict[str, Any]) -> None:
    with refused("ValidationError"):
        strict("cloudwatch").put_metric_alarm(**alarm(**wrong))

    assert strict("cloudwatch").describe_alarms()["MetricAlarms"] == []


def alarm(**more: Any) -> dict[str, Any]:
    base = {"AlarmName": "errors", "EvaluationPeriods": 1, "Threshold": 2.0}
    return {**base, "ComparisonOperator": "GreaterThanThreshold", **more}


def state(client: Client) -> str:
    return str(client("cloudwatch").describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]["StateValue"])
