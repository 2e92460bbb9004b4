"""The data of a server as it was: a copy of a backup or of a snapshot, brought forward to one moment and no further."""

from __future__ import annotations

import shlex
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.local.rds.binaries import last_line
from orderops.local.rds.postgres import PostgresServer

WITHIN = 86_400.0
SIGNAL = "recovery.signal"
REACHED = "recovery stopping "
ENDS = (
    "recovery ended before configured recovery target",
    "requested recovery stop point is before consistent recovery point",
    "could not locate a valid checkpoint record",
    "could not locate required checkpoint record",
    "WAL ends before end of online backup",
    "WAL ends before consistent recovery point",
)
"""Words of PostgreSQL after which trying again brings nothing."""


class Unreachable(OrderopsError):
    """What is there does not lead to the moment that is wanted."""


@dataclass(frozen=True)
class WalSource:
    """Where the log is, and up to which moment it is played."""

    archive: Path
    source: Path
    """The data folder of the source, while it is there: its newest segments may not be archived yet."""
    moment: datetime

    @property
    def settings(self) -> dict[str, str]:
        """What PostgreSQL is told; it takes part in nothing before it is there."""
        places = (_shell(self.archive), _shell(self.source / "pg_wal"))
        fetch = " || ".join(f"cp {place}/%f %p 2>/dev/null" for place in places)
        return {
            "restore_command": fetch,
            "recovery_target_time": self.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00"),
            "recovery_target_inclusive": "on",
            "recovery_target_action": "promote",
            "hot_standby": "off",  # nobody reads what is not yet the wanted moment
        }


def unfinished(server: PostgresServer) -> bool:
    """Its data is not there yet, or not yet as it is to be."""
    return not server.created or (server.data / SIGNAL).exists()


def recover(
    server: PostgresServer, copy: Path, password: str, log: WalSource | None, going_on: Callable[[], bool]
) -> None:
    """Start a server with this copy's data; cut anywhere, the same call again goes on.

    Raises Unreachable when the log does not lead to the moment: the data is never silently that of another one.
    """
    if not server.created:
        lay_out(server, copy, password, signal=log is not None)
    try:
        server.start(WITHIN, besides=log.settings if log else None, going_on=going_on)
    except OrderopsError as error:
        if log and (words := next((words for words in ENDS if words in server.said()), "")):
            raise Unreachable(f"the data of {_utc(log.moment)} cannot be had: {words}", error.hint) from None
        raise
    if log and REACHED not in server.said():
        server.stop()
        raise Unreachable(
            f"the data of {_utc(log.moment)} cannot be had: {last_line(server.said())}", f"read {server.log}"
        )


def lay_out(server: PostgresServer, copy: Path, password: str, *, signal: bool) -> None:
    """Put a copy of the data in the server's folder, whole or not at all."""
    server.directory.mkdir(parents=True, exist_ok=True)
    for half in server.directory.glob(".data-*"):
        shutil.rmtree(half, ignore_errors=True)
    half = server.directory / f".data-{uuid.uuid4().hex}"
    shutil.copytree(copy, half, symlinks=True)
    with suppress(FileNotFoundError):
        (half / "postmaster.pid").unlink()
    if signal:
        (half / SIGNAL).touch(mode=0o600)
    if server.account:
        server.account.owns(server.directory)
    shutil.rmtree(server.data, ignore_errors=True)
    half.rename(server.data)
    server.adopt(password)


def _shell(path: Path) -> str:
    return shlex.quote(str(path)).replace("%", "%%")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
