"""Data points of a metric, as alarms and GetMetricData read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import MetricAggregatedDatum

Series = tuple[float | None, ...]
"""A value for each period, oldest first; None where there is no data."""


@dataclass(frozen=True)
class PeriodWindow:
    """Consecutive periods from a start on."""

    start: datetime
    period: timedelta
    count: int

    def values(self, backend: Any, metric: MetricKey, statistic: str) -> Series:
        """The statistic of each period."""
        periods: list[list[Any]] = [[] for _ in range(self.count)]
        for datum in backend.metric_data:
            if metric.matches(datum):
                index = (with_utc(datum.timestamp) - self.start) // self.period
                if 0 <= index < self.count:
                    periods[index].append(datum)
        return tuple(_statistic(data, statistic) if data else None for data in periods)


@dataclass(frozen=True)
class MetricKey:
    """What CloudWatch knows a metric by; dimensions have to be exactly those that were published."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]
    unit: str | None = None

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Iterable[Any], unit: str | None = None) -> MetricKey:
        """With the dimensions as moto stores them."""
        return cls(namespace, name, frozenset((pair.name, pair.value) for pair in dimensions), unit)

    def matches(self, datum: Any) -> bool:
        """Whether a datum is one of this metric."""
        return (
            (datum.namespace, datum.name) == (self.namespace, self.name)
            and self.unit in (None, datum.unit)
            and frozenset((pair.name, pair.value) for pair in datum.dimensions) == self.dimensions
        )


def with_utc(time: datetime) -> datetime:
    """Add the zone: moto's times are UTC without one."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


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
