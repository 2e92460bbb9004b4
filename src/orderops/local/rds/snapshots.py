"""The data of snapshots: a copy of an instance's server, and the password that opens it, in a folder of its own."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orderops.local.rds.base_backups import copy_server
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.recovery import Unreachable

FOLDER = "snapshots"


@dataclass(frozen=True)
class Snapshots:
    """All of the account; moto's records name them by `kept_in`."""

    databases: Path

    @property
    def folder(self) -> Path:
        return self.databases / FOLDER

    def take(self, server: PostgresServer, name: str) -> None:
        """Keep what the server has now; a cut leaves nothing that could be taken for it."""
        home = self.folder / name
        if (home / "data").exists():
            return
        home.mkdir(parents=True, exist_ok=True)
        if server.account:
            server.account.owns(home)
        (home / "password").touch(mode=0o600)
        (home / "password").write_text(server.password)
        if server.running:
            copy_server(server, home / "data")
        else:
            half = home / f".{uuid.uuid4().hex}"
            shutil.copytree(server.data, half, symlinks=True)
            half.rename(home / "data")

    def data(self, name: str) -> Path:
        """What was kept.

        Raises Unreachable when somebody took it away.
        """
        found = self.folder / name / "data"
        if not found.exists():
            raise Unreachable(f"the data of a snapshot is not there any more: {found}", "restore another one")
        return found

    def password(self, name: str) -> str:
        return (self.folder / name / "password").read_text()

    def there(self) -> set[Path]:
        return set(self.folder.iterdir()) if self.folder.exists() else set()


def keep(snapshot: Any) -> None:
    """moto calls a snapshot available at once; this one is, when its data is kept."""
    snapshot.kept_in = uuid.uuid4().hex
    snapshot.status = "creating"


def is_kept(snapshot: Any) -> bool:
    """Its data is in a folder, or will be."""
    return bool(getattr(snapshot, "kept_in", ""))


def pending(backend: Any, resource: str) -> list[Any]:
    """The snapshots of an instance whose data is not kept yet."""
    return [
        snapshot
        for snapshot in backend.database_snapshots.values()
        if snapshot.dbi_resource_id == resource and is_kept(snapshot) and snapshot.status == "creating"
    ]
