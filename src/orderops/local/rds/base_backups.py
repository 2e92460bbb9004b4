"""Base backups and archived log of a server, which allow a restore to any point in time.

A backup's directory is named after the first second to which it can be restored, so that a kill cannot separate
the backup from its time.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.local.ports import HOST
from orderops.local.rds.binaries import last_line
from orderops.local.rds.postgres import PostgresServer

# In UTC and without colons, which some file systems reject.
FOLDER_FORMAT = "since-%Y%m%dT%H%M%SZ"
SEGMENT = re.compile(r"[0-9A-F]{24}")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, order=True)
class BaseBackup:
    """Copy of a server. With the log after it, any time from `since` on can be restored."""

    since: datetime
    folder: Path

    @property
    def first_segment(self) -> str:
        """Log file at which a recovery starts."""
        return _match_in_file(self.folder / "backup_label", r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


@dataclass(frozen=True)
class BaseBackups:
    """All base backups of one server."""

    server: PostgresServer
    folder: Path
    archive: Path

    def all(self) -> list[BaseBackup]:
        """Return the backups, oldest first."""
        return sorted(self._all())

    def newest_by(self, moment: datetime) -> BaseBackup | None:
        """Return the newest backup that is not after this time, or None."""
        return max((backup for backup in self._all() if backup.since <= moment), default=None)

    def take(self) -> BaseBackup:
        """Create a backup; an interruption leaves no incomplete one."""
        for leftover in self.folder.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = self.folder / f".{uuid.uuid4().hex}"
        copy_server(self.server, temporary)
        # The stop time has whole seconds: only the next second is certainly after the backup.
        backup = BaseBackup(self._stop_time(temporary) + SECOND, temporary)
        final = self.folder / backup.since.strftime(FOLDER_FORMAT)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        return BaseBackup(backup.since, final)

    def forget_before(self, moment: datetime) -> None:
        """Delete what is not needed to restore to this time or later."""
        oldest_needed = self.newest_by(moment)
        if oldest_needed is None:
            return
        for backup in self._all():
            if backup < oldest_needed:
                shutil.rmtree(backup.folder, ignore_errors=True)
        # Ignores the timeline (first 8 digits): a new timeline continues the segment numbers of the last.
        self._forget_segments(oldest_needed.first_segment[8:])

    def forget_all(self) -> None:
        """Delete every backup and the archived log."""
        for backup in self._all():
            shutil.rmtree(backup.folder, ignore_errors=True)
        self._forget_segments("g")

    def _forget_segments(self, before: str) -> None:
        for file in self.archive.iterdir():
            if SEGMENT.match(file.name) and file.name[8:24] < before:
                file.unlink(missing_ok=True)

    def _all(self) -> Iterator[BaseBackup]:
        for folder in self.folder.iterdir() if self.folder.exists() else ():
            with suppress(ValueError):
                yield BaseBackup(datetime.strptime(folder.name, FOLDER_FORMAT).replace(tzinfo=UTC), folder)

    def _stop_time(self, backup: Path) -> datetime:
        segment = BaseBackup(datetime.now(UTC), backup).first_segment
        history_files = [
            *(self.server.data / "pg_wal").glob(f"{segment}.*.backup"),
            *self.archive.glob(f"{segment}.*.backup"),
        ]
        times = [_match_in_file(history_file, r"STOP TIME: (\S+ \S+) \S+") for history_file in history_files]
        if not times:
            raise OrderopsError(
                f"the backup {backup} has no history file with its stop time", f"read {self.server.log}"
            )
        return max(datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times)


def copy_server(server: PostgresServer, target: Path, slot: str = "") -> None:
    """Copy a running server; an interruption leaves no incomplete copy under this name. A slot keeps the log for it."""
    temporary = target.with_name(f".{uuid.uuid4().hex}")
    connection = ["-h", HOST, "-p", str(server.port), "-U", server.administrator, "-D", str(temporary)]
    # A fast checkpoint instead of a spread one of up to 5 minutes; streamed log makes the copy complete by itself.
    options = ["-c", "fast", "-X", "stream", "--no-sync", "--no-password", *(["-S", slot] if slot else [])]
    result = server.program("pg_basebackup", *connection, *options, secret=server.password)
    if result.returncode:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OrderopsError(f"pg_basebackup of {server.directory}: {last_line(result.stderr)}", f"read {server.log}")
    temporary.replace(target)


def _match_in_file(file: Path, pattern: str) -> str:
    match = re.search(pattern, file.read_text())
    if match is None:
        raise OrderopsError(f"{file} has no {pattern.partition(':')[0]}", f"delete the backup: {file.parent}")
    return match[1]
