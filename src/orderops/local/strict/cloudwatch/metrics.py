"""Metrics that AWS records itself. Measured at each read; a minute keeps its last value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow

from orderops.local.elb.traffic import MinuteCounts, TrafficCounts
from orderops.local.sqs.api import SqsMessages
from orderops.local.sqs.index import MessageState

# AWS keeps data points of a minute for 15 days; every save of the state writes all of them.
RETENTION = timedelta(hours=3)
BALANCERS, FIREWALLS, CERTIFICATES = "AWS/ApplicationELB", "AWS/WAFV2", "AWS/CertificateManager"


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
    own_namespaces = {namespace for namespace, *_ in latest} | {FIREWALLS}
    backend.metric_data[:] = [
        datum
        for datum in backend.metric_data
        if datum.namespace not in own_namespaces or now - _without_zone(datum.timestamp) < RETENTION
    ]


def record_traffic(region: str, traffic: TrafficCounts) -> None:
    """Store what the load balancers counted, a point for each minute, target group and balancer."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    groups = get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].target_groups
    stored = _stored(backend, BALANCERS)
    totals: Counter[tuple[datetime, str, tuple[str, ...]]] = Counter()
    for minute, arn, name, count in traffic.by_minute():
        for balancer in groups[arn].load_balancer_arns if arn in groups else ():
            whole = (balancer.rpartition(":loadbalancer/")[2],)
            totals[minute, name, (*whole, arn.rpartition(":")[2])] += count
            totals[minute, name, whole] += count
    for (minute, name, values), count in totals.items():
        # The totals of a balancer have no target group.
        pairs = tuple(zip(("LoadBalancer", "TargetGroup"), values, strict=False))
        _store(backend, stored, Measurement(BALANCERS, name, pairs, count), minute)


def record_firewalls(region: str, counts: MinuteCounts) -> None:
    """Store what web ACLs judged, a point for each minute, web ACL and rule."""
    backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
    stored = _stored(backend, FIREWALLS)
    for minute, judged, name, count in counts.by_minute():
        acl, _, rule = judged.partition("/")
        dimensions = (("Region", region), ("Rule", rule), ("WebACL", acl))
        _store(backend, stored, Measurement(FIREWALLS, name, dimensions, count), minute)


def certificates(region: str) -> Iterator[Measurement]:
    """Yield the days until each issued certificate expires; AWS measures them once a day."""
    for arn, certificate in get_backend("acm")[DEFAULT_ACCOUNT_ID][region]._certificates.items():
        if certificate.status != "ISSUED":
            continue
        left = datetime.fromtimestamp(certificate.describe()["Certificate"]["NotAfter"], UTC) - datetime.now(UTC)
        if left > timedelta():
            yield Measurement(CERTIFICATES, "DaysToExpiry", (("CertificateArn", arn),), float(left.days))


def _stored(backend: Any, namespace: str) -> dict[tuple[object, ...], Any]:
    """The points of a namespace by metric, dimensions and time."""
    return {
        (point.name, tuple((pair.name, pair.value) for pair in point.dimensions), point.timestamp): point
        for point in backend.metric_data
        if point.namespace == namespace
    }


def _store(backend: Any, stored: dict[tuple[object, ...], Any], measured: Measurement, minute: datetime) -> None:
    """Store a point of a minute, or change the one that is there."""
    moment = minute.replace(tzinfo=None)
    point = stored.get((measured.name, measured.dimensions, moment))
    if point is None:
        dimensions = [{"Name": name, "Value": value} for name, value in measured.dimensions]
        point = MetricDatum(measured.namespace, measured.name, measured.value, dimensions, moment, "Count")
        backend.metric_data.append(point)
    point.value = measured.value


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
