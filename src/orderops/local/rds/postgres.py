"""PostgreSQL server in a directory: create, start, stop, kill and find again.

    server = PostgresServer(directory)
    server.start()
    psycopg.connect(server.dsn())

Knows nothing of AWS. The server outlives the program that started it; another program finds it by its directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orderops.errors import OrderopsError
from orderops.local.ports import HOST, PortTaken
from orderops.local.ports import free_port as free_port
from orderops.local.rds.binaries import find_bindir, last_line, run_program, server_version
from orderops.local.users import server_account

# Bytes. A server runs for weeks, and a log without a limit fills the disk.
KEPT_LOG_BYTES = 20_000_000
# Settings for tests: data survives a killed server, but not a power cut.
UNDURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """Server with data, log and password in `directory`; port 0 chooses a free one and keeps it."""

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        settings: Mapping[str, str] | None = None,
        administrator: str = "postgres",
        segment_megabytes: int = 16,
        bindir: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.settings = dict(settings or {})
        self.administrator = administrator
        self.segment_megabytes = segment_megabytes
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.account = server_account()
        self._bindir = bindir
        self._port = port
        self._log_start = 0
        self._started: subprocess.Popen[bytes] | None = None

    @cached_property
    def bindir(self) -> Path:
        return self._bindir or find_bindir()

    @property
    def port(self) -> int:
        return self._port or int(self._read("port") or 0)

    @property
    def password(self) -> str:
        """Administrator's password, generated with the data directory."""
        return self._read("password")

    @property
    def created(self) -> bool:
        """True when the data directory is complete; an interrupted initdb leaves no marker file."""
        return (self.data / "PG_VERSION").exists() and (self.directory / "whole").exists()

    @property
    def running(self) -> bool:
        return self.process() is not None

    @property
    def ready(self) -> bool:
        """True when the server accepts statements that write."""
        return self.running and self._pid_file_line("status") == "ready"

    @property
    def standby_signal(self) -> Path:
        """The file with which PostgreSQL starts as a standby; it deletes the file when it is promoted."""
        return self.data / "standby.signal"

    @property
    def standby(self) -> bool:
        """True when the server follows another one, and accepts statements that only read."""
        return self.standby_signal.exists()

    @property
    def ended_cleanly(self) -> bool:
        """True when the server was shut down, and neither crashed nor was killed."""
        output = self.program("pg_controldata", "-D", str(self.data)).stdout
        return any(line.startswith("Database cluster state:") and "shut down" in line for line in output.splitlines())

    def dsn(self, database: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        """Return the connection string of the administrator, or of the named user."""
        return make_conninfo(
            host=HOST,
            port=self.port,
            dbname=database,
            user=user or self.administrator,
            password=self.password if user is None else password,
        )

    def move_to(self, port: int) -> None:
        """Set the port for the next start."""
        self._port = port

    def create(self) -> None:
        """Create the data directory unless it exists."""
        if self.created:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        self._write("password", password)
        with suppress(FileNotFoundError):
            (self.directory / "port").unlink()
        if self.account:
            self.account.chown(self.directory)
        locale = ["--locale=C.UTF-8", "--encoding=UTF8"]
        # The builtin provider sorts the same on every machine; libc's order depends on the system.
        if server_version(self.bindir) >= 17:
            locale.append("--locale-provider=builtin")
        result = self.program(
            "initdb",
            "-D",
            str(self.data),
            f"--username={self.administrator}",
            f"--pwfile={self.directory / 'password'}",
            "--auth=scram-sha-256",
            f"--wal-segsize={self.segment_megabytes}",
            "--no-sync",
            *locale,
        )
        if result.returncode:
            raise OrderopsError(f"initdb cannot create {self.data}: {last_line(result.stderr)}", "run: orderops doctor")
        with (self.data / "postgresql.conf").open("a") as conf:
            # Settings that change at each start are in a file of their own.
            conf.write("\ninclude_if_exists '../server.conf'\n")
        self._write("whole", "")

    def adopt(self, password: str) -> None:
        """Take over a data directory that was copied here, with its password."""
        self._write("password", password)
        self._write("whole", "")

    def start(
        self,
        timeout: float = 60,
        *,
        extra_settings: Mapping[str, str] | None = None,
        should_continue: Callable[[], bool] = lambda: True,
    ) -> None:
        """Start the server and return when it accepts statements; a running server is left alone.

        `extra_settings` apply to this start only, as a recovery needs; `should_continue` returning False ends the wait.
        Raises OrderopsError when the server does not start in time, and PortTaken for a port in use.
        """
        self.create()
        self._check_data_version()
        deadline = time.monotonic() + timeout
        if self.running:
            with suppress(_ServerExited):
                self._wait_until_ready(timeout, should_continue)
                return
        while True:
            chosen = self.port or free_port()
            self._write("port", str(chosen))
            self._write("server.conf", self._conf(chosen, extra_settings or {}))
            self._remove_stale_pid_file()
            self._spawn()
            try:
                self._wait_until_ready(deadline - time.monotonic(), should_continue)
                return
            except _ServerExited as exited:
                if not self._worth_retrying(exited) or time.monotonic() > deadline:
                    raise self._start_error(exited, chosen) from None
            time.sleep(0.2)

    def reload(self, extra_settings: Mapping[str, str]) -> None:
        """Let a running server read its settings again, with others than those of its start."""
        self._write("server.conf", self._conf(self.port, extra_settings))
        if process := self.process():
            process.send_signal(signal.SIGHUP)

    def stop(self, timeout: float = 30) -> None:
        """Shut down and end all sessions; after `timeout` seconds, shut down immediately."""
        process = self.process()
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            # Fast shutdown: SIGTERM would wait for open sessions.
            process.send_signal(signal.SIGINT)
            if not self._wait_until_gone(process, timeout):
                # Immediate shutdown, with a recovery at the next start.
                process.send_signal(signal.SIGQUIT)
                self._wait_until_gone(process, timeout)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        process = self.process()
        if process is None:
            return
        # Listed before the kill: orphans have another parent, and hold the shared memory.
        children = process.children(recursive=True)
        for member in (process, *children):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        for member in (process, *children):
            self._wait_until_gone(member, 10)

    def process(self) -> psutil.Process | None:
        """Return the postmaster, unless its pid has been reused by another program."""
        if self._started:
            # Reaps the child; a zombie would look alive.
            self._started.poll()
        try:
            process = psutil.Process(int(self._pid_file_line("pid") or -1))
            if process.status() == psutil.STATUS_ZOMBIE or str(self.data) not in process.cmdline():
                return None
        except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
            return None
        return process

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open an administrator's session in autocommit mode."""
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=10)

    def create_database(self, name: str, owner: str | None = None) -> str:
        """Create a database and return its connection string."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if owner:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        with self.connect() as session:
            session.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end its sessions."""
        with self.connect() as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def program(self, name: str, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
        """Run a PostgreSQL program as the server's user."""
        return run_program(self.bindir / name, *arguments, folder=self.directory, account=self.account, secret=secret)

    def log_text(self) -> str:
        """Return the whole log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _check_data_version(self) -> None:
        """Raise OrderopsError for data of another major version, which a server can neither read nor convert."""
        made_by, major = (self.data / "PG_VERSION").read_text().strip(), server_version(self.bindir)
        if made_by != str(major):
            raise OrderopsError(
                f"the data in {self.data} is of PostgreSQL {made_by}, and {self.bindir} is PostgreSQL {major}",
                f"run it with PostgreSQL {made_by}: ORDEROPS_PG_BIN=DIR orderops local start; "
                "or delete all data of the laptop: orderops local reset",
            )

    def _conf(self, port: int, extra_settings: Mapping[str, str]) -> str:
        # No Unix socket: its path is limited to 107 characters, and a data directory's is often longer.
        connection = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
        # Other programs of the same user could open the files in /dev/shm, but not those in the data directory.
        memory = {"dynamic_shared_memory_type": "mmap"} if self.account else {}
        settings = {**connection, **memory, **self.settings, **extra_settings}
        return "".join(f"{name} = '{value.replace(chr(39), 2 * chr(39))}'\n" for name, value in settings.items())

    def _spawn(self) -> None:
        if self.log.exists() and self.log.stat().st_size > KEPT_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as log:
            self._started = subprocess.Popen(
                [self.bindir / "postgres", "-D", self.data],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        self._log_start = self.log.stat().st_size

    def _wait_until_ready(self, timeout: float, should_continue: Callable[[], bool]) -> None:
        deadline = time.monotonic() + timeout
        while not (self.ready or (self.standby and self.running and self._pid_file_line("status") == "standby")):
            if self._started.poll() is not None if self._started else not self.running:
                raise _ServerExited(self._new_log())
            if time.monotonic() > deadline or not should_continue():
                raise OrderopsError(
                    f"PostgreSQL in {self.directory} is not ready after {timeout:.0f} s: {last_line(self._new_log())}",
                    f"read {self.log}",
                )
            time.sleep(0.02)

    def _worth_retrying(self, exited: _ServerExited) -> bool:
        """Tell whether another attempt may succeed: with another port, or once a crashed server's memory is freed."""
        if _port_taken(exited) and not self._port:
            with suppress(FileNotFoundError):
                (self.directory / "port").unlink()
            return True
        return "shared memory block" in exited.log and "is still in use" in exited.log

    def _start_error(self, exited: _ServerExited, port: int) -> OrderopsError:
        if _port_taken(exited):
            hint = f"stop the program that listens on port {port}, or choose another port"
            return PortTaken(port, f"PostgreSQL in {self.directory}", hint)
        return OrderopsError(
            f"PostgreSQL in {self.directory} exited during start-up: {last_line(exited.log)}", f"read {self.log}"
        )

    def _new_log(self) -> str:
        with suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")
        return ""

    def _remove_stale_pid_file(self) -> None:
        """Delete a pid file whose pid another program has reused: it would block every start."""
        pid = int(self._pid_file_line("pid") or 0)
        if pid and psutil.pid_exists(pid) and self.process() is None:
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    return
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file_line(self, field: str) -> str:
        """Return a line of postmaster.pid; the layout has not changed since PostgreSQL 10."""
        line = {"pid": 0, "status": 7}[field]
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[line].strip()
        except (OSError, IndexError):
            return ""

    def _wait_until_gone(self, process: psutil.Process, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._started:
                self._started.poll()
            try:
                if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                    return True
            except psutil.NoSuchProcess:
                return True
            time.sleep(0.02)
        return False

    def _read(self, name: str) -> str:
        try:
            return (self.directory / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        # Created with its mode before the password is written.
        path.touch(mode=0o600)
        path.write_text(text)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


class _ServerExited(Exception):
    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


def _port_taken(exited: _ServerExited) -> bool:
    return "could not bind" in exited.log or "could not create any TCP/IP sockets" in exited.log
