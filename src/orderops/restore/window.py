"""The restore window of an instance, and whether it contains a point in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT
from orderops.engine.resource import Observed
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen
from orderops.restore.timestamps import utc, utc_and_local


class RestoreWindow(Frozen):
    """The earliest and the latest restorable time, in UTC."""

    earliest: datetime
    latest: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.earliest <= moment <= self.latest

    def to_dict(self) -> dict[str, str]:
        """Return the record that `--json` prints."""
        return {"earliest": utc(self.earliest), "latest": utc(self.latest)}


def window_of(aws: Aws, observed: Observed) -> RestoreWindow:
    """Read an instance's restore window from AWS; raises OrderopsError if it has no backup."""
    env = (observed.tags or {}).get(ENVIRONMENT, "")
    if not observed.properties["BackupRetentionPeriod"]:
        raise OrderopsError(
            f"{observed.id} keeps no backups, so it cannot be restored",
            f"to keep backups from now on, set backup_days = 7 in [database] and run: orderops up --env {env}",
        )
    # Only DescribeDBInstanceAutomatedBackups returns the earliest time. The latest one, which both
    # calls return, is about five minutes behind the clock.
    restore_window = _backup(aws, observed).get("RestoreWindow") or {}
    earliest = restore_window.get("EarliestTime")
    latest = observed.properties["LatestRestorableTime"] or restore_window.get("LatestTime")
    if not earliest or not latest:
        raise OrderopsError(
            f"{observed.id} has no backup yet: AWS takes the first one when it creates an instance, within minutes",
            f"check again later: orderops restore points --env {env}",
        )
    return RestoreWindow(_round_up(earliest), latest.astimezone(UTC).replace(microsecond=0))


def check_in_window(
    moment: datetime, window: RestoreWindow, name: str, other_source: Callable[[], str] = lambda: ""
) -> None:
    """Raise OrderopsError if the instance `name` cannot be restored to a moment.

    `other_source` returns an instance that can, or "", for the hint. It is called only for an error, because it reads
    the windows of all other instances.
    """
    if moment in window:
        return
    # The future gets its own message: no backup will ever be late enough.
    now = datetime.now(UTC)
    if moment > now:
        problem, hint = "is in the future", "restore the latest possible time: --at latest"
    elif moment > window.latest:
        problem = "is too recent: backups are some minutes behind"
        hint = "wait some minutes, or restore the latest possible time: --at latest"
    else:
        problem = "is before the oldest backup"
        hint = f"restore the earliest possible time: --at {utc(window.earliest)}"
    if moment <= now and (other := other_source()):
        hint = f"restore it from {other}: --at {utc(moment)} --from {other}"
    raise OrderopsError(
        f"{utc_and_local(moment)} {problem}\n{name} can be restored from {utc_and_local(window.earliest)}\n"
        f"to {utc_and_local(window.latest)}; nothing was changed",
        hint,
    )


def _backup(aws: Aws, observed: Observed) -> dict[str, Any]:
    operation = aws.rds.describe_db_instance_automated_backups
    try:
        backups = every(operation, "DBInstanceAutomatedBackups", DbiResourceId=observed.properties["DbiResourceId"])
        return dict(next(iter(backups), {}))
    except AwsError as error:
        if error.code != "DBInstanceAutomatedBackupNotFound":
            raise
        return {}


def _round_up(moment: datetime) -> datetime:
    """Return the first whole second that is not before a moment."""
    # AWS refuses a restore to a time that is a fraction of a second before the earliest one.
    whole = moment.astimezone(UTC)
    return whole if not whole.microsecond else datetime.fromtimestamp(int(whole.timestamp()) + 1, UTC)
