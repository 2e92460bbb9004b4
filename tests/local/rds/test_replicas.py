"""Read replicas on the laptop: real standbys that stream from their source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orderops import local
from orderops.errors import OrderopsError
from orderops.local.client import pause_replay
from support.laptop import Laptop, until
from support.laptop_restores import home, remove

PASSWORD = "chosen-by-hand"


def source_of(laptop: Laptop, **settings: Any) -> dict[str, Any]:
    name = laptop.name("source")
    laptop.client("rds").create_db_instance(
        **{
            "DBInstanceIdentifier": name,
            "DBInstanceClass": "db.t3.micro",
            "Engine": "postgres",
            "MasterUsername": "boss",
            "MasterUserPassword": PASSWORD,
            "AllocatedStorage": 20,
            "DBName": "orders",
            "Port": laptop.database_port(),
            **settings,
        }
    )
    return laptop.wait_for_database(name, "available")


def replica_of(laptop: Laptop, source: dict[str, Any]) -> dict[str, Any]:
    name = laptop.name("replica")
    laptop.client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source["DBInstanceIdentifier"]
    )
    return replicating(laptop, name)


def replicating(laptop: Laptop, name: str) -> dict[str, Any]:
    def status() -> list[str]:
        return [info["Status"] for info in laptop.database(name).get("StatusInfos", ())]

    until(lambda: status() == ["replicating"], what=f"{name} replicates")
    return laptop.wait_for_database(name, "available")


def opened(instance: dict[str, Any]) -> psycopg.Connection:
    endpoint = instance["Endpoint"]
    return psycopg.connect(
        host=endpoint["Address"],
        port=endpoint["Port"],
        user="boss",
        password=PASSWORD,
        dbname="orders",
        autocommit=True,
    )


def write(instance: dict[str, Any], number: int) -> None:
    with opened(instance) as session:
        session.execute("CREATE TABLE IF NOT EXISTS written (id int)")
        session.execute("INSERT INTO written VALUES (%s)", (number,))


def rows(instance: dict[str, Any]) -> list[int]:
    try:
        with opened(instance) as session:
            return [row[0] for row in session.execute("SELECT id FROM written ORDER BY id")]
    except psycopg.errors.UndefinedTable:
        return []


def metric(laptop: Laptop, instance: dict[str, Any], name: str) -> float | None:
    """Return the newest value of a metric; None without one."""
    now = datetime.now(UTC)
    points = laptop.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName=name,
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": instance["DBInstanceIdentifier"]}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return float(points[-1]["Maximum"]) if points else None


@pytest.mark.slow
def test_a_replica_reads_what_its_source_commits_and_survives_kills(own_laptop: Laptop) -> None:
    laptop = own_laptop
    source = source_of(laptop)
    write(source, 1)
    replica = replica_of(laptop, source)
    write(source, 2)
    until(lambda: rows(replica) == [1, 2], what="the replica has the rows")
    with opened(replica) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("INSERT INTO written VALUES (3)")
    assert replica["Endpoint"]["Port"] != source["Endpoint"]["Port"]

    laptop.remembered()
    laptop.kill()
    write(source, 3)
    until(lambda: rows(replica) == [1, 2, 3], what="it replicates without the daemon")
    laptop.start()
    replicating(laptop, replica["DBInstanceIdentifier"])

    local.stop(laptop.directory)
    laptop.start()
    replica = replicating(laptop, replica["DBInstanceIdentifier"])
    source = laptop.wait_for_database(source["DBInstanceIdentifier"], "available")
    write(source, 4)
    until(lambda: rows(replica) == [1, 2, 3, 4], what="it replicates after a restart")


@pytest.mark.slow
def test_a_paused_replica_falls_behind_and_catches_up(laptop: Laptop) -> None:
    source = source_of(laptop)
    replica = replica_of(laptop, source)
    name = replica["DBInstanceIdentifier"]
    until(lambda: metric(laptop, replica, "ReplicaLag") == 0, what="no lag")
    assert metric(laptop, source, "ReplicaLag") is None

    pause_replay(name, laptop.directory, paused=True)
    write(source, 1)
    until(lambda: (metric(laptop, replica, "ReplicaLag") or 0) > 2, what="it falls behind")
    assert rows(replica) == []
    until(lambda: metric(laptop, source, "OldestReplicationSlotLag") is not None, what="the source measures its slots")
    pause_replay(name, laptop.directory, paused=False)
    until(lambda: rows(replica) == [1], what="it catches up")

    with pytest.raises(OrderopsError, match="is not a running replica"):
        pause_replay(source["DBInstanceIdentifier"], laptop.directory, paused=True)
    remove(laptop, name)
    with home(laptop, source).server.connect() as session:
        until(
            lambda: session.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,),
            what="its slot is dropped",
        )
    remove(laptop, source["DBInstanceIdentifier"])


@pytest.mark.slow
def test_a_promoted_replica_accepts_writes_and_takes_backups(laptop: Laptop) -> None:
    source = source_of(laptop)
    replica, other = replica_of(laptop, source), replica_of(laptop, source)
    name = replica["DBInstanceIdentifier"]
    write(source, 1)
    until(lambda: rows(replica) == [1], what="the replica has the row")

    laptop.client("rds").promote_read_replica(DBInstanceIdentifier=name, BackupRetentionPeriod=7)
    until(lambda: not laptop.database(name).get("ReadReplicaSourceDBInstanceIdentifier"), what="it has no source")
    promoted = laptop.wait_for_database(name, "available")
    write(promoted, 2)
    until(lambda: "LatestRestorableTime" in laptop.database(name), what="a backup")

    assert rows(source) == [1]
    assert promoted["Endpoint"] == replica["Endpoint"]
    assert promoted["BackupRetentionPeriod"] == 7
    assert laptop.database(source["DBInstanceIdentifier"])["ReadReplicaDBInstanceIdentifiers"] == [
        other["DBInstanceIdentifier"]
    ]
    # The replica that is left is promoted when its source is deleted, with everything that the source had committed.
    write(source, 3)
    remove(laptop, source["DBInstanceIdentifier"])
    left = laptop.wait_for_database(other["DBInstanceIdentifier"], "available")
    assert not left.get("ReadReplicaSourceDBInstanceIdentifier")
    write(left, 4)
    assert rows(left) == [1, 3, 4]
    remove(laptop, name, other["DBInstanceIdentifier"])


@pytest.mark.slow
def test_a_replica_killed_while_it_is_made_or_promoted_is_completed(own_laptop: Laptop) -> None:
    laptop = own_laptop
    source = source_of(laptop)
    write(source, 1)
    name = laptop.name("replica")
    laptop.client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source["DBInstanceIdentifier"]
    )
    laptop.remembered()
    laptop.kill()
    laptop.start()
    replica = replicating(laptop, name)
    until(lambda: rows(replica) == [1], what="the replica has the row")

    laptop.client("rds").promote_read_replica(DBInstanceIdentifier=name)
    laptop.remembered()
    laptop.kill()
    laptop.start()

    until(lambda: not laptop.database(name).get("ReadReplicaSourceDBInstanceIdentifier"), what="it has no source")
    write(laptop.wait_for_database(name, "available"), 2)
    assert not laptop.database(name).get("StatusInfos")
