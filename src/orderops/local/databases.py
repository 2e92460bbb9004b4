"""Each database instance of the account is a PostgreSQL server of its own, made, kept, stopped and deleted with it.

A restore to a point in time starts here: `Database.archive` holds the log since the base backups in `Database.backups`.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orderops.errors import OrderopsError
from orderops.local.models import DBInstance
from orderops.local.ports import PortTaken, free_port, port_is_free, taken_text
from orderops.local.postgres import PostgresServer
from orderops.local.users import server_account

ADMINISTRATOR = "rdsadmin"
GRANTED = ("pg_monitor", "pg_signal_backend", "pg_checkpoint")
EVERY = 0.25
FAILED_AFTER = 3
STOPPED_BY_HAND_AFTER = 1.0
log = logging.getLogger(__name__)


class Database(threading.Thread):
    """One instance and its server; a thread, because a server's start must hold up nobody else."""

    def __init__(
        self,
        instance: DBInstance,
        home: Path,
        lock: threading.RLock,
        told: Callable[[], None],
        taken: Callable[[], set[int]],
    ) -> None:
        super().__init__(name=f"database {instance.db_instance_identifier}", daemon=True)
        self.instance = instance
        self.home = home
        self.archive = home / "archive"
        self.backups = home / "backups"
        self.trouble = ""
        self.gone = False
        self.wake = threading.Event()
        self._lock = lock
        self._told = told
        self._taken = taken
        self._failures = 0
        self._closing = False
        self._seen_running = False
        self._applied: tuple[str, str] | None = None
        self.server = PostgresServer(
            home / "server", administrator=ADMINISTRATOR, segment_megabytes=1, settings=self._settings()
        )

    def let_go(self) -> None:
        """Begin no further step."""
        self._closing = True
        self.wake.set()

    def close(self) -> None:
        """Shut the server down; the instance stays what it is."""
        self.let_go()
        self.join()
        if not self.gone:
            self.server.stop()

    def run(self) -> None:
        while not self._closing and not self.gone:
            try:
                self._step()
                self.trouble, self._failures = "", 0
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
                self.server.stop()
                self._settle("stopped")
            case "rebooting":
                self.server.stop()
                self._start()
                self._settle("available")
            case "deleting":
                self.server.kill()
                shutil.rmtree(self.home, ignore_errors=True)
                self.gone = True
                self._told()

    def _start(self) -> None:
        """Start the server on the port the instance declares, or on any free one where another instance has that."""
        self._lay_out()
        if self.instance.declared_port != self.instance.port or not self.instance.endpoint_port:
            self.server.stop()
            port = int(self.instance.port)
            port = free_port(but=self._taken()) if port in self._taken() else port
        else:
            port = self.instance.endpoint_port
        self.server.move_to(port)
        self.server.start()
        self._seen_running = True
        self._give_password()
        with self._lock:
            self.instance.endpoint_port = port
            self.instance.declared_port = self.instance.port

    def _lay_out(self) -> None:
        for folder in (self.archive, self.backups, self.server.directory):
            if not folder.exists():
                folder.mkdir(parents=True)
                if account := server_account():
                    account.owns(folder)

    def _keep(self) -> None:
        if self.instance.declared_port != self.instance.port:
            self._settle("modifying")
            self._start()
            self._settle("available")
        elif self.server.running:
            self._seen_running = True
            self._give_password()
            if self.instance.restorable is None:
                self._back_up()
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
        for database in ("template1", "postgres"):
            with suppress(psycopg.errors.FeatureNotSupported), self.server.connect(database) as session:
                session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        with self.server.connect() as session:
            _set_up_roles(session, user, password)
            _set_up_database(session, user, "postgres")
            if name:
                _set_up_database(session, user, name)
        self._applied = (user, password)

    def _back_up(self) -> None:
        """Take a base backup, unless one is there: the kill may have come between it and the word of it."""
        for half in self.backups.glob(".*"):
            shutil.rmtree(half, ignore_errors=True)
        if not any(self.backups.iterdir()):
            self.server.base_backup(self.backups / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
        with self._lock:
            self.instance.restorable = datetime.now(UTC).replace(tzinfo=None)
        self._told()

    def _settle(self, status: str) -> None:
        with self._lock:
            # What was asked for meanwhile, a deletion above all, stands.
            if self.instance.status != "deleting":
                self.instance.settle(status)
        self._told()

    def _in_trouble(self, error: OrderopsError) -> None:
        """Say so; what a second try may mend is no failure yet."""
        self._failures += 1
        if error.message != self.trouble:
            log.error("%s: %s", self.instance.db_instance_identifier, error.message)
        self.trouble = error.message
        if isinstance(error, PortTaken):
            self._settle("incompatible-network")
        elif self._failures >= FAILED_AFTER:
            self._settle("failed")

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


def _set_up_roles(session: psycopg.Connection, user: str, password: str) -> None:
    """What the master user may do, as on RDS: much, but it is no superuser."""
    for role, rights in (("rds_superuser", "NOLOGIN"), (user, "LOGIN CREATEDB CREATEROLE")):
        found = session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if not found:
            session.execute(sql.SQL("CREATE ROLE {} " + rights).format(sql.Identifier(role)))
    session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))
    for granted in GRANTED:
        with suppress(psycopg.errors.UndefinedObject):  # pg_checkpoint is new in 15.
            session.execute(sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(granted)))
    session.execute(sql.SQL("GRANT rds_superuser TO {}").format(sql.Identifier(user)))


def _set_up_database(session: psycopg.Connection, owner: str, name: str) -> None:
    found = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    what = "ALTER DATABASE {} OWNER TO {}" if found else "CREATE DATABASE {} OWNER {}"
    session.execute(sql.SQL(what).format(sql.Identifier(name), sql.Identifier(owner)))


class Databases:
    """All instances of the account, each with its server."""

    def __init__(self, directory: Path, lock: threading.RLock, told: Callable[[], None]) -> None:
        self.directory = directory
        self._lock = lock
        self._told = told
        self._known: dict[str, Database] = {}

    def tick(self, found: list[tuple[Any, DBInstance]]) -> None:
        """Give each new instance a server, and let go of what is deleted."""
        for backend, instance in found:
            database = self._known.get(instance.dbi_resource_id)
            if database is None:
                self._known[instance.dbi_resource_id] = self._begin(instance)
            elif database.gone:
                with self._lock:
                    backend.databases.pop(instance.db_instance_identifier, None)
                del self._known[instance.dbi_resource_id]
                self._told()

    def wake(self) -> None:
        for database in list(self._known.values()):
            database.wake.set()

    def sweep(self, found: list[tuple[Any, DBInstance]]) -> None:
        """Folders whose instance is no more: their deletion was cut."""
        kept = {instance.dbi_resource_id for _, instance in found}
        for folder in self.directory.iterdir() if self.directory.exists() else ():
            if folder.name not in kept:
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
                "state": database.trouble or database.instance.status,
            }
            for database in list(self._known.values())
        }

    def refuse_port(self, port: int) -> str:
        """Why an instance cannot have this port; nothing when it can."""
        if port in self._ports() or port_is_free(port):
            return ""
        return taken_text(port)

    def _begin(self, instance: DBInstance) -> Database:
        home = self.directory / instance.dbi_resource_id
        me = instance.dbi_resource_id
        database = Database(instance, home, self._lock, self._told, lambda: self._ports(but=me))
        database.start()
        return database

    def _ports(self, but: str = "") -> set[int]:
        others = [
            database.instance for database in list(self._known.values()) if database.instance.dbi_resource_id != but
        ]
        return {other.endpoint_port for other in others if other.endpoint_port}
