"""CloudWatch: anomaly detectors, and alarms that compare a metric with its band of usual values."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.strict_clients import Client, Refused, served

METRIC = {"Namespace": "shop", "MetricName": "Age", "Dimensions": [{"Name": "A", "Value": "1"}]}
SINGLE = {**METRIC, "Stat": "Maximum"}
HOUR = 3600
# Mean 10, deviation 1.
USUAL = [9.0, 11.0] * 6
RANGE = {"StartTime": datetime(2026, 1, 1, tzinfo=UTC), "EndTime": datetime(2026, 1, 2, tzinfo=UTC)}

MANY = {"ExcludedTimeRanges": [RANGE] * 11}
BACKWARD = {"ExcludedTimeRanges": [{"StartTime": RANGE["EndTime"], "EndTime": RANGE["StartTime"]}]}


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    emulator = Emulator()
    # An alarm follows its data at its first read.
    make_strict(emulator, Delays(alarm=0))
    with served(emulator) as client:
        yield client


@pytest.fixture
def strict(server: Client) -> Client:
    return server


def measure(client: Client, values: Sequence[float], *, age: float = 0) -> None:
    """One value for each five minutes, the newest first, that one so many seconds old."""
    now = time.time() - age
    data = [
        {
            "MetricName": "Age",
            "Dimensions": METRIC["Dimensions"],
            "Value": value,
            # In the middle of its period, so that a slow test does not push it into the one before.
            "Timestamp": now - (index + 0.5) * 300,
        }
        for index, value in enumerate(values)
    ]
    client("cloudwatch").put_metric_data(Namespace="shop", MetricData=data)


def queries(expression: str = "ANOMALY_DETECTION_BAND(m, 3)") -> list[dict[str, Any]]:
    stat = {"Metric": METRIC, "Period": 300, "Stat": "Maximum"}
    return [
        {"Id": "m", "MetricStat": stat, "ReturnData": True},
        {"Id": "b", "Expression": expression, "ReturnData": True},
    ]


def put(client: Client, **changes: Any) -> None:
    alarm = {
        "AlarmName": "unusual",
        "Metrics": queries(),
        "ThresholdMetricId": "b",
        "ComparisonOperator": "GreaterThanUpperThreshold",
        "EvaluationPeriods": 3,
        "TreatMissingData": "notBreaching",
    }
    given = {**alarm, **changes}
    client("cloudwatch").put_metric_alarm(**{key: value for key, value in given.items() if value is not None})


def state(client: Client) -> str:
    return str(client("cloudwatch").describe_alarms(AlarmNames=["unusual"])["MetricAlarms"][0]["StateValue"])


def detectors(client: Client, **asked: Any) -> list[dict[str, Any]]:
    return list(client("cloudwatch").describe_anomaly_detectors(**asked)["AnomalyDetectors"])


@pytest.mark.parametrize(
    ("newest", "operator", "raised"),
    [
        ([13.1] * 3, "GreaterThanUpperThreshold", True),
        ([12.9] * 3, "GreaterThanUpperThreshold", False),
        ([13.1, 13.1, 12.9], "GreaterThanUpperThreshold", False),
        ([6.9] * 3, "GreaterThanUpperThreshold", False),
        ([6.9] * 3, "LessThanLowerThreshold", True),
        ([13.1] * 3, "LessThanLowerThreshold", False),
        ([13.1, 6.9, 13.1], "LessThanLowerOrGreaterThanUpperThreshold", True),
        ([12.9, 7.1, 12.9], "LessThanLowerOrGreaterThanUpperThreshold", False),
    ],
)
def test_an_alarm_compares_the_newest_values_with_the_band_of_those_before(
    strict: Client, newest: list[float], operator: str, raised: bool
) -> None:
    measure(strict, [*newest, *USUAL])
    put(strict, ComparisonOperator=operator)

    assert state(strict) == ("ALARM" if raised else "OK")


def test_an_alarm_has_no_data_while_its_model_is_not_trained_or_gone(strict: Client) -> None:
    measure(strict, [99.0] * 3 + USUAL[1:])
    put(strict)
    assert state(strict) == "INSUFFICIENT_DATA"

    measure(strict, [10.0], age=HOUR * 2)
    assert state(strict) == "ALARM"
    strict("cloudwatch").delete_anomaly_detector(SingleMetricAnomalyDetector=SINGLE)

    assert state(strict) == "INSUFFICIENT_DATA"


def test_training_follows_the_data(strict: Client) -> None:
    strict("cloudwatch").put_anomaly_detector(SingleMetricAnomalyDetector=SINGLE)
    assert detectors(strict)[0]["StateValue"] == "PENDING_TRAINING"

    measure(strict, USUAL[:-1])
    assert detectors(strict)[0]["StateValue"] == "TRAINED_INSUFFICIENT_DATA"

    measure(strict, [10.0], age=HOUR * 2)
    assert detectors(strict)[0]["StateValue"] == "TRAINED"


def test_data_older_than_two_weeks_trains_no_model(strict: Client) -> None:
    strict("cloudwatch").put_anomaly_detector(SingleMetricAnomalyDetector=SINGLE)

    measure(strict, USUAL, age=HOUR * 24 * 14)

    assert detectors(strict)[0]["StateValue"] == "PENDING_TRAINING"


def test_an_alarm_makes_the_detector_that_is_missing_and_its_deletion_leaves_it(strict: Client) -> None:
    put(strict)
    strict("cloudwatch").delete_alarms(AlarmNames=["unusual"])

    (found,) = detectors(strict)
    assert found["SingleMetricAnomalyDetector"] == SINGLE
    assert found["Configuration"] == {}


def test_an_alarm_keeps_the_detector_that_is_there(strict: Client) -> None:
    zone = {"MetricTimezone": "Australia/Sydney"}
    strict("cloudwatch").put_anomaly_detector(SingleMetricAnomalyDetector=SINGLE, Configuration=zone)

    put(strict)

    assert [found["Configuration"] for found in detectors(strict)] == [zone]


def test_putting_a_detector_again_replaces_its_configuration(strict: Client) -> None:
    client = strict("cloudwatch")
    both = {"ExcludedTimeRanges": [RANGE], "MetricTimezone": "Australia/Sydney"}
    client.put_anomaly_detector(SingleMetricAnomalyDetector=SINGLE, Configuration=both)
    assert detectors(strict)[0]["Configuration"] == both

    client.put_anomaly_detector(**SINGLE)

    assert [found["Configuration"] for found in detectors(strict)] == [{}]


def test_the_order_of_dimensions_is_free_and_the_statistic_is_part_of_the_identity(strict: Client) -> None:
    client, pairs = strict("cloudwatch"), [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}]
    for dimensions, stat in ((pairs, "Sum"), (pairs[::-1], "Sum"), (pairs, "p95")):
        single = {**METRIC, "Dimensions": dimensions, "Stat": stat}
        client.put_anomaly_detector(SingleMetricAnomalyDetector=single)

    assert [found["Stat"] for found in detectors(strict)] == ["Sum", "p95"]


def test_detectors_are_listed_in_pages_and_by_metric(strict: Client) -> None:
    client = strict("cloudwatch")
    for name in ("Age", "Depth", "Size"):
        client.put_anomaly_detector(SingleMetricAnomalyDetector={**SINGLE, "MetricName": name})

    pages = client.get_paginator("describe_anomaly_detectors").paginate(PaginationConfig={"PageSize": 2})
    assert [[found["MetricName"] for found in page["AnomalyDetectors"]] for page in pages] == [
        ["Age", "Depth"],
        ["Size"],
    ]
    assert [found["MetricName"] for found in detectors(strict, MetricName="Size")] == ["Size"]
    assert detectors(strict, Namespace="other") == []
    assert detectors(strict, Dimensions=[{"Name": "A", "Value": "2"}]) == []
    assert len(detectors(strict, Dimensions=METRIC["Dimensions"])) == 3
    assert detectors(strict, AnomalyDetectorTypes=["METRIC_MATH"]) == []


@pytest.mark.parametrize(
    ("call", "given", "code"),
    [
        ("delete_anomaly_detector", {"SingleMetricAnomalyDetector": SINGLE}, "ResourceNotFoundException"),
        ("delete_anomaly_detector", {"Namespace": "shop", "MetricName": "Age"}, "MissingParameter"),
        ("put_anomaly_detector", {}, "MissingParameter"),
        (
            "put_anomaly_detector",
            {"SingleMetricAnomalyDetector": SINGLE, "Stat": "Sum"},
            "InvalidParameterCombination",
        ),
        ("put_anomaly_detector", {"SingleMetricAnomalyDetector": {**SINGLE, "Stat": "most"}}, "InvalidParameterValue"),
        (
            "put_anomaly_detector",
            {**SINGLE, "Configuration": {"ExcludedTimeRanges": [RANGE] * 11}},
            "InvalidParameterValue",
        ),
        (
            "put_anomaly_detector",
            {**SINGLE, "Configuration": BACKWARD},
            "InvalidParameterValue",
        ),
        ("describe_anomaly_detectors", {"MaxResults": 101}, "InvalidParameterValue"),
        ("describe_anomaly_detectors", {"NextToken": "x"}, "InvalidNextToken"),
    ],
)
def test_wrong_requests_are_refused(
    strict: Client, refused: Refused, call: str, given: dict[str, Any], code: str
) -> None:
    with refused(code):
        getattr(strict("cloudwatch"), call)(**given)


@pytest.mark.parametrize(
    "changes",
    [
        {"Threshold": 3.0},
        {"ComparisonOperator": "GreaterThanThreshold"},
        {"ThresholdMetricId": None},
        {"ThresholdMetricId": "m"},
        {"ThresholdMetricId": "x"},
        {"Metrics": queries("ANOMALY_DETECTION_BAND(x, 3)")},
        {"Metrics": queries("ANOMALY_DETECTION_BAND(m, -3)")},
        {"Metrics": queries("ANOMALY_DETECTION_BAND(m, 3) + 1")},
        {"Metrics": [{**query, "ReturnData": query["Id"] == "b"} for query in queries()]},
        {"AlarmActions": ["arn:aws:autoscaling:ap-southeast-2:123456789012:scalingPolicy:1"]},
    ],
)
def test_an_alarm_whose_band_does_not_fit_is_refused(strict: Client, refused: Refused, changes: dict[str, Any]) -> None:
    with refused("ValidationError"):
        put(strict, **changes)

    assert detectors(strict) == []


def test_a_band_is_read_as_two_series_of_one_id(strict: Client) -> None:
    measure(strict, [12.0, *USUAL * 2])
    now = datetime.now(UTC)

    results = strict("cloudwatch").get_metric_data(
        MetricDataQueries=queries(), StartTime=now - timedelta(minutes=5), EndTime=now
    )["MetricDataResults"]

    assert [result["Id"] for result in results] == ["m", "b", "b"]
    assert [round(result["Values"][0]) for result in results[1:]] == [13, 7]
