from __future__ import annotations

import time
from typing import Any

import pytest

from orderops.local.strict.logs.patterns import BadPattern, read
from support.strict_clients import Client, Refused

GROUP = "/orderops/a"


def test_a_retention_that_is_not_offered_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    moto("logs").create_log_group(logGroupName="/orderops/a")
    moto("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)

    with refused("InvalidParameterException"):
        strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)
    strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=7)


def test_a_metric_filter_counts_the_lines_that_match(moto: Client, strict: Client) -> None:
    _put_filter(strict, '{ $.level = "ERROR" }')
    _write(strict, '{"level": "ERROR"}', '{"level": "INFO"}', '{"level": "ERROR"}')

    assert _sum(moto) == []
    assert _sum(strict) == [2.0]
    _write(strict, '{"level": "ERROR"}')
    assert _sum(strict) == [3.0]


def test_a_metric_filter_counts_no_line_from_before_it(strict: Client) -> None:
    strict("logs").create_log_group(logGroupName=GROUP)
    strict("logs").create_log_stream(logGroupName=GROUP, logStreamName="one")
    _write(strict, "ERROR early")
    _put_filter(strict, "ERROR", made=True)

    assert _sum(strict) == []


def test_a_metric_filter_takes_its_value_from_the_line(strict: Client) -> None:
    _put_filter(strict, "{ $.took = * }", value="$.took")
    _write(strict, '{"took": 1.5}', '{"took": 2}', '{"took": null}')

    assert _sum(strict) == [3.5]


def test_lines_that_do_not_match_give_the_default_value(strict: Client) -> None:
    _put_filter(strict, "ERROR", defaultValue=0.0)
    _write(strict, "all is well")

    assert _sum(strict) == [0.0]


def test_a_metric_filter_put_again_is_the_same_filter(moto: Client, strict: Client) -> None:
    _put_filter(strict, "ERROR")
    _put_filter(strict, "WARNING", made=True)
    assert len(strict("logs").describe_metric_filters(logGroupName=GROUP)["metricFilters"]) == 1

    _put_filter(moto, "WARNING", made=True)
    assert len(strict("logs").describe_metric_filters(logGroupName=GROUP)["metricFilters"]) == 2


def test_the_filters_of_a_group_go_with_it(moto: Client, strict: Client) -> None:
    for client in (moto, strict):
        _put_filter(strict, "ERROR")
        client("logs").delete_log_group(logGroupName=GROUP)
        left = strict("logs").describe_metric_filters()["metricFilters"]
        assert bool(left) == (client is moto)


def test_a_filter_needs_its_group_and_a_pattern_that_can_be_read(strict: Client, refused: Refused) -> None:
    with refused("ResourceNotFoundException"):
        _put_filter(strict, "ERROR", made=True)
    with refused("InvalidParameterException"):
        _put_filter(strict, "{ $.level = }")


@pytest.mark.parametrize(
    ("pattern", "line", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR database", "ERROR in the database", True),
        ('"out of memory"', "killed: out of memory", True),
        ('"out of memory"', "memory out of", False),
        ("ERROR -expected", "ERROR, as expected", False),
        ("?ERROR ?WARN", "WARN: slow", True),
        ("?ERROR ?WARN", "INFO", False),
        ('{ $.level = "ERROR" }', '{"level": "ERROR"}', True),
        ('{ $.level = "ERROR" }', "ERROR", False),
        ('{ $.level = "ERR*" }', '{"level": "ERROR"}', True),
        ('{ $.level != "INFO" }', '{"level": "ERROR"}', True),
        ('{ $.level != "INFO" }', '{"other": 1}', False),
        ("{ $.status >= 500 }", '{"status": 503}', True),
        ("{ $.status = 503 }", '{"status": 503}', True),
        ("{ $.status >= 500 }", '{"status": "503"}', False),
        ("{ ($.a = 1) && ($.b = 2 || $.c IS TRUE) }", '{"a": 1, "c": true}', True),
        ("{ $.a = 1 && $.b = 2 || $.c = 3 }", '{"c": 3}', True),
        ("{ $.error.code NOT EXISTS }", '{"error": {}}', True),
        ("{ $.error IS NULL }", '{"error": null}', True),
        ("{ $.items[1].id = 7 }", '{"items": [{}, {"id": 7}]}', True),
    ],
)
def test_a_pattern_means_what_it_means_on_aws(pattern: str, line: str, matches: bool) -> None:
    assert read(pattern)(line) == matches


@pytest.mark.parametrize("pattern", ["{ $.a }", "{ $.a = 1", "{ $.a > x }", "{ ($.a = 1 }", "[ip, user]"])
def test_a_pattern_that_cannot_be_read_is_said_to_be_so(pattern: str) -> None:
    with pytest.raises(BadPattern):
        read(pattern)


def _put_filter(client: Client, pattern: str, *, value: str = "1", made: bool = False, **more: Any) -> None:
    logs = client("logs")
    if not made:
        logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName="one")
    change = {"metricName": "Errors", "metricNamespace": "orderops", "metricValue": value, **more}
    logs.put_metric_filter(
        logGroupName=GROUP, filterName="errors", filterPattern=pattern, metricTransformations=[change]
    )


def _write(client: Client, *lines: str) -> None:
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    client("logs").put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=events)


def _sum(client: Client) -> list[float]:
    told = client("cloudwatch").get_metric_statistics(
        Namespace="orderops",
        MetricName="Errors",
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Sum"],
    )
    return [point["Sum"] for point in told["Datapoints"]]
