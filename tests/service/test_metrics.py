from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from orderops.service.logs import JsonLines
from orderops.service.metrics import Metrics, MetricsReporter
from support.service_process import Start, World, until

NAMES = {
    "Accepted",
    "Processed",
    "Failed",
    "Duplicates",
    "GivenBack",
    "OldestMessageAge",
    "BreakerOpen",
    "PoolWaits",
    "ReplicaReads",
    "ReplicaFallbacks",
    "ReplicaLag",
}


def reporter(metrics: Metrics, **gauges: float) -> MetricsReporter:
    return MetricsReporter(
        metrics,
        {"Environment": "test", "Service": "order-processor"},
        gauges={name: lambda value=value: value for name, value in gauges.items()},  # type: ignore[misc]
        clock=lambda: 1_800_000_000.5,
    )


def conform(line: dict[str, Any]) -> dict[str, float]:
    """Check a line by the specification of the embedded metric format, and return its metrics."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    values = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert 1 <= len(directive["Namespace"]) <= 1024
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            assert all(isinstance(line[name], str) and line[name] for name in dimensions)
        assert len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert metric["Unit"] in ("Count", "Seconds")
            assert type(line[metric["Name"]]) in (int, float)
            values[metric["Name"]] = line[metric["Name"]]
    # The awslogs driver splits longer lines, which are no JSON then.
    assert len(json.dumps(line)) < 16 * 1024
    return values


def test_every_metric_is_written_also_when_nothing_was_counted() -> None:
    assert conform(reporter(Metrics()).line()) == dict.fromkeys(NAMES, 0)


def test_a_line_has_the_counts_since_the_last_one() -> None:
    metrics = Metrics()
    metrics.add("Processed", 10)
    metrics.add("Processed")
    metrics.highest("OldestMessageAge", 3.5)
    metrics.highest("OldestMessageAge", 1.0)
    written = reporter(metrics, BreakerOpen=1, PoolWaits=4)

    first, second = conform(written.line()), conform(written.line())

    assert (first["Processed"], first["OldestMessageAge"], first["BreakerOpen"], first["PoolWaits"]) == (11, 3.5, 1, 4)
    assert (second["Processed"], second["OldestMessageAge"]) == (0, 0)


def test_a_log_line_has_the_members_at_the_top(caplog: pytest.LogCaptureFixture) -> None:
    written = reporter(Metrics())
    with caplog.at_level(logging.INFO):
        written.start()
        written.stop()

    (record,) = [record for record in caplog.records if record.getMessage() == "metrics"]
    line = json.loads(JsonLines().format(record))
    assert conform(line).keys() == NAMES
    assert line["Environment"] == "test"
    assert line["_aws"]["Timestamp"] == 1_800_000_000_500


def test_the_service_writes_what_it_counted(world: World, start: Start) -> None:
    service = start(ORDEROPS_ROLE="both", METRICS_SECONDS="1")
    service.place()

    def counted() -> bool:
        lines = [conform(line) for line in service.lines() if "_aws" in line]
        return sum(line["Processed"] for line in lines) == sum(line["Accepted"] for line in lines) == 1

    until(counted, "the order to be counted")
