"""A restored instance has exactly the data committed by its time, and only the settings that AWS copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from support.laptop import Laptop, until
from support.laptop_restores import (
    SECOND,
    Writer,
    folder,
    home,
    opened,
    password,
    remove,
    restore,
    rows,
    wait_until,
    whole,
    window,
    write,
)

# End to end.
pytestmark = pytest.mark.slow

MOMENTS = ("first_restorable", "during_writes", "while_idle", "latest")


@dataclass
class Restored:
    """Instance with writes, and a restored instance for each of several times."""

    source: dict[str, Any]
    writer: Writer
    process: int
    moments: dict[str, datetime]
    copies: dict[str, dict[str, Any]]
    given: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def source(laptop: Laptop) -> Iterator[dict[str, Any]]:
    """Instance whose settings all differ from AWS's defaults."""
    database = laptop.create_database(
        BackupRetentionPeriod=7,
        MultiAZ=True,
        DeletionProtection=True,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        CopyTagsToSnapshot=True,
        MaxAllocatedStorage=100,
        EnablePerformanceInsights=True,
        Tags=[{"Key": "team", "Value": "platform"}],
    )
    yield database
    laptop.client("rds").modify_db_instance(
        DBInstanceIdentifier=database["DBInstanceIdentifier"], DeletionProtection=False, ApplyImmediately=True
    )
    remove(laptop, database["DBInstanceIdentifier"])


@pytest.fixture(scope="module")
def restored(laptop: Laptop, source: dict[str, Any]) -> Iterator[Restored]:
    writer = Writer(laptop.connect(source))
    earliest, _ = window(laptop, source)
    wait_until(earliest + 2 * SECOND)
    writer.end()
    last = writer.written[-1].after
    moments = {
        "first_restorable": earliest,
        "during_writes": whole(last),
        "while_idle": whole(last) + SECOND,
    }
    wait_until(max(moments.values()))
    server = home(laptop, source).server.process()
    assert server
    names = {label: restore(laptop, source, moment) for label, moment in moments.items()}
    names["latest"] = restore(laptop, source)
    given = {label: laptop.wait_for_database(name, "available") for label, name in names.items()}
    copies = {label: opened(laptop, name) for label, name in names.items()}
    yield Restored(source, writer, server.pid, {**moments, "latest": last}, copies, given)
    remove(laptop, *names.values())


@pytest.mark.parametrize("label", MOMENTS)
def test_a_restore_has_exactly_the_rows_committed_by_its_time(laptop: Laptop, restored: Restored, label: str) -> None:
    certain, perhaps = restored.writer.by(restored.moments[label])

    found = rows(laptop, restored.copies[label])

    assert certain
    assert len(perhaps) - len(certain) <= 1
    assert found in (certain, perhaps)


def test_a_restore_to_a_time_during_writes_has_a_prefix_of_the_rows(restored: Restored) -> None:
    certain, _ = restored.writer.by(restored.moments["during_writes"])

    assert 0 < len(certain) < len(restored.writer.written)


def test_a_restore_lacks_the_settings_that_aws_does_not_copy(laptop: Laptop, restored: Restored) -> None:
    source, copy = laptop.database(restored.source["DBInstanceIdentifier"]), restored.given["while_idle"]

    assert source["DeletionProtection"] and source["MultiAZ"] and source["IAMDatabaseAuthenticationEnabled"]
    assert not copy["DeletionProtection"]
    assert not copy["MultiAZ"]
    assert not copy["IAMDatabaseAuthenticationEnabled"]
    assert not copy["CopyTagsToSnapshot"]
    assert not copy.get("EnabledCloudwatchLogsExports")
    assert not copy.get("PerformanceInsightsEnabled")
    assert "MaxAllocatedStorage" not in copy
    assert "MasterUserSecret" not in copy
    assert copy["DbiResourceId"] != source["DbiResourceId"]
    assert (copy["BackupRetentionPeriod"], copy["DBName"], copy["TagList"]) == (7, "orders", source["TagList"])


def test_a_restored_instance_has_its_own_port_and_secret(laptop: Laptop, restored: Restored) -> None:
    everybody = [restored.source, *restored.copies.values()]

    assert len({instance["Endpoint"]["Port"] for instance in everybody}) == len(everybody)
    assert len({instance["MasterUserSecret"]["SecretArn"] for instance in everybody}) == len(everybody)
    assert len({password(laptop, instance) for instance in everybody}) == len(everybody)


def test_a_new_secret_replaces_the_restored_password(laptop: Laptop, restored: Restored) -> None:
    copy = restored.copies["while_idle"]
    where = {"host": "127.0.0.1", "port": copy["Endpoint"]["Port"], "dbname": "orders", "user": "orders_admin"}

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**where, password=password(laptop, restored.source))
    psycopg.connect(**where, password=password(laptop, copy)).close()


def test_the_restored_password_opens_the_instance_until_it_is_changed(laptop: Laptop, restored: Restored) -> None:
    name = restore(laptop, restored.source, restored.moments["while_idle"])
    port = laptop.wait_for_database(name, "available")["Endpoint"]["Port"]
    where = {"host": "127.0.0.1", "port": port, "dbname": "orders", "user": "orders_admin"}

    psycopg.connect(**where, password=password(laptop, restored.source)).close()
    laptop.client("rds").modify_db_instance(
        DBInstanceIdentifier=name, MasterUserPassword="chosen-by-hand", ApplyImmediately=True
    )
    laptop.wait_for_database(name, "available")

    psycopg.connect(**where, password="chosen-by-hand").close()
    remove(laptop, name)


def test_a_restore_leaves_its_source_untouched(laptop: Laptop, restored: Restored) -> None:
    server = home(laptop, restored.source).server.process()
    segments = [file.name for file in home(laptop, restored.source).archive.iterdir() if "." not in file.name]

    assert server and server.pid == restored.process
    assert {name[:8] for name in segments} == {"00000001"}
    assert rows(laptop, restored.source) == [row.id for row in restored.writer.written]
    assert laptop.database(restored.source["DBInstanceIdentifier"])["DBInstanceStatus"] == "available"


def test_a_restored_instance_has_its_own_backups_and_can_be_restored(laptop: Laptop, restored: Restored) -> None:
    copy = restored.copies["first_restorable"]
    earliest, _ = window(laptop, copy)
    assert earliest > window(laptop, restored.source)[0]
    write(laptop, copy, 1_000_000)

    again = opened(laptop, restore(laptop, copy))

    assert rows(laptop, again) == rows(laptop, copy)
    assert rows(laptop, again)[-1] == 1_000_000
    remove(laptop, again["DBInstanceIdentifier"])


def test_a_time_outside_the_restore_window_is_refused(laptop: Laptop, restored: Restored) -> None:
    earliest, latest = window(laptop, restored.source)
    with pytest.raises(ClientError, match=f"a time earlier than {earliest:%Y-%m-%d %H:%M:%S} UTC"):
        restore(laptop, restored.source, earliest - SECOND)
    with pytest.raises(ClientError, match="a time later than"):
        restore(laptop, restored.source, whole(datetime.now(UTC)) + 2 * SECOND)
    with pytest.raises(ClientError, match="not both"):
        restore(laptop, restored.source, latest, UseLatestRestorableTime=True)
    with pytest.raises(ClientError, match="DBInstanceAlreadyExists"):
        laptop.client("rds").restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=restored.source["DBInstanceIdentifier"],
            TargetDBInstanceIdentifier=restored.source["DBInstanceIdentifier"],
            UseLatestRestorableTime=True,
        )


def test_the_restore_window_lies_between_the_first_backup_and_now(laptop: Laptop, restored: Restored) -> None:
    earliest, latest = window(laptop, restored.source)
    latest_restorable = laptop.database(restored.source["DBInstanceIdentifier"])["LatestRestorableTime"]

    assert [backup.since for backup in home(laptop, restored.source).backups.all()] == [earliest]
    assert (earliest.microsecond, latest.microsecond) == (0, 0)
    assert latest <= latest_restorable <= datetime.now(UTC) <= latest + timedelta(seconds=30)


def test_an_instance_without_backups_has_no_restore_window(laptop: Laptop, restored: Restored) -> None:
    name = restore(laptop, restored.source, BackupRetentionPeriod=0)
    database = laptop.wait_for_database(name, "available")

    assert "LatestRestorableTime" not in laptop.database(name)
    with pytest.raises(ClientError, match="PointInTimeRestoreNotEnabled"):
        restore(laptop, database)
    laptop.client("rds").modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True)
    window(laptop, database)
    laptop.client("rds").modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=0, ApplyImmediately=True)

    until(lambda: not home(laptop, database).backups.all(), what="the backups are deleted")
    assert "LatestRestorableTime" not in laptop.database(name)
    remove(laptop, name)


def test_a_restore_that_is_impossible_fails_with_its_reason(laptop: Laptop, restored: Restored) -> None:
    database = opened(laptop, restore(laptop, restored.source))
    name, directory = database["DBInstanceIdentifier"], home(laptop, database)
    window(laptop, database)
    write(laptop, database, 1_000_000)
    laptop.client("rds").stop_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "stopped")
    first = directory.backups.all()[0].first_segment
    for log in (directory.archive, directory.server.data / "pg_wal"):
        for file in log.glob("0" * 7 + "2*"):
            if file.name > first and "." not in file.name:
                file.unlink()

    copy = restore(laptop, database)

    laptop.wait_for_database(copy, "incompatible-restore")
    events = laptop.client("rds").describe_events(SourceType="db-instance", SourceIdentifier=copy)["Events"]
    reason = r"cannot restore the data of \S+: recovery ended before configured recovery target"
    assert re.search(reason, events[-1]["Message"])
    assert re.search(reason, laptop.status()["databases"][copy]["state"])
    assert "Endpoint" not in laptop.database(copy)
    remove(laptop, copy, name)
    assert not (folder(laptop) / database["DbiResourceId"]).exists()
