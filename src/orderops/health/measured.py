"""What CloudWatch measured last of database and queues, all of it in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.client import Aws, every
from orderops.infra.service import ServiceBase

# SQS and RDS send a point a minute, and late.
WINDOW = timedelta(minutes=10)
PERIOD = 60
DATABASE = {
    "storage": ("FreeStorageSpace", "Minimum"),
    "connections": ("DatabaseConnections", "Maximum"),
    "cpu": ("CPUUtilization", "Average"),
    "load": ("DBLoadRelativeToNumVCPUs", "Average"),
}


@dataclass(frozen=True)
class Measured:
    """The newest values; None, or no entry, where CloudWatch has none of the last ten minutes."""

    free_storage: float | None = None
    """Bytes."""
    connections: float | None = None
    cpu: float | None = None
    """Percent."""
    load: float | None = None
    """Sessions that are active, for each CPU."""
    oldest: Mapping[str, float] = field(default_factory=dict)
    """Age of the oldest message in seconds, by the key of the queue's service."""


def read_measured(aws: Aws, instance: str | None, bases: Iterable[ServiceBase]) -> Measured:
    """Read the newest values of a database instance and of the queues of these services."""
    queues = {f"queue{index}": base for index, base in enumerate(bases)}
    now = datetime.now(UTC)
    found = every(
        aws.cloudwatch.get_metric_data,
        "MetricDataResults",
        MetricDataQueries=[*_of_database(instance), *_of_queues(queues)],
        StartTime=now - WINDOW,
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    # The results come in pages, and those of a later page continue the ones before.
    values: dict[str, float] = {}
    for result in found:
        if result["Values"]:
            values.setdefault(result["Id"], result["Values"][0])
    return Measured(
        free_storage=values.get("storage"),
        connections=values.get("connections"),
        cpu=values.get("cpu"),
        load=values.get("load"),
        oldest={base.key: values[id_] for id_, base in queues.items() if id_ in values},
    )


def _of_database(instance: str | None) -> Iterator[dict[str, Any]]:
    for id_, (metric, statistic) in DATABASE.items() if instance else ():
        yield _query(id_, "AWS/RDS", metric, statistic, "DBInstanceIdentifier", instance)


def _of_queues(queues: Mapping[str, ServiceBase]) -> Iterator[dict[str, Any]]:
    for id_, base in queues.items():
        yield _query(id_, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", "QueueName", base.queue.name)


def _query(id_: str, namespace: str, metric: str, statistic: str, key: str, value: str | None) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value}]
    measured = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
    return {"Id": id_, "MetricStat": {"Metric": measured, "Period": PERIOD, "Stat": statistic}}
