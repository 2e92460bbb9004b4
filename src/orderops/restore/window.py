"""From when to when an instance can be restored, and whether a moment lies in there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT
from orderops.engine.resource import Observed
from orderops.errors import AwsError, OrderopsError
from orderops.restore.timestamps import utc, utc_and_local


@dataclass(frozen=True)
class RestoreWindow:
    """The earliest and the latest moment, both in UTC."""

    earliest: datetime
    latest: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.earliest <= moment <= self.latest

    @property
    def to_dict(self) -> dict[str, str]:
        """For machines."""
        return {"earliest": utc(self.earliest), "latest": utc(self.latest)}


def window_of(aws: Aws, observed: Observed) -> RestoreWindow:
    """Ask AWS; raises OrderopsError where the instance cannot be restored at all.

    Only DescribeDBInstanceAutomatedBackups tells the earliest time; the latest trails the clock by about five minutes.
    """
    env = (observed.tags or {}).get(ENVIRONMENT, "")
    if not observed.properties["BackupRetentionPeriod"]:
        raise OrderopsError(
            f"{observed.id} keeps no backups, so there is nothing to restore",
            f"let it keep some from now on: backup_days = 7 in [database] of its file, then orderops up --env {env}",
        )
    backup = _backup(aws, observed)
    told = backup.get("RestoreWindow") or {}
    earliest, latest = told.get("EarliestTime"), observed.properties["LatestRestorableTime"] or told.get("LatestTime")
    if not earliest or not latest:
        raise OrderopsError(
            f"{observed.id} has no backup yet: the first is taken when it is made, and takes some minutes",
            f"look again: orderops restore points --env {env}",
        )
    return RestoreWindow(_whole_up(earliest), latest.astimezone(UTC).replace(microsecond=0))


def check_in_window(
    moment: datetime, window: RestoreWindow, name: str, other_source: Callable[[], str] = lambda: ""
) -> None:
    """Raise OrderopsError for a moment to which the instance cannot be restored; `who_has` it instead is said."""
    if moment in window:
        return
    now = datetime.now(UTC)
    if moment > now:
        what, hint = "is in the future", "the latest there is: --at latest"
    elif moment > window.latest:
        what, hint = "is too recent: backups trail the clock", "wait for it, or the latest there is: --at latest"
    else:
        what, hint = "is before the first backup that is kept", f"the earliest there is: --at {utc(window.earliest)}"
    if moment <= now and (other := other_source()):
        hint = f"{other} can: --at {utc(moment)} --from {other}"
    raise OrderopsError(
        f"{utc_and_local(moment)} {what}\n{name} can be restored from {utc_and_local(window.earliest)}\n"
        f"to {utc_and_local(window.latest)}; nothing was done",
        hint,
    )


def _backup(aws: Aws, live: Observed) -> dict[str, Any]:
    call = aws.rds.describe_db_instance_automated_backups
    try:
        found = every(call, "DBInstanceAutomatedBackups", DbiResourceId=live.properties["DbiResourceId"])
        return dict(next(iter(found), {}))
    except AwsError as error:
        if error.code != "DBInstanceAutomatedBackupNotFound":
            raise
        return {}


def _whole_up(moment: datetime) -> datetime:
    """The first whole second from which on."""
    whole = moment.astimezone(UTC)
    return whole if not whole.microsecond else datetime.fromtimestamp(int(whole.timestamp()) + 1, UTC)
