"""What AWS measures by itself: a look is the moment of measuring, and each minute keeps its last value."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow

KEPT = timedelta(hours=3)


@dataclass(frozen=True)
class Measure:
    """One value of a metric, now."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    value: float

    @property
    def key(self) -> tuple[object, ...]:
        return self.namespace, self.name, self.dimensions


def record(region: str, measures: Iterable[Measure]) -> None:
    """Let the points of this minute say what was measured now, and forget the oldest."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    now, latest = utcnow(), _latest(backend)
    for measure in measures:
        point = latest.get(measure.key)
        if point is None or _minute(point.timestamp) != _minute(now):
            dimensions = [{"Name": name, "Value": value} for name, value in measure.dimensions]
            point = MetricDatum(measure.namespace, measure.name, measure.value, dimensions, now, "Count")
            latest[measure.key] = point
            backend.metric_data.append(point)
        point.value, point.timestamp = measure.value, now
    ours = {namespace for namespace, *_ in latest}
    backend.metric_data[:] = [
        one for one in backend.metric_data if one.namespace not in ours or now - _plain(one.timestamp) < KEPT
    ]


def queues(region: str) -> Iterator[Measure]:
    """How deep the queues are."""
    for queue in get_backend("sqs")[DEFAULT_ACCOUNT_ID][region].queues.values():
        waiting = queue.messages
        oldest = min((message.sent_timestamp for message in waiting), default=None)
        told = {
            "ApproximateNumberOfMessagesVisible": len(waiting),
            "ApproximateNumberOfMessagesNotVisible": queue.approximate_number_of_messages_not_visible,
            "ApproximateNumberOfMessagesDelayed": queue.approximate_number_of_messages_delayed,
            "ApproximateAgeOfOldestMessage": max(0.0, time.time() - oldest / 1000) if oldest else 0.0,
        }
        for name, value in told.items():
            yield Measure("AWS/SQS", name, (("QueueName", queue.name),), float(value))


def _minute(when: datetime) -> datetime:
    return _plain(when).replace(second=0, microsecond=0)


def _plain(when: datetime) -> datetime:
    """moto tells times of UTC without a zone."""
    return when.replace(tzinfo=None)


def _latest(backend: Any) -> dict[tuple[object, ...], Any]:
    """The newest point of each metric, kept with what moto keeps of CloudWatch."""
    if not hasattr(backend, "latest"):
        backend.latest = {}
    found: dict[tuple[object, ...], Any] = backend.latest
    return found
