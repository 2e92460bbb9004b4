"""How far a replica is behind: asked of both servers, or of CloudWatch where they cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orderops.aws.client import Aws
from orderops.local.rds import standby
from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch, server_account
from orderops.restore.lag import MeasuredLag, lag_between, lag_by_metrics
from support.laptop import until

SLOT = "rds_of_a_test"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its standby."""
    with scratch("orderops-lag-") as directory:
        primary = PostgresServer(directory / "primary", settings={"wal_level": "replica", **UNDURABLE})
        replica = PostgresServer(directory / "replica", settings=UNDURABLE)
        primary.start()
        replica.directory.mkdir()
        if account := server_account():
            account.chown(replica.directory)
        standby.create(replica, primary, SLOT)
        replica.start(extra_settings=standby.settings(primary, SLOT))
        until(lambda: standby.look(replica).streams, what="the standby streams")
        yield primary, replica
        replica.stop()
        primary.stop()


@pytest.mark.slow
def test_a_replica_that_has_everything_loses_nothing_even_if_it_has_not_replayed_it(
    servers: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, replica = servers
    standby.pause(replica, paused=True)
    with primary.connect() as here, replica.connect() as there:
        here.execute("CREATE TABLE IF NOT EXISTS written AS SELECT 1 AS id")
        until(lambda: lag_between(here, there).size == 0, what="the log is received")

        assert lag_between(here, there) == MeasuredLag(0, 0, "asked of both servers now")
    standby.pause(replica, paused=False)


@pytest.mark.slow
def test_a_replica_without_its_primary_has_lost_the_bytes_that_it_has_not_received(
    servers: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, replica = servers
    replica.reload({**standby.settings(primary, SLOT), "primary_conninfo": "host=127.0.0.1 port=1"})
    until(lambda: not standby.look(replica).streams, what="the standby does not stream")
    with primary.connect() as here, replica.connect() as there:
        here.execute("CREATE TABLE more AS SELECT id FROM generate_series(1, 1000) AS id")

        found = lag_between(here, there)

    assert found.size
    assert found.size > 10_000
    assert found.seconds
    assert found.seconds > 0
    assert " bytes of log (asked of both servers now)" in found.words


def test_cloudwatch_is_asked_for_seconds_of_the_replica_and_bytes_of_the_primary(aws: Aws) -> None:
    for name, metric, value in (("replica", "ReplicaLag", 12.0), ("primary", "OldestReplicationSlotLag", 4096.0)):
        aws.cloudwatch.put_metric_data(
            Namespace="AWS/RDS",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": name}],
                    "Value": value,
                    "Timestamp": datetime.now(UTC) - timedelta(minutes=2),
                }
            ],
        )

    found = lag_by_metrics(aws, "primary", "replica")

    assert found.words == "12.0 s, 4096 bytes of log (by CloudWatch, up to a minute old)"
    assert lag_by_metrics(aws, "other", "another").words == "not known (by CloudWatch, up to a minute old)"


def test_a_replica_that_does_not_replicate_has_lost_everything_since() -> None:
    assert MeasuredLag(-1, None, "by CloudWatch").words == "everything since it stopped to replicate (by CloudWatch)"
