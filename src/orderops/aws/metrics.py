"""Metrics as CloudWatch keeps them: the values of many in few calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import to_pairs
from orderops.frozen import Frozen

# GetMetricData: "A single GetMetricData call can include up to 500 MetricDataQuery structures".
QUERIES_A_CALL = 500
Point = tuple[datetime, float]


class MetricQuery(Frozen):
    """A metric, and the statistic of each period."""

    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, str]

    def to_dict(self, id_: str, period: timedelta) -> dict[str, Any]:
        """As GetMetricData takes it."""
        metric = {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": to_pairs(self.dimensions, "Name"),
        }
        stat = {"Metric": metric, "Period": int(period.total_seconds()), "Stat": self.statistic}
        return {"Id": id_, "MetricStat": stat}


def read_metrics(
    aws: Aws, queries: Sequence[MetricQuery], *, period: timedelta, start: datetime, end: datetime
) -> list[list[Point]]:
    """The values of each query in the order of their times; empty where CloudWatch has none."""
    return [sorted(points) for points in _points(aws, queries, period, {"StartTime": start, "EndTime": end})]


def _points(
    aws: Aws, queries: Sequence[MetricQuery], period: timedelta, times: Mapping[str, datetime]
) -> Iterator[list[Point]]:
    for first in range(0, len(queries), QUERIES_A_CALL):
        part = queries[first : first + QUERIES_A_CALL]
        requests = [query.to_dict(f"m{index}", period) for index, query in enumerate(part)]
        found: list[list[Point]] = [[] for _ in part]
        # The values of a metric may be spread over several pages.
        for result in every(aws.cloudwatch.get_metric_data, "MetricDataResults", MetricDataQueries=requests, **times):
            found[int(result["Id"][1:])] += zip(result["Timestamps"], result["Values"], strict=True)
        yield from found
