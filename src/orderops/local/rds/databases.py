"""PostgreSQL servers of the account's database instances, one for each instance."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orderops.local.emulator.moto_models import DBInstance
from orderops.local.ports import port_is_free, taken_text
from orderops.local.rds.directory import ADMINISTRATOR as ADMINISTRATOR
from orderops.local.rds.instance import DatabaseServer
from orderops.local.rds.measure import measure
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.snapshots import FOLDER, Snapshots
from orderops.local.rds.tokens import TokenCheck


class Databases:
    """All instances of the account with their servers."""

    def __init__(
        self,
        directory: Path,
        lock: threading.RLock,
        on_change: Callable[[], None],
        save: Callable[[], None],
        tokens: TokenCheck,
    ) -> None:
        self.directory = directory
        self.snapshots = Snapshots(directory)
        self._lock = lock
        self._on_change = on_change
        self._save = save
        self._tokens = tokens
        self._known: dict[str, DatabaseServer] = {}

    def tick(self, records: list[tuple[Any, DBInstance]]) -> None:
        """Start a server for each new instance, and forget deleted ones."""
        for backend, instance in records:
            database = self._known.get(instance.dbi_resource_id)
            if database is None:
                self._add(backend, instance)
            elif database.gone:
                with self._lock:
                    backend.databases.pop(instance.db_instance_identifier, None)
                del self._known[instance.dbi_resource_id]
                self._on_change()

    def wake(self) -> None:
        for database in list(self._known.values()):
            database.wake.set()

    def folders(self) -> set[Path]:
        """Return the directories of instances and snapshots.

        Call before reading which ones are in use: a directory created in between must not count as unused.
        """
        folders = set(self.directory.iterdir()) if self.directory.exists() else set()
        return {folder for folder in folders if folder.name != FOLDER} | self.snapshots.folders()

    def sweep(self, folders: set[Path], in_use: set[str]) -> None:
        """Delete directories that are no longer in use, also after an interrupted deletion."""
        for folder in folders:
            if folder.name not in in_use and folder.name not in self._known:
                PostgresServer(folder / "server").kill()
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        for database in list(self._known.values()):
            database.request_stop()
        for database in list(self._known.values()):
            database.close()

    def status(self) -> dict[str, dict[str, Any]]:
        return {
            database.instance.db_instance_identifier: {
                "host": "127.0.0.1",
                "port": database.instance.endpoint_port or database.instance.port,
                "state": _state(database),
            }
            for database in list(self._known.values())
        }

    def measurements(self, region: str) -> Iterator[tuple[str, str, float]]:
        """Yield instance, metric and value of what runs in a region."""
        for database in list(self._known.values()):
            if database.region == region and database.instance.status == "available":
                for name, value in (*measure(database.server, database.instance), *database.replica.measured()):
                    yield str(database.instance.db_instance_identifier), name, value

    def pause_replay(self, name: str, *, paused: bool) -> str:
        """Pause or resume the replay of a replica; return what it is not or does not do, or nothing."""
        for database in list(self._known.values()):
            if database.instance.db_instance_identifier == name:
                return database.replica.pause(paused=paused)
        return f"there is no instance {name}"

    def port_conflict(self, port: int) -> str:
        """Say why an instance cannot have this port; empty when it can."""
        if port in self.ports() or port_is_free(port):
            return ""
        return taken_text(port)

    def ports(self, except_for: str = "") -> set[int]:
        """Return the ports of all instances, running or not."""
        others = [
            database for database in list(self._known.values()) if database.instance.dbi_resource_id != except_for
        ]
        return {port for database in others for port in database.port.taken}

    def database(self, resource: str) -> DatabaseServer | None:
        """Return the server of the instance with this resource id, or None once it is deleted."""
        return self._known.get(resource)

    def _add(self, backend: Any, instance: DBInstance) -> None:
        database = DatabaseServer(
            backend, instance, self, self.directory, self._lock, self._on_change, self._save, self._tokens
        )
        self._known[instance.dbi_resource_id] = database
        database.start()


def _state(database: DatabaseServer) -> str:
    instance = database.instance
    if instance.failure_reason:
        return f"{instance.status}: {instance.failure_reason}"
    return database.problem or str(instance.status)
