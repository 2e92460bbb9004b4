"""Metrics that AWS records itself. Measured at each read; a minute keeps its last value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow

from orderops.local.elb.traffic import TrafficCounts
from orderops.local.sqs.api import SqsMessages
from orderops.local.sqs.index import MessageState

# AWS keeps data points of a minute for 15 days; every save of the state writes all of them.
RETENTION = timedelta(hours=3)
BALANCERS = "AWS/ApplicationELB"


@dataclass(frozen=True)
class Measurement:
    """Current value of a metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    value: float

    @property
    def key(self) -> tuple[object, ...]:
        return self.namespace, self.name, self.dimensions


def record(region: str, measurements: Iterable[Measurement]) -> None:
    """Store the measurements as this minute's points, and delete the oldest points."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    now, latest = utcnow(), _latest(backend)
    for measurement in measurements:
        point = latest.get(measurement.key)
        if point is None or _minute(point.timestamp) != _minute(now):
            dimensions = [{"Name": name, "Value": value} for name, value in measurement.dimensions]
            point = MetricDatum(measurement.namespace, measurement.name, measurement.value, dimensions, now, "Count")
            latest[measurement.key] = point
            backend.metric_data.append(point)
        point.value, point.timestamp = measurement.value, now
    own_namespaces = {namespace for namespace, *_ in latest}
    backend.metric_data[:] = [
        datum
        for datum in backend.metric_data
        if datum.namespace not in own_namespaces or now - _without_zone(datum.timestamp) < RETENTION
    ]


def record_traffic(region: str, traffic: TrafficCounts) -> None:
    """Store what the load balancers counted, a point for each minute, target group and balancer."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    groups = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].target_groups
    stored = {(point.name, point.timestamp, tuple(d.value for d in point.dimensions)): point for point in _own(backend)}
    totals: Counter[tuple[datetime, str, tuple[str, ...]]] = Counter()
    for minute, arn, name, count in traffic.by_minute():
        for balancer in groups[arn].load_balancer_arns if arn in groups else ():
            whole = (balancer.rpartition(":loadbalancer/")[2],)
            totals[minute, name, (*whole, arn.rpartition(":")[2])] += count
            totals[minute, name, whole] += count
    for (minute, name, values), count in totals.items():
        moment = minute.replace(tzinfo=None)
        point = stored.get((name, moment, values))
        if point is None:
            # The totals of a balancer have no target group.
            pairs = zip(("LoadBalancer", "TargetGroup"), values, strict=False)
            dimensions = [{"Name": key, "Value": value} for key, value in pairs]
            point = MetricDatum(BALANCERS, name, count, dimensions, moment, "Count")
            backend.metric_data.append(point)
        point.value = count


def _own(backend: Any) -> list[Any]:
    return [point for point in backend.metric_data if point.namespace == BALANCERS]


def queues(region: str, messages: SqsMessages) -> Iterator[Measurement]:
    """Yield the depth and age metrics of all queues."""
    for queue in get_backend("sqs")[DEFAULT_ACCOUNT_ID][region].queues.values():
        mailbox = messages.queues.mailbox(queue)
        counts = messages.store.counts(mailbox)
        values = {
            "ApproximateNumberOfMessagesVisible": counts[MessageState.VISIBLE],
            "ApproximateNumberOfMessagesNotVisible": counts[MessageState.IN_FLIGHT],
            "ApproximateNumberOfMessagesDelayed": counts[MessageState.DELAYED],
            "ApproximateAgeOfOldestMessage": messages.store.oldest_age(mailbox),
        }
        for name, value in values.items():
            yield Measurement("AWS/SQS", name, (("QueueName", queue.name),), float(value))


def _minute(moment: datetime) -> datetime:
    return _without_zone(moment).replace(second=0, microsecond=0)


def _without_zone(moment: datetime) -> datetime:
    """Remove the zone: moto's times are UTC without one."""
    return moment.replace(tzinfo=None)


def _latest(backend: Any) -> dict[tuple[object, ...], Any]:
    """Return the newest point of each metric, stored on moto's backend."""
    if not hasattr(backend, "latest"):
        backend.latest = {}
    latest: dict[tuple[object, ...], Any] = backend.latest
    return latest
