"""The base backups of a server and the log since: from these its data can be had again as it was at any moment.

A backup's folder is named by the first whole second to which it can be restored, so that no kill can part the two.
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

NAMED = "since-%Y%m%dT%H%M%SZ"
SEGMENT = re.compile(r"[0-9A-F]{24}")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, order=True)
class BaseBackup:
    """A copy of a server; with the log after it, its data at any moment from `since` on."""

    since: datetime
    folder: Path

    @property
    def first_segment(self) -> str:
        """The file of the log with which a recovery begins."""
        return _told(self.folder / "backup_label", r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


@dataclass(frozen=True)
class BaseBackups:
    """All that are kept of one server."""

    server: PostgresServer
    folder: Path
    archive: Path

    def all(self) -> list[BaseBackup]:
        """The oldest first."""
        return sorted(self._found())

    def newest_by(self, moment: datetime) -> BaseBackup | None:
        """The one with which a restore to this moment begins; none where the moment was before the first."""
        return max((one for one in self._found() if one.since <= moment), default=None)

    def take(self) -> BaseBackup:
        """One more; a cut leaves no half one."""
        for half in self.folder.glob(".*"):
            shutil.rmtree(half, ignore_errors=True)
        new = self.folder / f".{uuid.uuid4().hex}"
        copy_server(self.server, new)
        # PostgreSQL tells the second in which it was done: any moment of the next one is after it.
        backup = BaseBackup(self._stop_time(new) + SECOND, new)
        whole = self.folder / backup.since.strftime(NAMED)
        shutil.rmtree(whole, ignore_errors=True)
        new.rename(whole)
        return BaseBackup(backup.since, whole)

    def forget_before(self, moment: datetime) -> None:
        """Remove what is not needed to restore to any moment from this one on."""
        first = self.newest_by(moment)
        if first is None:
            return
        for backup in self._found():
            if backup < first:
                shutil.rmtree(backup.folder, ignore_errors=True)
        # Whichever timeline they are of: the next one goes on with the numbers of the last.
        self._forget_segments(first.first_segment[8:])

    def forget_all(self) -> None:
        """Remove every backup, and the log."""
        for backup in self._found():
            shutil.rmtree(backup.folder, ignore_errors=True)
        self._forget_segments("g")

    def _forget_segments(self, before: str) -> None:
        for file in self.archive.iterdir():
            if SEGMENT.match(file.name) and file.name[8:24] < before:
                file.unlink(missing_ok=True)

    def _found(self) -> Iterator[BaseBackup]:
        for folder in self.folder.iterdir() if self.folder.exists() else ():
            with suppress(ValueError):
                yield BaseBackup(datetime.strptime(folder.name, NAMED).replace(tzinfo=UTC), folder)

    def _stop_time(self, backup: Path) -> datetime:
        segment = BaseBackup(datetime.now(UTC), backup).first_segment
        notes = [*(self.server.data / "pg_wal").glob(f"{segment}.*.backup"), *self.archive.glob(f"{segment}.*.backup")]
        times = [_told(note, r"STOP TIME: (\S+ \S+) \S+") for note in notes]
        if not times:
            raise OrderopsError(f"the backup {backup} has no end", f"read {self.server.log}")
        return max(datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times)


def copy_server(server: PostgresServer, target: Path) -> None:
    """A copy of the whole server, taken while it works; a cut leaves no half one under this name."""
    half = target.with_name(f".{uuid.uuid4().hex}")
    place = ["-h", HOST, "-p", str(server.port), "-U", server.administrator, "-D", str(half)]
    how = ["-c", "fast", "-X", "stream", "--no-sync", "--no-password"]
    done = server.program("pg_basebackup", *place, *how, secret=server.password)
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        raise OrderopsError(f"pg_basebackup of {server.directory}: {last_line(done.stderr)}", f"read {server.log}")
    half.replace(target)


def _told(file: Path, pattern: str) -> str:
    found = re.search(pattern, file.read_text())
    if found is None:
        raise OrderopsError(f"{file} does not tell {pattern.partition(':')[0]}", "remove the backup that it belongs to")
    return found[1]
