"""Directory of one database instance: server, base backups and archived log."""

from __future__ import annotations

import logging
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from orderops.local.rds.base_backups import BaseBackups
from orderops.local.rds.binaries import find_bindir, has_library
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import server_account

ADMINISTRATOR = "rdsadmin"
STATISTICS = "pg_stat_statements"
# Seconds. PostgreSQL archives a switched segment at once, unless the disk is very slow.
ARCHIVE_TIMEOUT = 15.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstanceDirectory:
    """Paths of one instance; `create` makes the directories."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @cached_property
    def server(self) -> PostgresServer:
        return PostgresServer(
            # Small segments: each call of commit_and_archive fills a whole one.
            self.folder / "server",
            administrator=ADMINISTRATOR,
            segment_megabytes=1,
            settings=self._settings(),
        )

    @cached_property
    def backups(self) -> BaseBackups:
        return BaseBackups(self.server, self.folder / "backups", self.archive)

    def create(self) -> None:
        """Create the directories, owned by the server's user."""
        for folder in (self.archive, self.backups.folder, self.server.directory):
            if not folder.exists():
                folder.mkdir(parents=True)
                if account := server_account():
                    account.chown(folder)

    def commit_and_archive(self) -> datetime:
        """Write one commit and archive it; every time up to the returned one can then be restored.

        A recovery compares its target with commit times: in idle periods it would find none that is late enough.
        """
        moment = datetime.now(UTC)
        with self.server.connect() as session:
            session.execute("SELECT txid_current()")
            row = session.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        segment = str(row[0]) if row else ""
        deadline = time.monotonic() + ARCHIVE_TIMEOUT
        while not (self.archive / segment).exists():
            if time.monotonic() > deadline:
                # A restore also reads the server's own pg_wal.
                log.warning("%s: %s was not archived within %.0f s", self.folder.name, segment, ARCHIVE_TIMEOUT)
                break
            time.sleep(0.02)
        return moment

    def _settings(self) -> dict[str, str]:
        folder = shlex.quote(str(self.archive))
        return {
            "wal_level": "replica",
            "archive_mode": "on",
            # Copied under a temporary name: a recovery must not read an incomplete segment.
            "archive_command": f"cp %p {folder}/.%f && mv {folder}/.%f {folder}/%f",
            # Bounds what a deleted data directory can lose to a minute.
            "archive_timeout": "60",
            # A server that is to load a library which it has not does not start.
            "shared_preload_libraries": STATISTICS if has_library(find_bindir(), STATISTICS) else "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u@%d ",
        }
