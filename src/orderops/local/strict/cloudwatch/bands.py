"""Bands of usual values: what an anomaly detector has learned, and alarms that compare a metric with its band.

AWS trains a model by the hours of up to two weeks, and does not publish it. In its place, the band is the mean of the
metric's past values, and some standard deviations to both sides. The evaluated periods are not among them, so that an
anomaly does not count as usual while it lasts.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.local.strict.cloudwatch.points import MetricKey, PeriodWindow, with_utc

CALL = re.compile(r"\s*ANOMALY_DETECTION_BAND\(\s*(\w+)\s*(?:,\s*(-?\d+(?:\.\d+)?)\s*)?\)\s*")
# "Using CloudWatch anomaly detection" in the user guide: a model is trained on up to two weeks.
LEARNED = timedelta(days=14)
# An hour of five minutes each, where AWS takes about three hours: the laptop keeps no more than that.
ENOUGH = 12
PERIOD = timedelta(minutes=5)
# Standard deviations where the expression names none.
DEVIATIONS = 2.0


@dataclass(frozen=True)
class Band:
    """The lowest and the highest usual value."""

    lower: float
    upper: float


@dataclass(frozen=True)
class BandCall:
    """An expression ANOMALY_DETECTION_BAND: the id of its metric, and its width in standard deviations."""

    metric: str
    deviations: float


def band_call(expression: str) -> BandCall | None:
    """The call of an expression, if it is one of ANOMALY_DETECTION_BAND alone."""
    found = CALL.fullmatch(expression)
    return BandCall(found[1], float(found[2] or DEVIATIONS)) if found else None


def band_before(
    backend: Any, metric: MetricKey, statistic: str, window: PeriodWindow, deviations: float
) -> Band | None:
    """The band that the periods before a window give; None where there are too few of them."""
    values = _learned(backend, metric, statistic, window.start, window.period)
    if len(values) < ENOUGH:
        return None
    middle, spread = statistics.fmean(values), deviations * statistics.pstdev(values)
    return Band(middle - spread, middle + spread)


def training_state(backend: Any, metric: MetricKey, statistic: str) -> str:
    """How far a detector is, by the data there is: StateValue of DescribeAnomalyDetectors."""
    known = len(_learned(backend, metric, statistic, datetime.now(UTC), PERIOD))
    if not known:
        return "PENDING_TRAINING"
    return "TRAINED" if known >= ENOUGH else "TRAINED_INSUFFICIENT_DATA"


def _learned(backend: Any, metric: MetricKey, statistic: str, end: datetime, period: timedelta) -> list[float]:
    times = [with_utc(datum.timestamp) for datum in backend.metric_data if metric.matches(datum)]
    # No more periods than there may be data in.
    count = min(LEARNED // period, max(0, (end - min(times)) // period + 1)) if times else 0
    past = PeriodWindow(end - count * period, period, count)
    return [value for value in past.values(backend, metric, statistic) if value is not None]


def beyond(operator: str, band: Band, value: float) -> bool:
    """Whether a value is beyond the edge of the band that the operator names."""
    above, below = value > band.upper, value < band.lower
    return {
        "GreaterThanUpperThreshold": above,
        "LessThanLowerThreshold": below,
        "LessThanLowerOrGreaterThanUpperThreshold": above or below,
    }[operator]
