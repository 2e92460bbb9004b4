"""One PostgreSQL server in a folder: made, started, stopped, killed and found again.

    server = PostgresServer(directory)
    server.start()
    psycopg.connect(server.dsn())

Nothing here knows AWS. The server outlives the program that started it; another program finds it by its folder.
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

KEPT_LOG_BYTES = 20_000_000
UNDURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""Settings for tests: the data survives a killed server, though not a power cut."""


class PostgresServer:
    """A server whose data, log and password stand in `directory`; port 0 means any free one, which is then kept."""

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
        """The administrator's password, made with the data folder."""
        return self._read("password")

    @property
    def created(self) -> bool:
        """There is a whole data folder: a cut initdb leaves none."""
        return (self.data / "PG_VERSION").exists() and (self.directory / "whole").exists()

    @property
    def running(self) -> bool:
        return self.process() is not None

    @property
    def ready(self) -> bool:
        """The server is up and takes statements that write."""
        return self.running and self._told("status") == "ready"

    @property
    def ended_cleanly(self) -> bool:
        """The data folder says that somebody shut the server down: it neither crashed nor was killed."""
        told = self.program("pg_controldata", "-D", str(self.data)).stdout
        return any(line.startswith("Database cluster state:") and "shut down" in line for line in told.splitlines())

    def dsn(self, database: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        """Where and as whom to connect; the administrator unless another user is named."""
        return make_conninfo(
            host=HOST,
            port=self.port,
            dbname=database,
            user=user or self.administrator,
            password=self.password if user is None else password,
        )

    def move_to(self, port: int) -> None:
        """The port from the next start on."""
        self._port = port

    def create(self) -> None:
        """Make the data folder where there is none."""
        if self.created:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        self._write("password", password)
        with suppress(FileNotFoundError):
            (self.directory / "port").unlink()
        if self.account:
            self.account.owns(self.directory)
        locale = ["--locale=C.UTF-8", "--encoding=UTF8"]
        if server_version(self.bindir) >= 17:
            locale.append("--locale-provider=builtin")
        done = self.program(
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
        if done.returncode:
            raise OrderopsError(f"initdb could not make {self.data}: {last_line(done.stderr)}", "run: orderops doctor")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists '../server.conf'\n")
        self._write("whole", "")

    def adopt(self, password: str) -> None:
        """Take the data folder that was put here for the server's own; the password came with it."""
        self._write("password", password)
        self._write("whole", "")

    def start(
        self,
        timeout: float = 60,
        *,
        besides: Mapping[str, str] | None = None,
        going_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Come back when the server takes statements that write; one that runs already is left alone.

        `besides` are settings for this one start, as a recovery needs them; `going_on` says whether to wait on.
        """
        self.create()
        deadline = time.monotonic() + timeout
        if self.running:
            with suppress(_Ended):
                self._wait_until_ready(timeout, going_on)
                return
        while True:
            chosen = self.port or free_port()
            self._write("port", str(chosen))
            self._write("server.conf", self._conf(chosen, besides or {}))
            self._forget_reused_pid()
            self._spawn()
            try:
                self._wait_until_ready(deadline - time.monotonic(), going_on)
                return
            except _Ended as ended:
                if not self._may_work_now(ended) or time.monotonic() > deadline:
                    raise self._refusal(ended, chosen) from None
            time.sleep(0.2)

    def stop(self, timeout: float = 30) -> None:
        """Shut down in good order; sessions are ended, and after `timeout` the server is."""
        process = self.process()
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
            if not self._gone(process, timeout):
                process.send_signal(signal.SIGQUIT)
                self._gone(process, timeout)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        process = self.process()
        if process is None:
            return
        children = process.children(recursive=True)
        for one in (process, *children):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for one in (process, *children):
            self._gone(one, 10)

    def process(self) -> psutil.Process | None:
        """The postmaster, and never a stranger that got its number later."""
        if self._started:
            self._started.poll()  # Reaps it, if it has ended.
        try:
            process = psutil.Process(int(self._told("pid") or -1))
            if process.status() == psutil.STATUS_ZOMBIE or str(self.data) not in process.cmdline():
                return None
        except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
            return None
        return process

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """An administrator's session in which every statement stands for itself."""
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=10)

    def create_database(self, name: str, owner: str | None = None) -> str:
        """A new database, and its DSN."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if owner:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        with self.connect() as session:
            session.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """The database goes, and with it the sessions in it."""
        with self.connect() as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def program(self, name: str, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's user."""
        return run_program(self.bindir / name, *arguments, folder=self.directory, account=self.account, secret=secret)

    def said(self) -> str:
        """What stands in the log, from its beginning."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _conf(self, port: int, besides: Mapping[str, str]) -> str:
        # No socket file: its path may be at most 107 characters long, and a data folder's is often longer.
        place = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
        settings = {**place, **self.settings, **besides}
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

    def _wait_until_ready(self, timeout: float, going_on: Callable[[], bool]) -> None:
        deadline = time.monotonic() + timeout
        while not self.ready:
            if self._started.poll() is not None if self._started else not self.running:
                raise _Ended(self._new_log())
            if time.monotonic() > deadline or not going_on():
                raise OrderopsError(
                    f"PostgreSQL in {self.directory} is not ready after {timeout:.0f} s: {last_line(self._new_log())}",
                    f"read {self.log}",
                )
            time.sleep(0.02)

    def _may_work_now(self, ended: _Ended) -> bool:
        """A port of our own choice is taken: choose another. What a crash left behind still goes: wait for it."""
        if _port_taken(ended) and not self._port:
            with suppress(FileNotFoundError):
                (self.directory / "port").unlink()
            return True
        return "shared memory block" in ended.log and "is still in use" in ended.log

    def _refusal(self, ended: _Ended, port: int) -> OrderopsError:
        if _port_taken(ended):
            what = f"find out who listens on port {port} and end it, or choose another port"
            return PortTaken(port, f"PostgreSQL in {self.directory}", what)
        return OrderopsError(
            f"PostgreSQL in {self.directory} ended at once: {last_line(ended.log)}", f"read {self.log}"
        )

    def _new_log(self) -> str:
        with suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")
        return ""

    def _forget_reused_pid(self) -> None:
        """A stranger that got the number of a killed postmaster would keep this server from starting for ever."""
        pid = int(self._told("pid") or 0)
        if pid and psutil.pid_exists(pid) and self.process() is None:
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    return
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _told(self, what: str) -> str:
        """A line of postmaster.pid; the layout is the same since PostgreSQL 10."""
        line = {"pid": 0, "status": 7}[what]
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[line].strip()
        except (OSError, IndexError):
            return ""

    def _gone(self, process: psutil.Process, timeout: float) -> bool:
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
        path.touch(mode=0o600)
        path.write_text(text)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


class _Ended(Exception):
    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


def _port_taken(ended: _Ended) -> bool:
    return "could not bind" in ended.log or "could not create any TCP/IP sockets" in ended.log
