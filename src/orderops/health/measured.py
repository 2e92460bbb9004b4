"""What CloudWatch measured last of database, replicas and queues, all of it in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.metrics import MetricQuery, read_metrics
from orderops.frozen import Frozen, field
from orderops.infra.service import ServiceBase

# SQS and RDS send a point a minute, and late.
WINDOW = timedelta(minutes=10)
PERIOD = timedelta(minutes=1)
DATABASE = {
    "storage": ("FreeStorageSpace", "Minimum"),
    "connections": ("DatabaseConnections", "Maximum"),
    "cpu": ("CPUUtilization", "Average"),
    "load": ("DBLoadRelativeToNumVCPUs", "Average"),
    "writes": ("WriteIOPS", "Average"),
}


class Measured(Frozen):
    """The newest values; None, or no entry, where CloudWatch has none of the last ten minutes."""

    free_storage: float | None = None
    """Bytes."""
    connections: float | None = None
    cpu: float | None = None
    """Percent."""
    load: float | None = None
    """Sessions that are active, for each CPU."""
    writes: float | None = None
    """Writes to the disk each second."""
    lags: Mapping[str, float] = field(default_factory=dict)
    """How many seconds each replica is behind, by its name; -1 for one that does not replicate."""
    oldest: Mapping[str, float] = field(default_factory=dict)
    """Age of the oldest message in seconds, by the key of the queue's service."""


def read_measured(
    aws: Aws, instance: str | None, bases: Iterable[ServiceBase], replicas: Sequence[str] = ()
) -> Measured:
    """Read the newest values of a database instance, of its replicas, and of the queues of these services."""
    queues, now = list(bases), datetime.now(UTC)
    named = {"DBInstanceIdentifier": instance} if instance else None
    of_database = [MetricQuery("AWS/RDS", *metric, named) for metric in DATABASE.values() if named]
    of_queues = [
        MetricQuery("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", {"QueueName": base.queue.name})
        for base in queues
    ]
    of_replicas = [
        MetricQuery("AWS/RDS", "ReplicaLag", "Average", {"DBInstanceIdentifier": replica}) for replica in replicas
    ]
    found = read_metrics(aws, [*of_database, *of_replicas, *of_queues], period=PERIOD, start=now - WINDOW, end=now)
    newest = [points[-1][1] if points else None for points in found]
    values = dict(zip(DATABASE, newest[: len(of_database)], strict=False))
    lags = zip(replicas, newest[len(of_database) :], strict=False)
    ages = zip(queues, newest[len(of_database) + len(of_replicas) :], strict=True)
    return Measured(
        free_storage=values.get("storage"),
        connections=values.get("connections"),
        cpu=values.get("cpu"),
        load=values.get("load"),
        writes=values.get("writes"),
        lags={replica: lag for replica, lag in lags if lag is not None},
        oldest={base.key: age for base, age in ages if age is not None},
    )
