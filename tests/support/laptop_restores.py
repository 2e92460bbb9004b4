"""A client that records the time of each commit, and restores of its rows."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from botocore.exceptions import ClientError

from orderops.local.rds.directory import InstanceDirectory
from orderops.local.users import enterable
from support.laptop import Laptop, until

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Written:
    """A row, and the times before and after its commit."""

    id: int
    before: datetime
    after: datetime


@dataclass
class Writer:
    """Commits a row every few milliseconds until it is ended, as the only client of its table."""

    session: psycopg.Connection
    written: list[Written] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.session.execute("CREATE TABLE IF NOT EXISTS written (id int PRIMARY KEY)")
        self.session.commit()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join()

    def by(self, moment: datetime) -> tuple[list[int], list[int]]:
        """Return the rows certainly committed by a moment, and those with the one being committed at it."""
        certain = [row.id for row in self.written if row.after <= moment]
        return certain, [row.id for row in self.written if row.before <= moment]

    def _write(self) -> None:
        while not self._end.wait(0.003):
            number = len(self.written) + 1
            self.session.execute("INSERT INTO written VALUES (%s)", (number,))
            before = datetime.now(UTC)
            self.session.commit()
            self.written.append(Written(number, before, datetime.now(UTC)))


def home(laptop: Laptop, instance: dict[str, Any]) -> InstanceDirectory:
    return InstanceDirectory(enterable(laptop.directory / "databases") / instance["DbiResourceId"])


def window(laptop: Laptop, instance: dict[str, Any]) -> tuple[datetime, datetime]:
    """Wait until an instance can be restored; returns its window."""

    def current() -> dict[str, datetime]:
        response = laptop.client("rds").describe_db_instance_automated_backups(DbiResourceId=instance["DbiResourceId"])
        window: dict[str, datetime] = response["DBInstanceAutomatedBackups"][0].get("RestoreWindow", {})
        return window

    found = until(current, what="a restore window")
    return found["EarliestTime"], found["LatestTime"]


def restore(laptop: Laptop, instance: dict[str, Any], moment: datetime | None = None, **settings: Any) -> str:
    """Start a restore, to the latest possible time by default; returns the new instance's name."""
    name = laptop.name("restored")
    target = {"RestoreTime": moment} if moment else {"UseLatestRestorableTime": True}
    laptop.client("rds").restore_db_instance_to_point_in_time(
        SourceDbiResourceId=instance["DbiResourceId"], TargetDBInstanceIdentifier=name, **target, **settings
    )
    return name


def opened(laptop: Laptop, name: str) -> dict[str, Any]:
    """Wait for a restored instance, and give it a new password."""
    laptop.wait_for_database(name, "available")
    laptop.client("rds").modify_db_instance(
        DBInstanceIdentifier=name, ManageMasterUserPassword=True, ApplyImmediately=True
    )
    return laptop.wait_for_database(name, "available")


def rows(laptop: Laptop, instance: dict[str, Any], table: str = "written") -> list[int]:
    with laptop.connect(instance) as session:
        return [int(row[0]) for row in session.execute(f"SELECT id FROM {table} ORDER BY id")]


def write(laptop: Laptop, instance: dict[str, Any], number: int, table: str = "written") -> None:
    with laptop.connect(instance) as session:
        session.execute(f"CREATE TABLE IF NOT EXISTS {table} (id int)")
        session.execute(f"INSERT INTO {table} VALUES ({number})")


def password(laptop: Laptop, instance: dict[str, Any]) -> str:
    arn = instance["MasterUserSecret"]["SecretArn"]
    return str(json.loads(laptop.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])["password"])


def remove(laptop: Laptop, *names: str, **settings: Any) -> None:
    """Delete instances, and wait until they do not exist."""
    rds = laptop.client("rds")
    for name in names:
        skip = "FinalDBSnapshotIdentifier" not in settings
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=skip, **settings)

    def deleted(name: str) -> bool:
        try:
            rds.describe_db_instances(DBInstanceIdentifier=name)
        except ClientError:
            return True
        return False

    for name in names:
        until(partial(deleted, name), what=f"{name} is deleted")


def wait_until(moment: datetime) -> None:
    """Wait until a moment has passed."""
    until(lambda: datetime.now(UTC) > moment, what=f"{moment}")


def whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def folder(laptop: Laptop) -> Path:
    return enterable(laptop.directory / "databases")
