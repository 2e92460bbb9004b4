"""One database instance and its server: made or restored, kept, backed up, stopped and deleted with it."""

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
from orderops.local.emulator.moto_models import AT_REST, DBInstance
from orderops.local.ports import PortTaken, free_port, port_is_free
from orderops.local.rds import snapshots
from orderops.local.rds.directory import InstanceDirectory
from orderops.local.rds.recovery import Unreachable, WalSource, recover, unfinished
from orderops.local.rds.roles import set_password, set_up
from orderops.local.rds.snapshots import Snapshots

EVERY = 0.25
FAILED_AFTER = 3
STOPPED_BY_HAND_AFTER = 1.0
SOURCE_WITHIN = 60.0
DAY = timedelta(days=1)
OVER = ("deleting", "incompatible-restore")
log = logging.getLogger(__name__)


class Neighbours(Protocol):
    """The other instances, as far as one has to do with them."""

    def ports(self, but: str) -> set[int]: ...

    def database(self, resource: str) -> DatabaseServer | None: ...


class DatabaseServer:
    """One instance and its server, on a thread of their own: a server's start must hold up nobody else."""

    def __init__(
        self,
        backend: Any,
        instance: DBInstance,
        others: Neighbours,
        databases: Path,
        lock: threading.RLock,
        told: Callable[[], None],
        remember: Callable[[], None],
    ) -> None:
        self.instance = instance
        self.home = InstanceDirectory(databases / instance.dbi_resource_id)
        self.server = self.home.server
        self.trouble = ""
        self.gone = False
        self.wake = threading.Event()
        self._backend = backend
        self._databases = databases
        self._snapshots = Snapshots(databases)
        self._lock = lock
        self._told = told
        self._remember = remember
        self._others = others
        self._failures = 0
        self._closing = False
        self._seen_running = False
        self._applied: tuple[str, str | None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"database {self.home.folder.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def let_go(self) -> None:
        """Begin no further step."""
        self._closing = True
        self.wake.set()

    def close(self) -> None:
        """Shut the server down; the instance stays what it is."""
        self.let_go()
        self._thread.join()
        if not self.gone:
            self.server.stop()

    def beat(self) -> None:
        """Let every moment up to now be one that can be restored."""
        moment = self.home.beat()
        with self._lock:
            self.instance.logged_until = moment

    def _run(self) -> None:
        while not self._closing and not self.gone:
            try:
                self._step()
                self.trouble, self._failures = "", 0
                pause = EVERY
            except Unreachable as error:
                self._give_up(error)
                pause = EVERY
            except OrderopsError as error:
                self._in_trouble(error)
                pause = 8 * EVERY
            except psycopg.OperationalError as error:
                log.warning("%s: %s", self.instance.db_instance_identifier, error)
                pause = 4 * EVERY
            except Exception:
                log.exception("%s", self.instance.db_instance_identifier)
                pause = 8 * EVERY
            self.wake.wait(pause)
            self.wake.clear()

    def _step(self) -> None:
        match self.instance.status:
            case "available":
                self._keep()
            case "creating" | "starting" | "modifying" | "incompatible-network" | "failed":
                self._start()
                self._settle("available")
            case "stopping":
                self._end()
                self._settle("stopped")
            case "rebooting":
                self.server.stop()
                self._start()
                self._settle("available")
            case "deleting":
                self._remove()

    def _start(self) -> None:
        """Start the server on the port the instance declares, or on any free one where another instance has that."""
        self.home.lay_out()
        if self.instance.declared_port != self.instance.port or not self.instance.endpoint_port:
            self.server.stop()
            with self._lock:  # two that begin at once do not choose the same
                port = self._choose_port()
                self.server.move_to(port)
        else:
            port = self.instance.endpoint_port
            self.server.move_to(port)
        if self.instance.origin and unfinished(self.server):
            self._restore()
        else:
            self.server.start()
        self._seen_running = True
        self._give_password()
        with self._lock:
            self.instance.endpoint_port = port
            self.instance.declared_port = self.instance.port

    def _choose_port(self) -> int:
        port, taken = int(self.instance.port), self._others.ports(but=self.instance.dbi_resource_id)
        # Nobody chose the port of a restored instance: it is its source's.
        inherited = self.instance.origin and not self.instance.declared_port
        return free_port(but=taken) if port in taken or (inherited and not port_is_free(port)) else port

    def _restore(self) -> None:
        """Bring the data of the source, as it was at the moment that is wanted."""
        origin = self.instance.origin
        assert origin
        if origin.moment is None:
            copy, password = self._snapshots.data(origin.folder), self._snapshots.password(origin.folder)
            recover(self.server, copy, password, None, self._going_on)
        else:
            source = InstanceDirectory(self._databases / origin.folder)
            self._await_source(origin.folder)
            backup = source.backups.newest_by(origin.moment)
            if backup is None:
                raise Unreachable(f"no base backup of {origin.name} is as old as {origin.moment:%Y-%m-%dT%H:%M:%SZ}")
            then = WalSource(source.archive, source.server.data, origin.moment)
            recover(self.server, backup.folder, source.server.password, then, self._going_on)
        with self._lock:
            what = "DB instance" if origin.moment else "snapshot"
            name = self.instance.db_instance_identifier
            self.instance.tell(f"Restored from {what} {origin.name} to {name}", "restoration")

    def _going_on(self) -> bool:
        return not self._closing and self.instance.status != "deleting"

    def _await_source(self, resource: str) -> None:
        """Let what the source committed by now be archived; one that does not run has nothing more to say."""
        deadline = time.monotonic() + SOURCE_WITHIN
        while source := self._others.database(resource):
            if source.server.ready:
                source.beat()
                return
            if source.instance.status in AT_REST and not source.server.running:
                return
            if self._closing or time.monotonic() > deadline:
                raise OrderopsError(
                    f"{source.instance.db_instance_identifier} takes no connections", f"read {source.server.log}"
                )
            time.sleep(0.05)

    def _keep(self) -> None:
        if self.instance.declared_port != self.instance.port:
            self._settle("modifying")
            self._start()
            self._settle("available")
        elif self.server.running:
            self._seen_running = True
            self._give_password()
            self._keep_backups()
            self._keep_snapshots()
        elif self._seen_running and self._stopped_by_hand():
            log.info("%s was stopped by hand", self.instance.db_instance_identifier)
            self._settle("stopped")
        else:
            began = time.monotonic()
            log.info("%s is not running: starting it", self.instance.db_instance_identifier)
            self._start()
            self._told()
            self.wake.wait(max(0.0, EVERY - (time.monotonic() - began)))

    def _stopped_by_hand(self) -> bool:
        """Somebody shut it down; not the machine, which then goes down itself."""
        until = time.monotonic() + STOPPED_BY_HAND_AFTER
        while time.monotonic() < until:
            if self._closing or self.server.running:
                return False
            self.wake.wait(EVERY)
        return not self._closing and self.server.ended_cleanly

    def _give_password(self) -> None:
        """The master user opens the database with the password that stands in the account."""
        with self._lock:
            user, password = self.instance.master_credentials
            name = self.instance.db_name
        if self._applied == (user, password):
            return
        if password is not None and self.instance.origin:
            set_password(self.server, user, password)  # the rest came with the data, or was taken out of it
        elif password is not None:
            set_up(self.server, user, password, name)
        self._applied = (user, password)

    def _keep_backups(self) -> None:
        """A base backup a day, for as many days as are asked for; and at least one commit after the first."""
        days, kept, now = self.instance.backup_retention_period, self.home.backups.all(), datetime.now(UTC)
        due = bool(days) and (not kept or now - kept[-1].since >= DAY)
        if due:
            self.home.backups.take()
        if due or (kept and not days):
            self._forget_backups(days)
            kept = self.home.backups.all()
        since = kept[0].since if kept and days else None
        if since and since <= now and (self.instance.logged_until or since) <= since:
            self.beat()
        if since != self.instance.restorable_since:
            with self._lock:
                self.instance.restorable_since = since
            self._told()

    def _forget_backups(self, days: int) -> None:
        """Remove what is older than it need be, unless somebody is restoring from here."""
        with self._lock:
            if is_source(self._backend, self.instance.dbi_resource_id):
                return
        if days:
            self.home.backups.forget_before(datetime.now(UTC) - days * DAY)
        else:
            self.home.backups.forget_all()

    def _keep_snapshots(self) -> None:
        """Keep the data of each snapshot that was asked for."""
        with self._lock:
            wanted = snapshots.pending(self._backend, self.instance.dbi_resource_id)
        for snapshot in wanted:
            self._snapshots.take(self.server, snapshot.kept_in)
            with self._lock:
                snapshot.status = "available"
            self._told()

    def _end(self) -> None:
        """Shut down with everything archived that was committed."""
        if self.server.running:
            with suppress(psycopg.OperationalError):
                self.beat()
            self.server.stop()
        self._keep_snapshots()

    def _remove(self) -> None:
        """Go, once nobody restores from here; what is to be kept is whole before the rest is gone."""
        with self._lock:
            if is_source(self._backend, self.instance.dbi_resource_id):
                return
            retained = self.instance.retained if self.instance.restorable_since else None
            final = snapshots.pending(self._backend, self.instance.dbi_resource_id)
        if retained or final:
            self._end()
        if retained:
            with self._lock:
                retained.restorable_since = self.instance.restorable_since
                retained.logged_until = self.instance.logged_until
        self._remember()  # a kill must not bring back an instance whose data is gone
        self.server.kill()
        shutil.rmtree(self.server.data if retained else self.home.folder, ignore_errors=True)
        self.gone = True
        self._told()

    def _settle(self, status: str) -> None:
        with self._lock:
            # What was asked for meanwhile, a deletion above all, stands.
            if self.instance.status != "deleting":
                self.instance.settle(status)
        self._told()

    def _give_up(self, error: OrderopsError) -> None:
        """A restore that cannot be had is none: never is it that of another moment."""
        log.error("%s: %s", self.instance.db_instance_identifier, error.message)
        self.server.kill()
        with self._lock:
            if self.instance.status != "deleting":
                self.instance.suffer("incompatible-restore", error.message)
        self._told()

    def _in_trouble(self, error: OrderopsError) -> None:
        """Say so; what a second try may mend is no failure yet."""
        if not self._going_on():
            return
        self._failures += 1
        if error.message != self.trouble:
            log.error("%s: %s", self.instance.db_instance_identifier, error.message)
        self.trouble = error.message
        if isinstance(error, PortTaken):
            self._settle("incompatible-network")
        elif self._failures >= FAILED_AFTER:
            self._settle("failed")


def is_source(backend: Any, folder: str) -> bool:
    """An instance is being made of what is in this folder."""
    made = [one for one in backend.databases.values() if getattr(one, "origin", None) and not one.endpoint_port]
    return any(one.origin.folder == folder and one.status not in OVER for one in made)
