"""Trends: metrics of this week against those of the week before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.metrics import MetricQuery, Point, read_metrics
from orderops.aws.ownership import Ownership
from orderops.frozen import Frozen
from orderops.infra.alert_rules import ELB, RDS, SQS
from orderops.infra.stack import Stack
from orderops.reports.line import ReportLine, judged, unknown
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer

WEEK, HOUR = timedelta(days=7), timedelta(hours=1)
MEGABYTE, GIGABYTE = 1e6, 1e9
# From which value on a rise is worth a look.
LARGEST_RISE = 1.5
LEAST_LOG_BYTES, LEAST_SECONDS, LEAST_AGE, LEAST_CPU = 100 * MEGABYTE, 0.1, 300.0, 40.0
FULL_WITHIN_WEEKS = 8


class TwoWeeks(Frozen):
    """The hourly values of the week before and of this week, oldest first."""

    before: Sequence[float]
    now: Sequence[float]

    def both(self, of: Callable[[Sequence[float]], float]) -> tuple[float | None, float | None]:
        """A number of each week; None where there is no data."""
        return (of(self.before) if self.before else None), (of(self.now) if self.now else None)


def trends(aws: Aws, stack: Stack, now: datetime) -> Iterator[ReportLine]:
    """Log volume, response time, age of the queues, storage and CPU of the database."""
    env = stack.environment.name
    status = f"orderops status --env {env}"
    groups = [resource.name for resource in stack.infra if resource.kind in ("logs-group", "logs-service-group")]
    logs = [MetricQuery("AWS/Logs", "IncomingBytes", "Sum", {"LogGroupName": name}) for name in groups]
    yield _logs(_values(aws, logs, now), f"orderops service logs --env {env}")
    balancers = [observed.properties["ArnSuffix"] for observed in Elbv2LoadBalancer.listing(aws, Ownership(env))]
    times = [MetricQuery(ELB, "TargetResponseTime", "p95", {"LoadBalancer": suffix}) for suffix in balancers]
    yield _compared("p95 of the response time", _joined(_values(aws, times, now)), _mean, "s", LEAST_SECONDS, status)
    queues = {key: base.queue.name for key, base in stack.services.items() if base.works_for is None}
    ages = [MetricQuery(SQS, "ApproximateAgeOfOldestMessage", "Maximum", {"QueueName": q}) for q in queues.values()]
    for key, values in zip(queues, _values(aws, ages, now), strict=True):
        look = f"orderops queue status --service {key} --env {env}"
        yield _compared(f"oldest message of {key}", values, max, "s", LEAST_AGE, look)
    instance = {"DBInstanceIdentifier": stack.database.name}
    cpu, free = _values(
        aws,
        [
            MetricQuery(RDS, "CPUUtilization", "Average", instance),
            MetricQuery(RDS, "FreeStorageSpace", "Minimum", instance),
        ],
        now,
    )
    yield _compared("CPU of the database", cpu, _mean, "%", LEAST_CPU, status)
    yield _storage(free, f"orderops infra plan --env {env}")


def _logs(groups: Sequence[TwoWeeks], next_: str) -> ReportLine:
    subject = "log volume"
    before, now = sum(sum(group.before) for group in groups), sum(sum(group.now) for group in groups)
    if not any(group.now for group in groups):
        return unknown(subject, next_)
    if not any(group.before for group in groups):
        return judged(subject, f"{now / MEGABYTE:.0f} MB, no data of the week before", next_, look=False)
    risen = now > before * LARGEST_RISE and now > LEAST_LOG_BYTES
    return judged(subject, f"{now / MEGABYTE:.0f} MB, {before / MEGABYTE:.0f} MB the week before", next_, look=risen)


def _compared(
    subject: str, weeks: TwoWeeks, of: Callable[[Sequence[float]], float], unit: str, least: float, next_: str
) -> ReportLine:
    before, now = weeks.both(of)
    if now is None:
        return unknown(subject, next_)
    if before is None:
        return judged(subject, f"{now:.3g} {unit}, no data of the week before", next_, look=False)
    risen = now > before * LARGEST_RISE and now > least
    return judged(subject, f"{now:.3g} {unit}, {before:.3g} {unit} the week before", next_, look=risen)


def _storage(free: TwoWeeks, next_: str) -> ReportLine:
    subject = "free storage of the database"
    before, now = free.both(lambda values: values[-1])
    if now is None:
        return unknown(subject, next_)
    fact = f"{now / GIGABYTE:.1f} GB"
    if before is None:
        return judged(subject, f"{fact}, no data of the week before", next_, look=False)
    used = before - now
    if used <= 0:
        return judged(subject, f"{fact}, {before / GIGABYTE:.1f} GB the week before", next_, look=False)
    weeks = now / used
    fact = f"{fact}, {used / GIGABYTE:.1f} GB less than the week before: full in {weeks:.0f} weeks"
    return judged(subject, fact, next_, look=weeks < FULL_WITHIN_WEEKS)


def _values(aws: Aws, metrics: Sequence[MetricQuery], now: datetime) -> list[TwoWeeks]:
    """The hourly values of two weeks for each metric."""
    found = read_metrics(aws, metrics, period=HOUR, start=now - 2 * WEEK, end=now)
    return [_split(points, now - WEEK) for points in found]


def _split(points: Iterable[Point], middle: datetime) -> TwoWeeks:
    before: list[float] = []
    now: list[float] = []
    for time, value in points:
        (now if time >= middle else before).append(value)
    return TwoWeeks(before, now)


def _joined(weeks: Iterable[TwoWeeks]) -> TwoWeeks:
    found = list(weeks)
    return TwoWeeks([v for week in found for v in week.before], [v for week in found for v in week.now])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
