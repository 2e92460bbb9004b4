"""How far a read replica is behind the database: what its promotion would lose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

from orderops.aws.client import Aws
from orderops.aws.metrics import MetricQuery, read_metrics
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.text.durations import measured

WINDOW, PERIOD = timedelta(minutes=10), timedelta(minutes=1)
POSITION = "SELECT pg_current_wal_lsn()::text"
# What was received is replayed before a promotion, so only what is missing is lost. A primary that stands still has
# nothing that the replica lacks, however old its last commit is.
BEHIND = """
SELECT greatest(pg_wal_lsn_diff(%(position)s, pg_last_wal_receive_lsn()), 0)::bigint,
       CASE WHEN pg_last_wal_receive_lsn() >= %(position)s::pg_lsn THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8
"""


class MeasuredLag(Frozen):
    """How far a replica is behind; None where that is not known."""

    seconds: float | None
    size: float | None
    """Bytes of log that the replica does not have."""
    source: str
    """What measured it."""

    @property
    def words(self) -> str:
        """Such as "12 s, 4096 bytes of log (CloudWatch, of the last minute)"."""
        if self.seconds is None and self.size is None:
            return f"not known ({self.source})"
        if self.seconds is not None and self.seconds < 0:
            return f"everything since it stopped to replicate ({self.source})"
        parts = [
            measured(self.seconds) if self.seconds is not None else "",
            f"{self.size:.0f} bytes of log" if self.size is not None else "",
        ]
        return f"{', '.join(filter(None, parts))} ({self.source})"


def lag_between(primary: psycopg.Connection, replica: psycopg.Connection) -> MeasuredLag:
    """Ask both servers. Raises OrderopsError if one does not answer."""
    try:
        position = primary.execute(POSITION).fetchone()
        row = replica.execute(BEHIND, {"position": position[0] if position else None}).fetchone()
    except psycopg.Error as error:
        raise OrderopsError(f"the servers do not say how far they are apart: {error}") from None
    size, seconds = row if row else (None, None)
    return MeasuredLag(seconds, size, "asked of both servers now")


def lag_by_metrics(aws: Aws, primary: str, replica: str) -> MeasuredLag:
    """Read the newest values of CloudWatch. The bytes are those of the replica furthest behind."""
    now = datetime.now(UTC)
    queries = [
        MetricQuery("AWS/RDS", "ReplicaLag", "Maximum", {"DBInstanceIdentifier": replica}),
        MetricQuery("AWS/RDS", "OldestReplicationSlotLag", "Maximum", {"DBInstanceIdentifier": primary}),
    ]
    found = read_metrics(aws, queries, period=PERIOD, start=now - WINDOW, end=now)
    seconds, size = (points[-1][1] if points else None for points in found)
    return MeasuredLag(seconds, size, "by CloudWatch, up to a minute old")
