"""The folder of one database instance: its server, the server's base backups, and its log since."""

from __future__ import annotations

import logging
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from orderops.local.rds.base_backups import BaseBackups
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import server_account

ADMINISTRATOR = "rdsadmin"
ARCHIVED_WITHIN = 15.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstanceDirectory:
    """Where everything of one instance lies; nothing is made before it is laid out."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @cached_property
    def server(self) -> PostgresServer:
        return PostgresServer(
            self.folder / "server", administrator=ADMINISTRATOR, segment_megabytes=1, settings=self._settings()
        )

    @cached_property
    def backups(self) -> BaseBackups:
        return BaseBackups(self.server, self.folder / "backups", self.archive)

    def lay_out(self) -> None:
        """Make the folders, which the server's user must own."""
        for folder in (self.archive, self.backups.folder, self.server.directory):
            if not folder.exists():
                folder.mkdir(parents=True)
                if account := server_account():
                    account.owns(folder)

    def beat(self) -> datetime:
        """Write one commit and archive it: every moment up to the answer can be restored from now on.

        A recovery compares its target with commits only: in an idle time it would find none that is late enough.
        """
        moment = datetime.now(UTC)
        with self.server.connect() as session:
            session.execute("SELECT txid_current()")
            row = session.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        segment = str(row[0]) if row else ""
        deadline = time.monotonic() + ARCHIVED_WITHIN
        while not (self.archive / segment).exists():
            if time.monotonic() > deadline:  # it is read where the server has it
                log.warning("%s: %s was not archived within %.0f s", self.folder.name, segment, ARCHIVED_WITHIN)
                break
            time.sleep(0.02)
        return moment

    def _settings(self) -> dict[str, str]:
        folder = shlex.quote(str(self.archive))
        return {
            "wal_level": "replica",
            "archive_mode": "on",
            # Under another name until it is whole: a cut copy is never taken for a segment.
            "archive_command": f"cp %p {folder}/.%f && mv {folder}/.%f {folder}/%f",
            "archive_timeout": "60",
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": "100",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u@%d ",
        }
