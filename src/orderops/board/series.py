"""Metrics of the last 24 hours of each service, read from CloudWatch in one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from orderops.aws.client import if_found
from orderops.aws.metrics import MetricQuery, read_metrics
from orderops.frozen import Frozen
from orderops.health.entrance import read_entrance
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace

PERIOD = timedelta(minutes=5)
COUNT = 288
ELB, SQS, INSIGHTS = "AWS/ApplicationELB", "AWS/SQS", "ECS/ContainerInsights"

Values = tuple[float | None, ...]
"""A value for each period, oldest first; None where there is no data."""


class ServiceSeries(Frozen):
    """The metrics of a service. What it does not have, such as the requests of a worker, is not there."""

    service: str
    values: Mapping[str, Values]
    """By name: latency (seconds, p95), requests (a minute), errors (percent), waiting, running, wanted."""
    max_tasks: int


class DaySeries(Frozen):
    """The metrics of 24 hours that end at `end`."""

    end: datetime
    services: tuple[ServiceSeries, ...] = ()

    @property
    def start(self) -> datetime:
        """The begin of the first period."""
        return self.end - COUNT * PERIOD


class _ServiceQuery(Frozen):
    service: str
    metric: str
    query: MetricQuery


def read_series(workspace: Workspace, now: datetime) -> DaySeries:
    """Read the last 24 hours in whole periods. The present one is left out: its counts are not complete."""
    seconds = int(PERIOD.total_seconds())
    end = datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
    queries = list(_queries(workspace))
    read: dict[tuple[str, str], list[Values]] = {}
    for query, values in zip(queries, _values(workspace, queries, end), strict=True):
        read.setdefault((query.service, query.metric), []).append(values)
    services = workspace.environment.services
    return DaySeries(
        end,
        tuple(ServiceSeries(name, _of_service(name, read), declared.max_tasks) for name, declared in services.items()),
    )


def _queries(workspace: Workspace) -> Iterator[_ServiceQuery]:
    balancer, groups = _entrance(workspace)
    cluster, insights = workspace.stack.cluster.name, workspace.environment.cluster.container_insights
    for key, base in workspace.stack.services.items():
        for dimensions in _dimensions(base, balancer, groups):
            yield _ServiceQuery(key, "latency", MetricQuery(ELB, "TargetResponseTime", "p95", dimensions))
            yield _ServiceQuery(key, "requests", MetricQuery(ELB, "RequestCount", "Sum", dimensions))
            yield _ServiceQuery(key, "failed", MetricQuery(ELB, "HTTPCode_Target_5XX_Count", "Sum", dimensions))
        if not base.works_for:
            waiting = {"QueueName": base.queue.name}
            yield _ServiceQuery(
                key, "waiting", MetricQuery(SQS, "ApproximateNumberOfMessagesVisible", "Maximum", waiting)
            )
        if insights:
            tasks = {"ClusterName": cluster, "ServiceName": workspace.environment.service_name(key)}
            yield _ServiceQuery(key, "running", MetricQuery(INSIGHTS, "RunningTaskCount", "Minimum", tasks))
            yield _ServiceQuery(key, "wanted", MetricQuery(INSIGHTS, "DesiredTaskCount", "Maximum", tasks))


def _entrance(workspace: Workspace) -> tuple[str, Mapping[str, str]]:
    """The load balancer and its target groups by name, as CloudWatch's dimensions name them."""
    entrance = read_entrance(workspace)
    if entrance is None:
        return "", {}
    arn = entrance["LoadBalancerArn"]
    found = if_found(
        workspace.aws.elbv2.describe_target_groups, "LoadBalancerNotFound", "TargetGroupNotFound", LoadBalancerArn=arn
    )
    groups = {raw["TargetGroupName"]: raw["TargetGroupArn"] for raw in (found or {}).get("TargetGroups", ())}
    return arn.rpartition(":loadbalancer/")[2], {name: group.rpartition(":")[2] for name, group in groups.items()}


def _dimensions(base: ServiceBase, balancer: str, groups: Mapping[str, str]) -> list[dict[str, str]]:
    """Those of each target group of a service."""
    names = [group.name for group in base.routing.target_groups] if base.routing else []
    return [{"LoadBalancer": balancer, "TargetGroup": groups[name]} for name in names if name in groups]


def _values(workspace: Workspace, queries: list[_ServiceQuery], end: datetime) -> list[Values]:
    start = end - COUNT * PERIOD
    wanted = [query.query for query in queries]
    found: list[list[float | None]] = [[None] * COUNT for _ in queries]
    read = read_metrics(workspace.aws, wanted, period=PERIOD, start=start, end=end)
    for values, points in zip(found, read, strict=True):
        for time, value in points:
            index = (time - start) // PERIOD
            if 0 <= index < COUNT:
                values[index] = float(value)
    return [tuple(values) for values in found]


def _of_service(name: str, read: Mapping[tuple[str, str], list[Values]]) -> dict[str, Values]:
    """The metrics of a service, those of two target groups together."""
    latency, requests = read.get((name, "latency")), read.get((name, "requests"))
    values: dict[str, Values] = {}
    if latency and requests:
        answered, failed = _total(requests), _total(read[name, "failed"])
        minutes = PERIOD.total_seconds() / 60
        values["latency"] = tuple(
            max((v for v in at if v is not None), default=None) for at in zip(*latency, strict=True)
        )
        # The load balancer sends no data point for a count of zero.
        pairs = list(zip(answered, failed, strict=True))
        values["errors"] = tuple(100 * (bad or 0) / count if count else None for count, bad in pairs)
        values["requests"] = tuple(None if count is None else count / minutes for count in answered)
    for metric in ("waiting", "running", "wanted"):
        if found := read.get((name, metric)):
            values[metric] = found[0]
    return values


def _total(groups: list[Values]) -> Values:
    return tuple(
        sum(v for v in at if v is not None) if any(v is not None for v in at) else None
        for at in zip(*groups, strict=True)
    )
