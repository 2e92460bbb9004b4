"""Data of snapshots: a copy of the server and its password, in a directory for each snapshot."""

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
    """All snapshots of the account; moto's records refer to them by `data_folder`."""

    databases: Path

    @property
    def folder(self) -> Path:
        return self.databases / FOLDER

    def take(self, server: PostgresServer, name: str) -> None:
        """Copy the server's current data; an interruption leaves no incomplete snapshot."""
        folder = self.folder / name
        if (folder / "data").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        if server.account:
            server.account.chown(folder)
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(server.password)
        if server.running:
            # A running server is copied by pg_basebackup: its files change during a plain copy.
            copy_server(server, folder / "data")
        else:
            temporary = folder / f".{uuid.uuid4().hex}"
            shutil.copytree(server.data, temporary, symlinks=True)
            temporary.rename(folder / "data")

    def data(self, name: str) -> Path:
        """Return the snapshot's data directory. Raises Unreachable when it has been deleted."""
        data = self.folder / name / "data"
        if not data.exists():
            raise Unreachable(f"the data of a snapshot has been deleted: {data}", "restore another snapshot")
        return data

    def password(self, name: str) -> str:
        return (self.folder / name / "password").read_text()

    def folders(self) -> set[Path]:
        return set(self.folder.iterdir()) if self.folder.exists() else set()


def begin(snapshot: Any) -> None:
    """Mark a snapshot as `creating` until its data is copied; moto calls it available at once."""
    snapshot.data_folder = uuid.uuid4().hex
    snapshot.status = "creating"


def has_data(snapshot: Any) -> bool:
    """Tell whether the snapshot has, or will have, a data directory."""
    return bool(getattr(snapshot, "data_folder", ""))


def pending(backend: Any, resource: str) -> list[Any]:
    """Return the instance's snapshots that are still to be copied."""
    return [
        snapshot
        for snapshot in backend.database_snapshots.values()
        if snapshot.dbi_resource_id == resource and has_data(snapshot) and snapshot.status == "creating"
    ]
