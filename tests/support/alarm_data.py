"""Data points of the metrics that the alarms of an environment `dev` with a service `shop` watch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ELB, ECS, SQS, RDS, INSIGHTS = "AWS/ApplicationELB", "AWS/ECS", "AWS/SQS", "AWS/RDS", "ECS/ContainerInsights"
BALANCER = {"LoadBalancer": "app/shop/1"}
FIRST = {**BALANCER, "TargetGroup": "targetgroup/one/1"}
SECOND = {**BALANCER, "TargetGroup": "targetgroup/two/2"}
TASKS = {"ClusterName": "orderops-dev-cluster", "ServiceName": "orderops-dev-shop"}
LOGS = {"Environment": "dev", "Service": "shop"}
QUEUE, DEAD = {"QueueName": "orderops-dev-shop-queue"}, {"QueueName": "orderops-dev-shop-dlq"}
DATABASE = {"DBInstanceIdentifier": "orderops-dev-database"}
REPLICA = {"DBInstanceIdentifier": "orderops-dev-database-replica-1"}
CERTIFICATE = {"CertificateArn": "arn:aws:acm:ap-southeast-2:111111111111:certificate/1"}
FAILED, SCHEDULES = {"QueueName": "orderops-dev-failed-schedules"}, {"ScheduleGroup": "orderops-dev"}
WEB_ACL = {"Region": "ap-southeast-2", "Rule": "ALL", "WebACL": "orderops-dev-firewall"}
DEPTH, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"


@dataclass(frozen=True)
class Points:
    """Values of the last periods, the newest first; None for a period without data."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    values: Sequence[float | None]


def hosts(*values: float | None, group: Mapping[str, str] = FIRST) -> Points:
    return Points(ELB, "HealthyHostCount", group, values)


def wanted(*values: float) -> Points:
    return Points(INSIGHTS, "DesiredTaskCount", TASKS, values)


def requests(number: float, group: Mapping[str, str] = FIRST) -> Points:
    return Points(ELB, "RequestCount", group, [number] * 5)


def answers(status: str, *values: float | None, group: Mapping[str, str] = FIRST) -> Points:
    return Points(ELB, f"HTTPCode_{status}_Count", group, values)


def seconds(*values: float | None, group: Mapping[str, str] = FIRST) -> Points:
    return Points(ELB, "TargetResponseTime", group, values)


def judged(blocked: Sequence[float | None], allowed: Sequence[float | None]) -> list[Points]:
    return [
        Points("AWS/WAFV2", "BlockedRequests", WEB_ACL, blocked),
        Points("AWS/WAFV2", "AllowedRequests", WEB_ACL, allowed),
    ]


def lag(*values: float | None) -> Points:
    return Points(RDS, "ReplicaLag", REPLICA, values)


def writes(number: float) -> Points:
    return Points(RDS, "WriteIOPS", DATABASE, [number] * 5)


def points(namespace: str, metric: str, dimensions: Mapping[str, str], *values: float | None) -> list[Points]:
    return [Points(namespace, metric, dimensions, values)]


def put(cloudwatch: Any, data: Iterable[Points], period: int = 60) -> None:
    """Store the points, the first of each in the newest period."""
    now = time.time()
    for given in data:
        pairs = [{"Name": key, "Value": value} for key, value in given.dimensions.items()]
        datums = [
            # In the middle of its period, so that a slow test does not push it into the one before.
            {
                "MetricName": given.metric,
                "Dimensions": pairs,
                "Value": value,
                "Timestamp": now - (age + 0.5) * period,
            }
            for age, value in enumerate(given.values)
            if value is not None
        ]
        cloudwatch.put_metric_data(Namespace=given.namespace, MetricData=datums)
