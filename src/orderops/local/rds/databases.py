"""Each database instance of the account is a PostgreSQL server of its own, made, kept, stopped and deleted with it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orderops.local.emulator.moto_models import DBInstance
from orderops.local.ports import port_is_free, taken_text
from orderops.local.rds.directory import ADMINISTRATOR as ADMINISTRATOR
from orderops.local.rds.instance import DatabaseServer
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.snapshots import FOLDER, Snapshots


class Databases:
    """All instances of the account, each with its server."""

    def __init__(
        self, directory: Path, lock: threading.RLock, told: Callable[[], None], remember: Callable[[], None]
    ) -> None:
        self.directory = directory
        self.snapshots = Snapshots(directory)
        self._lock = lock
        self._told = told
        self._remember = remember
        self._known: dict[str, DatabaseServer] = {}

    def tick(self, found: list[tuple[Any, DBInstance]]) -> None:
        """Give each new instance a server, and let go of what is deleted."""
        for backend, instance in found:
            database = self._known.get(instance.dbi_resource_id)
            if database is None:
                self._begin(backend, instance)
            elif database.gone:
                with self._lock:
                    backend.databases.pop(instance.db_instance_identifier, None)
                del self._known[instance.dbi_resource_id]
                self._told()

    def wake(self) -> None:
        for database in list(self._known.values()):
            database.wake.set()

    def there(self) -> set[Path]:
        """The folders of instances and of snapshots; to be asked before it is asked what is known, which may grow."""
        found = set(self.directory.iterdir()) if self.directory.exists() else set()
        return {each for each in found if each.name != FOLDER} | self.snapshots.there()

    def sweep(self, there: set[Path], known: set[str]) -> None:
        """Remove what nobody can ask for any more; a deletion may have been cut."""
        for folder in there:
            if folder.name not in known and folder.name not in self._known:
                PostgresServer(folder / "server").kill()
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        for database in list(self._known.values()):
            database.let_go()
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

    def refuse_port(self, port: int) -> str:
        """Why an instance cannot have this port; nothing when it can."""
        if port in self.ports() or port_is_free(port):
            return ""
        return taken_text(port)

    def ports(self, but: str = "") -> set[int]:
        """The ports that instances have, whether they run or not."""
        others = [one for one in list(self._known.values()) if one.instance.dbi_resource_id != but]
        return {port for one in others if (port := one.instance.endpoint_port or one.server.port)}

    def database(self, resource: str) -> DatabaseServer | None:
        """The instance with this identity; none once it is deleted."""
        return self._known.get(resource)

    def _begin(self, backend: Any, instance: DBInstance) -> None:
        database = DatabaseServer(backend, instance, self, self.directory, self._lock, self._told, self._remember)
        self._known[instance.dbi_resource_id] = database
        database.start()


def _state(database: DatabaseServer) -> str:
    instance = database.instance
    if instance.misfortune:
        return f"{instance.status}: {instance.misfortune}"
    return database.trouble or str(instance.status)
