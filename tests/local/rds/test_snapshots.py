"""Snapshots and retained backups have their data until they are deleted."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orderops.local.rds.base_backups import FOLDER_FORMAT
from support.laptop import Laptop, until
from support.laptop_restores import folder, home, opened, remove, restore, rows, window, write

# End to end.
pytestmark = pytest.mark.slow

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def source(laptop: Laptop) -> dict[str, Any]:
    """Instance that the tests delete, to restore it from what remains."""
    database = laptop.create_database(BackupRetentionPeriod=3)
    window(laptop, database)
    write(laptop, database, 1)
    return database


def snapshot(laptop: Laptop, instance: dict[str, Any]) -> str:
    rds, name = laptop.client("rds"), laptop.name("snapshot")
    response = rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=instance["DBInstanceIdentifier"])
    assert response["DBSnapshot"]["Status"] == "creating"
    with pytest.raises(ClientError, match="InvalidDBSnapshotState"):
        from_snapshot(laptop, name)
    return name


def wait_for_snapshot(laptop: Laptop, name: str) -> None:
    def status() -> str:
        found = laptop.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
        return str(found[0]["Status"])

    until(lambda: status() == "available", what=f"{name} is available")


def from_snapshot(laptop: Laptop, name: str, database: str = "") -> str:
    database = database or laptop.name("copy")
    laptop.client("rds").restore_db_instance_from_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=database)
    return database


def kept(laptop: Laptop) -> int:
    return len(list(folder(laptop).glob("snapshots/*")))


def test_a_snapshot_holds_the_data_of_its_time(laptop: Laptop, source: dict[str, Any]) -> None:
    before = kept(laptop)
    name = snapshot(laptop, source)
    wait_for_snapshot(laptop, name)
    write(laptop, source, 2)

    copy = from_snapshot(laptop, name)
    assert rows(laptop, opened(laptop, copy)) == [1]
    remove(laptop, copy)
    copied = laptop.name("copied")
    laptop.client("rds").copy_db_snapshot(SourceDBSnapshotIdentifier=name, TargetDBSnapshotIdentifier=copied)
    laptop.client("rds").delete_db_snapshot(DBSnapshotIdentifier=name)
    copy = from_snapshot(laptop, copied)
    laptop.client("rds").delete_db_snapshot(DBSnapshotIdentifier=copied)

    assert rows(laptop, opened(laptop, copy)) == [1]
    until(lambda: kept(laptop) == before, what="the data is deleted with its last snapshot")
    remove(laptop, copy)


def test_base_backups_are_taken_daily_and_kept_for_the_retention_period(laptop: Laptop, source: dict[str, Any]) -> None:
    backups = home(laptop, source).backups
    (first,) = backups.all()
    now = datetime.now(UTC).replace(microsecond=0)
    for days in (9, 5):
        shutil.copytree(first.folder, backups.folder / (now - days * DAY).strftime(FOLDER_FORMAT))
    first.folder.rename(backups.folder / (now - 2 * DAY).strftime(FOLDER_FORMAT))
    (backups.archive / "000000010000000000000000").touch()

    # The backup of nine days ago has expired; a restore to three days ago needs the one of five days ago.
    until(lambda: len(backups.all()) == 3 and backups.all()[-1].since > now - DAY, what="a new backup")

    assert [backup.since for backup in backups.all()][:2] == [now - 5 * DAY, now - 2 * DAY]
    # The log is cleaned after the backup has appeared.
    until(lambda: not (backups.archive / "000000010000000000000000").exists(), what="older log is deleted")
    until(lambda: window(laptop, source)[0] == now - 5 * DAY, what="the window begins at the older backup")
    for backup in backups.all()[:2]:
        shutil.rmtree(backup.folder)
    until(lambda: window(laptop, source)[0] == backups.all()[0].since, what="the window begins with the new one")


def test_retained_backups_restore_a_deleted_instance(laptop: Laptop, source: dict[str, Any]) -> None:
    rds, name, final = laptop.client("rds"), source["DBInstanceIdentifier"], laptop.name("final")
    window(laptop, source)
    write(laptop, source, 3)
    written = rows(laptop, source)
    remove(laptop, name, FinalDBSnapshotIdentifier=final, DeleteAutomatedBackups=False)
    wait_for_snapshot(laptop, final)
    # Another instance of the same name, deleted together with its backups.
    second = laptop.wait_for_database(from_snapshot(laptop, final, name), "available")
    remove(laptop, name)
    assert not (folder(laptop) / second["DbiResourceId"]).exists()

    (backup,) = rds.describe_db_instance_automated_backups(DbiResourceId=source["DbiResourceId"])[
        "DBInstanceAutomatedBackups"
    ]
    copies = [from_snapshot(laptop, final), restore(laptop, source)]

    assert backup["Status"] == "retained"
    assert [rows(laptop, opened(laptop, copy)) for copy in copies] == [written] * 2
    assert written[-1] == 3
    remove(laptop, *copies)
    rds.delete_db_instance_automated_backup(DbiResourceId=source["DbiResourceId"])
    with pytest.raises(ClientError, match="not found"):
        restore(laptop, source)
    until(partial(_is_gone, laptop, source), what="its directory is deleted")


def _is_gone(laptop: Laptop, instance: dict[str, Any]) -> bool:
    return not (folder(laptop) / instance["DbiResourceId"]).exists()
