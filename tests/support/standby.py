"""A streaming standby of a PostgreSQL server, and what can happen to it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from orderops.local.rds.postgres import PostgresServer

# What a primary needs for a standby that was away for a while.
PRIMARY_SETTINGS = {"wal_keep_size": "512MB"}
CATCH_UP_SECONDS = 30.0


class StandbyServer(PostgresServer):
    """Server that replays what a primary streams to it; made by pg_basebackup."""

    def __init__(self, directory: Path, primary: PostgresServer) -> None:
        super().__init__(
            directory, settings={**primary.settings, "wal_retrieve_retry_interval": "200ms"}, bindir=primary.bindir
        )
        self._primary = primary

    @property
    def ready(self) -> bool:
        """True when the server answers questions."""
        return self.running and self._pid_file_line("status") in ("standby", "ready")

    def create(self) -> None:
        """Copy the primary unless that is done."""
        if self.created:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.account:
            self.account.chown(self.directory)
        copied = self.program(
            "pg_basebackup",
            *("--pgdata", str(self.data), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            # Into primary_conninfo, too: the password is not in the environment of the standby.
            *("--dbname", self._primary.dsn()),
        )
        assert copied.returncode == 0, copied.stderr
        self.adopt(self._primary.password)

    @property
    def place(self) -> dict[str, str | int]:
        """How the pointer names this server."""
        return {"host": "127.0.0.1", "port": self.port}

    def set(self, name: str, value: str) -> None:
        """Change a setting that needs no restart."""
        with self.connect() as session:
            session.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            session.execute("SELECT pg_reload_conf()")

    def reset(self) -> None:
        """Take back all changed settings."""
        with self.connect() as session:
            session.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
            session.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
            session.execute("SELECT pg_reload_conf(), pg_wal_replay_resume()")

    def pause_replay(self) -> None:
        """Replay nothing more."""
        with self.connect() as session:
            session.execute("SELECT pg_wal_replay_pause()")
        self._until("pg_get_wal_replay_pause_state() = 'paused'")

    def resume_replay(self) -> None:
        """Replay again."""
        with self.connect() as session:
            session.execute("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Wait until all that the primary has is here."""
        with self._primary.connect() as session:
            row = session.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert row
        self._until(f"pg_last_wal_replay_lsn() >= '{row[0]}' AND EXISTS (SELECT FROM pg_stat_wal_receiver)")

    def stop_immediately(self) -> None:
        """End it as `pg_ctl stop -m immediate` does."""
        if process := self.process():
            process.send_signal(signal.SIGQUIT)
            self._wait_until_gone(process, 30)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Replay nothing for a while."""
        self.pause_replay()
        yield
        self.resume_replay()

    @contextmanager
    def a_minute_behind(self) -> Iterator[None]:
        """Replay each commit a minute late, for a while."""
        self.set("recovery_min_apply_delay", "60s")
        yield
        self.reset()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it at once, and start it again."""
        self.stop_immediately()
        yield
        self.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Give it an address at which there is no primary, for a while."""
        with self.connect() as session:
            row = session.execute("SHOW primary_conninfo").fetchone()
        assert row
        self.set("primary_conninfo", "host=127.0.0.1 port=1")
        try:
            yield
        finally:
            self.set("primary_conninfo", str(row[0]).replace("'", "''"))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes for a while; the kernel still accepts connections for it."""
        with _suspended(self._processes()):
            yield

    @contextmanager
    def receiver_frozen(self) -> Iterator[None]:
        """Stop the process that receives for a while: the standby notices nothing."""
        with _suspended([process for process in self._processes() if "walreceiver" in " ".join(process.cmdline())]):
            yield

    def _processes(self) -> list[psutil.Process]:
        postmaster = self.process()
        assert postmaster
        return [postmaster, *postmaster.children(recursive=True)]

    def _until(self, condition: str) -> None:
        deadline = time.monotonic() + CATCH_UP_SECONDS
        with self.connect() as session:
            while session.execute(f"SELECT {condition}".encode()).fetchone() != (True,):
                assert time.monotonic() < deadline, f"not within {CATCH_UP_SECONDS:.0f} s: {condition}"
                time.sleep(0.02)


HAPPENINGS: dict[str, Callable[[StandbyServer], AbstractContextManager[None]]] = {
    "its replay is paused": StandbyServer.paused,
    "it is a minute behind": StandbyServer.a_minute_behind,
    "it is stopped at once": StandbyServer.stopped,
    "it is frozen": StandbyServer.frozen,
    "its receiver is frozen": StandbyServer.receiver_frozen,
    "it loses the primary": StandbyServer.cut_off,
}


@contextmanager
def _suspended(processes: list[psutil.Process]) -> Iterator[None]:
    assert processes
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
