"""The data plane: what exists in the emulator is what runs on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orderops.local import rds_calls
from orderops.local.databases import Databases
from orderops.local.emulator import Emulator
from orderops.local.place import Place


class Plane:
    """Databases, services and balancers, each following the account."""

    def __init__(self, place: Place, emulator: Emulator, touch: Callable[[], None]) -> None:
        self._emulator = emulator
        self._databases = Databases(place.databases, emulator.lock, touch)
        rds_calls.take_part(emulator, self._databases.refuse_port)

    def records(self) -> Any:
        """Our own records, for the memory; the caller holds the lock."""
        return {}

    def resume(self, records: Any) -> None:
        """Take up what an earlier process left."""
        self._databases.sweep(rds_calls.instances())

    def tick(self) -> None:
        with self._emulator.lock:
            instances = rds_calls.instances()
        self._databases.tick(instances)

    def wake(self) -> None:
        self._databases.wake()

    def close(self) -> None:
        self._databases.close()

    def status(self) -> dict[str, Any]:
        return {"databases": self._databases.status(), "services": {}}

    def credentials(self, identifier: str) -> dict[str, Any]:
        """Where a database is and how to open it; empty when there is no such, or not only one."""
        with self._emulator.lock:
            found = [one for _, one in rds_calls.instances() if identifier in ("", one.db_instance_identifier)]
            if len(found) != 1:
                return {}
            user, password = found[0].master_credentials
            place = {"host": "127.0.0.1", "port": found[0].endpoint_port, "database": found[0].db_name or "postgres"}
            return {**place, "identifier": found[0].db_instance_identifier, "user": user, "password": password}
