"""A replica's server: made from its source, kept following it, and promoted; and what a source keeps for replicas."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg

from orderops.errors import OrderopsError
from orderops.local.emulator import replication
from orderops.local.emulator.moto_models import DBInstance
from orderops.local.rds import standby
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.recovery import Unreachable

# Seconds between two looks at the replication; CloudWatch gets the last one.
LOOK_INTERVAL = 1.0
NOT_REPLICATING = -1.0
"""The lag of a replica that receives nothing, as in RDS's ReplicaLag."""
SourceOf = Callable[[], PostgresServer | None]
log = logging.getLogger(__name__)


class ReplicaServer:
    """Replication of one instance, if it is a replica; and the slots of its own replicas."""

    def __init__(
        self, backend: Any, instance: DBInstance, server: PostgresServer, source_of: SourceOf, lock: threading.RLock
    ) -> None:
        self.lag: float | None = None
        """Seconds; -1 while it does not replicate, and None for an instance that is no replica."""
        self.slot_lag: float | None = None
        """Bytes of log that the own replica furthest behind keeps; None without replicas."""
        self._backend = backend
        self._instance = instance
        self._server = server
        self._source_of = source_of
        self._lock = lock
        self._looked_at = 0.0
        self._slots: set[str] | None = None
        self._followed: dict[str, str] | None = None

    @property
    def follows(self) -> bool:
        """True while the record says that it is a replica."""
        return bool(self._instance.is_replica)

    @property
    def to_be_promoted(self) -> bool:
        """True when a promotion was requested and is not done, or the source of a server that follows was deleted."""
        return self._instance.promotion is not None or (self._server.standby and not self.follows)

    def start(self, should_continue: Callable[[], bool]) -> None:
        """Start the server, which needs its source only for its first start."""
        source = self._source_of()
        if not self._server.created:
            if source is None:
                # Never an empty database in its place.
                raise Unreachable(
                    f"the source of {self._instance.db_instance_identifier} was deleted before its data was copied",
                    "delete it and create it again",
                )
            if not source.ready:
                raise OrderopsError(f"the source in {source.directory} accepts no connections", f"read {source.log}")
            standby.create(self._server, source, self._slot)
        self._followed = self._settings()
        self._server.start(extra_settings=self._followed, should_continue=should_continue)

    def look(self) -> bool:
        """Measure lag and slots once a second, and follow a source that has moved; True when the record changed."""
        if time.monotonic() - self._looked_at < LOOK_INTERVAL:
            return False
        self._looked_at = time.monotonic()
        self._tend_slots()
        if not self.follows:
            self.lag = None
            return False
        found = standby.look(self._server)
        self.lag = found.lag if found.streams else NOT_REPLICATING
        if not found.streams and (wanted := self._settings()) != self._followed and wanted:
            self._followed = wanted
            self._server.reload(wanted)
        return self._note("replicating" if found.streams else "stopped")

    def measured(self) -> Iterator[tuple[str, float]]:
        """Yield the metrics of the replication of a running server, in CloudWatch's names and units."""
        if self._server.running:
            lags = {"ReplicaLag": self.lag, "OldestReplicationSlotLag": self.slot_lag}
            yield from ((name, value) for name, value in lags.items() if value is not None)

    def pause(self, *, paused: bool) -> str:
        """Pause or resume the replay; return why that cannot be, or nothing."""
        if not (self.follows and self._server.running):
            return f"{self._instance.db_instance_identifier} is not a running replica"
        standby.pause(self._server, paused=paused)
        return ""

    def promote(self) -> None:
        """Make the server accept writes, and its record that of an instance of its own."""
        standby.promote(self._server)
        with self._lock:
            if self.follows:
                replication.promote(self._backend, self._instance)
        self.lag = None

    def let_go(self) -> None:
        """Send all log to the replicas of a server that is about to be deleted."""
        with suppress(psycopg.OperationalError):
            if self._server.ready and standby.oldest_slot_lag(self._server) is not None:
                self._server.stop()

    def _settings(self) -> dict[str, str]:
        source = self._source_of()
        return standby.settings(source, self._slot) if source and source.port else {}

    @property
    def _slot(self) -> str:
        return standby.slot_name(self._instance.dbi_resource_id)

    def _note(self, status: str) -> bool:
        with self._lock:
            before = self._instance.__dict__.get("replication_status", "")
            # A new replica has no status until it replicates.
            if status == before or not (before or status == "replicating"):
                return False
            self._instance.replication_status = status
        log.info("%s: %s", self._instance.db_instance_identifier, status)
        return True

    def _tend_slots(self) -> None:
        """Drop the slots of former replicas, and measure what the others keep."""
        with self._lock:
            needed = {
                standby.slot_name(other.dbi_resource_id)
                for other in self._backend.databases.values()
                if other.is_replica
                and getattr(other, "replicates_from", "") == self._instance.dbi_resource_id
                and other.status != "deleting"
            }
        if self._server.standby:
            return
        if needed != self._slots and standby.drop_slots(self._server, needed):
            self._slots = needed
        self.slot_lag = standby.oldest_slot_lag(self._server) if needed else None
