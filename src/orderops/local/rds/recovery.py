"""Recover a server from a backup or a snapshot, up to one point in time and no further."""

from __future__ import annotations

import shlex
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError
from orderops.local.rds.binaries import last_line
from orderops.local.rds.postgres import PostgresServer

# Seconds. Replaying a long log may take hours.
RECOVERY_TIMEOUT = 86_400.0
SIGNAL_FILE = "recovery.signal"
NO_LONGER_RESTORING = ("deleting", "incompatible-restore")
STOP_MESSAGE = "recovery stopping "
# PostgreSQL messages after which a retry cannot succeed.
FATAL_MESSAGES = (
    "recovery ended before configured recovery target",
    "requested recovery stop point is before consistent recovery point",
    "could not locate a valid checkpoint record",
    "could not locate required checkpoint record",
    "WAL ends before end of online backup",
    "WAL ends before consistent recovery point",
)


class Unreachable(OrderopsError):
    """The available data does not lead to the requested time."""


@dataclass(frozen=True)
class WalSource:
    """Archived log, and the time up to which to replay it."""

    archive: Path
    data: Path
    """Data directory of the source, while it exists: its newest segments may not be archived yet."""
    moment: datetime

    @property
    def settings(self) -> dict[str, str]:
        """Recovery settings; the server accepts no session until the target is reached."""
        folders = (_shell(self.archive), _shell(self.data / "pg_wal"))
        restore_command = " || ".join(f"cp {folder}/%f %p 2>/dev/null" for folder in folders)
        return {
            "restore_command": restore_command,
            "recovery_target_time": self.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00"),
            "recovery_target_inclusive": "on",
            "recovery_target_action": "promote",
            # Sessions must not see data from before the target.
            "hot_standby": "off",
        }


def recovery_pending(server: PostgresServer) -> bool:
    """Tell whether the data is missing or not yet recovered to its target."""
    return not server.created or (server.data / SIGNAL_FILE).exists()


def is_source(backend: Any, folder: str) -> bool:
    """Tell whether a restore is reading from this directory."""
    restoring = [
        instance
        for instance in backend.databases.values()
        if getattr(instance, "origin", None) and not instance.endpoint_port
    ]
    return any(
        instance.origin.folder == folder and instance.status not in NO_LONGER_RESTORING for instance in restoring
    )


def recover(
    server: PostgresServer, source: Path, password: str, wal: WalSource | None, should_continue: Callable[[], bool]
) -> None:
    """Start a server with this copy's data; after an interruption, the same call continues.

    Raises Unreachable when the log does not reach the target: data of another time is never served.
    """
    if not server.created:
        install_copy(server, source, password, signal=wal is not None)
    try:
        server.start(RECOVERY_TIMEOUT, extra_settings=wal.settings if wal else None, should_continue=should_continue)
    except OrderopsError as error:
        if wal and (message := next((message for message in FATAL_MESSAGES if message in server.log_text()), "")):
            raise Unreachable(f"cannot restore the data of {_utc(wal.moment)}: {message}", error.hint) from None
        raise
    if wal and STOP_MESSAGE not in server.log_text():
        server.stop()
        raise Unreachable(
            f"cannot restore the data of {_utc(wal.moment)}: {last_line(server.log_text())}", f"read {server.log}"
        )


def install_copy(server: PostgresServer, source: Path, password: str, *, signal: bool) -> None:
    """Copy the data into the server's directory, completely or not at all."""
    server.directory.mkdir(parents=True, exist_ok=True)
    for temporary in server.directory.glob(".data-*"):
        shutil.rmtree(temporary, ignore_errors=True)
    temporary = server.directory / f".data-{uuid.uuid4().hex}"
    shutil.copytree(source, temporary, symlinks=True)
    with suppress(FileNotFoundError):
        # A copied pid file makes PostgreSQL refuse to start.
        (temporary / "postmaster.pid").unlink()
    with suppress(FileNotFoundError):
        # Of a snapshot of a replica, which would follow the replica's source.
        (temporary / server.standby_signal.name).unlink()
    if signal:
        (temporary / SIGNAL_FILE).touch(mode=0o600)
    if server.account:
        server.account.chown(server.directory)
    shutil.rmtree(server.data, ignore_errors=True)
    # Last step of the copy: an interrupted one is never taken for data.
    temporary.rename(server.data)
    server.adopt(password)


def _shell(path: Path) -> str:
    return shlex.quote(str(path)).replace("%", "%%")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
