"""One database instance and its server: create, restore, run, back up, stop and delete."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg

from orderops.errors import OrderopsError
from orderops.local.emulator.moto_models import NOT_RUNNING, DBInstance
from orderops.local.ports import PortTaken, free_port, port_is_free
from orderops.local.rds import snapshots
from orderops.local.rds.binaries import version_numbers
from orderops.local.rds.classes import connections_of
from orderops.local.rds.credentials import apply_credentials
from orderops.local.rds.directory import InstanceDirectory
from orderops.local.rds.instance_port import InstancePort
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.recovery import Unreachable, WalSource, is_source, recover, recovery_pending
from orderops.local.rds.replica import ReplicaServer
from orderops.local.rds.snapshots import Snapshots
from orderops.local.rds.tokens import TokenCheck

# Seconds between two steps of an instance.
INTERVAL = 0.25
# Attempts. A port or a lock of a server that just ended is often free a second later.
FAILED_AFTER = 3
# Seconds. At a shutdown of the machine, the daemon is ended within this time, too.
STOPPED_BY_HAND_AFTER = 1.0
# Seconds. A source that is recovering after a crash takes a while to accept connections.
SOURCE_TIMEOUT = 60.0
DAY = timedelta(days=1)
log = logging.getLogger(__name__)


class OtherInstances(Protocol):
    """What an instance needs to know of the others."""

    def ports(self, except_for: str) -> set[int]: ...

    def database(self, resource: str) -> DatabaseServer | None: ...


class DatabaseServer:
    """Instance and server with a thread of their own, so that a slow start delays no other instance."""

    def __init__(
        self,
        backend: Any,
        instance: DBInstance,
        others: OtherInstances,
        databases: Path,
        lock: threading.RLock,
        on_change: Callable[[], None],
        save: Callable[[], None],
        tokens: TokenCheck,
    ) -> None:
        self.instance = instance
        self.home = InstanceDirectory(databases / instance.dbi_resource_id)
        self.server = self.home.server
        self.port = InstancePort(instance, self.home, str(backend.region_name), lock, tokens)
        self.problem = ""
        self.gone = False
        self.wake = threading.Event()
        self._backend = backend
        self._databases = databases
        self._snapshots = Snapshots(databases)
        self._lock = lock
        self._on_change = on_change
        self._save = save
        self._others = others
        self.replica = ReplicaServer(backend, instance, self.server, self._source_server, lock)
        self._failures = 0
        self._closing = False
        self._seen_running = False
        self._version_reported = False
        self._thread = threading.Thread(target=self._run, name=f"database {self.home.folder.name}", daemon=True)

    @property
    def region(self) -> str:
        """The region of the instance."""
        return str(self._backend.region_name)

    def start(self) -> None:
        self._thread.start()

    def request_stop(self) -> None:
        """Start no further step."""
        self._closing = True
        self.wake.set()

    def close(self) -> None:
        """Shut the server down; the instance keeps its status."""
        self.request_stop()
        self._thread.join()
        self.port.close()
        if not self.gone:
            self.server.stop()

    def commit_and_archive(self) -> None:
        """Make every time up to now restorable."""
        moment = self.home.commit_and_archive()
        with self._lock:
            self.instance.logged_until = moment

    def _run(self) -> None:
        while not self._closing and not self.gone:
            try:
                self._step()
                self.problem, self._failures = "", 0
                pause = INTERVAL
            except Unreachable as error:
                self._fail_restore(error)
                pause = INTERVAL
            except OrderopsError as error:
                self._record_problem(error)
                pause = 8 * INTERVAL
            except psycopg.OperationalError as error:
                log.warning("%s: %s", self.instance.db_instance_identifier, error)
                pause = 4 * INTERVAL
            except Exception:
                log.exception("%s", self.instance.db_instance_identifier)
                pause = 8 * INTERVAL
            self.wake.wait(pause)
            self.wake.clear()

    def _step(self) -> None:
        match self.instance.status:
            case "available":
                self._maintain()
            case "modifying" | "creating" | "starting" if self.replica.to_be_promoted:
                self._promote()
            case "creating" | "starting" | "modifying" | "incompatible-network" | "failed":
                self._start()
                self._set_status("available")
            case "stopping":
                self._shut_down()
                self._set_status("stopped")
            case "rebooting":
                self.server.stop()
                self._start()
                self._set_status("available")
            case "deleting":
                self._remove()

    def _start(self) -> None:
        """Start the server on the declared port, or on a free one when another instance has the declared port."""
        self.home.create()
        self._follow_class()
        if self.instance.declared_port != self.instance.port or not self.instance.endpoint_port:
            self.server.stop()
            with self._lock:
                # Two instances that start together must not choose the same port.
                port = self._choose_port()
                self.port.place(port, self._others.ports(except_for=""))
        else:
            port = self.instance.endpoint_port
            self.port.place(port, self._others.ports(except_for=""))
        if self.instance.replicates_from and (self.replica.follows or not self.server.created or self.server.standby):
            self.replica.start(self._should_continue)
        elif self.instance.origin and recovery_pending(self.server):
            self._restore()
        else:
            self.server.start()
        self._seen_running = True
        self._apply_password()
        self._report_version()
        with self._lock:
            self.instance.endpoint_port = port
            self.instance.declared_port = self.instance.port

    def _follow_class(self) -> None:
        """Give the next start the connections of the instance class; another class interrupts, as on AWS."""
        wanted, before = self.instance.db_instance_class, self.instance.applied_class
        self.server.settings["max_connections"] = str(connections_of(wanted))
        if before not in ("", wanted):
            self.server.stop()
            with self._lock:
                self.instance.add_event("Finished applying modification to DB instance class", "configuration change")
        self.instance.applied_class = wanted

    def _choose_port(self) -> int:
        port, taken = int(self.instance.port), self._others.ports(except_for=self.instance.dbi_resource_id)
        # A restored instance inherits its source's port without anyone having chosen it.
        inherited = (self.instance.origin or self.instance.replicates_from) and not self.instance.declared_port
        return free_port(excluded=taken) if port in taken or (inherited and not port_is_free(port)) else port

    def _source_server(self) -> PostgresServer | None:
        """The server of the instance that this one replicates; None once that is deleted."""
        source = self._others.database(self.instance.replicates_from)
        return source.server if source and not source.gone else None

    def _promote(self) -> None:
        """Promote a replica, and restart it as RDS does."""
        self._start()
        self.replica.promote()
        self._set_status("rebooting")

    def _restore(self) -> None:
        """Fetch the source's data at the requested time."""
        origin = self.instance.origin
        assert origin
        if origin.moment is None:
            copy, password = self._snapshots.data(origin.folder), self._snapshots.password(origin.folder)
            recover(self.server, copy, password, None, self._should_continue)
        else:
            source = InstanceDirectory(self._databases / origin.folder)
            self._await_source(origin.folder)
            backup = source.backups.newest_by(origin.moment)
            if backup is None:
                raise Unreachable(f"{origin.name} has no base backup from before {origin.moment:%Y-%m-%dT%H:%M:%SZ}")
            wal = WalSource(source.archive, source.server.data, origin.moment)
            recover(self.server, backup.folder, source.server.password, wal, self._should_continue)
        with self._lock:
            source_kind = "DB instance" if origin.moment else "snapshot"
            name = self.instance.db_instance_identifier
            self.instance.add_event(f"Restored from {source_kind} {origin.name} to {name}", "restoration")

    def _should_continue(self) -> bool:
        return not self._closing and self.instance.status != "deleting"

    def _await_source(self, resource: str) -> None:
        """Wait until the source's latest commits are archived; a stopped source has archived all."""
        deadline = time.monotonic() + SOURCE_TIMEOUT
        while source := self._others.database(resource):
            if source.server.ready:
                source.commit_and_archive()
                return
            if source.instance.status in NOT_RUNNING and not source.server.running:
                return
            if self._closing or time.monotonic() > deadline:
                raise OrderopsError(
                    f"{source.instance.db_instance_identifier} accepts no connections", f"read {source.server.log}"
                )
            time.sleep(0.05)

    def _maintain(self) -> None:
        if self.instance.declared_port != self.instance.port:
            self._set_status("modifying")
            self._start()
            self._set_status("available")
        elif self.port.lacks_gateway and self.server.running:
            self._start()
        elif self.server.running:
            self._seen_running = True
            self._apply_password()
            if not self._version_reported:
                self._report_version()
            if self.replica.look():
                self._on_change()
            if not self.replica.follows:
                self._maintain_backups()
            self._take_pending_snapshots()
        elif self._seen_running and self._stopped_by_hand():
            log.info("%s was shut down by an operator", self.instance.db_instance_identifier)
            self.port.close()
            self._set_status("stopped")
        else:
            began = time.monotonic()
            log.info("%s is not running: starting it", self.instance.db_instance_identifier)
            self._start()
            self._on_change()
            self.wake.wait(max(0.0, INTERVAL - (time.monotonic() - began)))

    def _stopped_by_hand(self) -> bool:
        """Tell whether an operator shut the server down; when the machine does, the daemon stops within a second."""
        until = time.monotonic() + STOPPED_BY_HAND_AFTER
        while time.monotonic() < until:
            if self._closing or self.server.running:
                return False
            self.wake.wait(INTERVAL)
        return not self._closing and self.server.ended_cleanly

    def _apply_password(self) -> None:
        """Set the master user's password to the one in the account."""
        if apply_credentials(self.instance, self.server, self._lock):
            self._on_change()

    def _report_version(self) -> None:
        """Report the version of the server that runs: the requested one is a major version, or an older minor one."""
        with self.server.connect() as session:
            version = version_numbers(session.info.parameter_status("server_version") or "")
        with self._lock:
            changed = self.instance.engine_version != version
            self.instance.engine_version = version
        self._version_reported = True
        if changed:
            self._on_change()

    def _maintain_backups(self) -> None:
        """Take a base backup a day, keep as many days as requested, and commit once after the first."""
        days, backups, now = self.instance.backup_retention_period, self.home.backups.all(), datetime.now(UTC)
        due = bool(days) and (not backups or now - backups[-1].since >= DAY)
        # The first backup makes an instance restorable; later ones shorten the log to replay.
        if due:
            self.home.backups.take()
        if due or (backups and not days):
            self._remove_old_backups(days)
            backups = self.home.backups.all()
        since = backups[0].since if backups and days else None
        if since and since <= now and (self.instance.logged_until or since) <= since:
            self.commit_and_archive()
        if since != self.instance.restorable_since:
            with self._lock:
                self.instance.restorable_since = since
            self._on_change()

    def _remove_old_backups(self, days: int) -> None:
        """Delete expired backups, unless a restore is reading from this instance."""
        with self._lock:
            if is_source(self._backend, self.instance.dbi_resource_id):
                return
        if days:
            self.home.backups.forget_before(datetime.now(UTC) - days * DAY)
        else:
            self.home.backups.forget_all()

    def _take_pending_snapshots(self) -> None:
        """Copy the data for each requested snapshot."""
        with self._lock:
            pending = snapshots.pending(self._backend, self.instance.dbi_resource_id)
        for snapshot in pending:
            self._snapshots.take(self.server, snapshot.data_folder)
            with self._lock:
                snapshot.status = "available"
            self._on_change()

    def _shut_down(self) -> None:
        """Shut down after archiving everything committed."""
        self.port.close()
        if self.server.running:
            with suppress(psycopg.OperationalError):
                self.commit_and_archive()
            self.server.stop()
        self._take_pending_snapshots()

    def _remove(self) -> None:
        """Delete the server once no restore reads from it, after completing what is retained."""
        with self._lock:
            if is_source(self._backend, self.instance.dbi_resource_id):
                return
            retained = self.instance.retained if self.instance.restorable_since else None
            final = snapshots.pending(self._backend, self.instance.dbi_resource_id)
        if retained or final:
            self._shut_down()
        if retained:
            with self._lock:
                retained.restorable_since = self.instance.restorable_since
                retained.logged_until = self.instance.logged_until
        self.replica.let_go()
        # Saved first: a kill must not bring back an instance without data.
        self._save()
        self.port.close()
        self.server.kill()
        shutil.rmtree(self.server.data if retained else self.home.folder, ignore_errors=True)
        self.gone = True
        self._on_change()

    def _set_status(self, status: str) -> None:
        with self._lock:
            # A deletion requested in the meantime must not be overwritten.
            if self.instance.status != "deleting":
                self.instance.set_status(status)
        self._on_change()

    def _fail_restore(self, error: OrderopsError) -> None:
        """Fail a restore whose time cannot be reached; data of another time is never served."""
        log.error("%s: %s", self.instance.db_instance_identifier, error.message)
        self.server.kill()
        with self._lock:
            if self.instance.status != "deleting":
                self.instance.fail("incompatible-restore", error.message)
        self._on_change()

    def _record_problem(self, error: OrderopsError) -> None:
        """Record the problem; only repeated ones become a failure."""
        if not self._should_continue():
            return
        self._failures += 1
        if error.message != self.problem:
            log.error("%s: %s", self.instance.db_instance_identifier, error.message)
        self.problem = error.message
        if isinstance(error, PortTaken):
            self._set_status("incompatible-network")
        elif self._failures >= FAILED_AFTER:
            self._set_status("failed")
