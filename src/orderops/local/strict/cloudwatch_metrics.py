"""What AWS measures by itself: the depth of queues. Sampled at a look, a point a minute as on AWS."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow

KEPT = timedelta(hours=3)


def sample(region: str) -> None:
    """Let the metrics of this minute say how it is now."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    latest = _latest(backend)
    now = utcnow()
    for queue in get_backend("sqs")[DEFAULT_ACCOUNT_ID][region].queues.values():
        for name, value in _measures(queue).items():
            key = (queue.name, name)
            point = latest.get(key)
            if point is None or point.timestamp.replace(second=0, microsecond=0) != now.replace(
                second=0, microsecond=0
            ):
                dimensions = [{"Name": "QueueName", "Value": queue.name}]
                point = latest[key] = MetricDatum("AWS/SQS", name, value, dimensions, now, "Count")
                backend.metric_data.append(point)
            point.value, point.timestamp = value, now
    if latest:
        kept = [one for one in backend.metric_data if one.namespace != "AWS/SQS" or _age(one, now) < KEPT]
        backend.metric_data[:] = kept


def _measures(queue: Any) -> dict[str, float]:
    waiting = queue.messages
    oldest = min((message.sent_timestamp for message in waiting), default=None)
    return {
        "ApproximateNumberOfMessagesVisible": float(len(waiting)),
        "ApproximateNumberOfMessagesNotVisible": float(queue.approximate_number_of_messages_not_visible),
        "ApproximateNumberOfMessagesDelayed": float(queue.approximate_number_of_messages_delayed),
        "ApproximateAgeOfOldestMessage": max(0.0, time.time() - oldest / 1000) if oldest else 0.0,
    }


def _age(datum: Any, now: Any) -> timedelta:
    age: timedelta = now - datum.timestamp.replace(tzinfo=None)
    return age


def _latest(backend: Any) -> dict[tuple[str, str], Any]:
    """The newest point of each metric, kept with what moto keeps of CloudWatch."""
    if not hasattr(backend, "latest"):
        backend.latest = {}
    found: dict[tuple[str, str], Any] = backend.latest
    return found
