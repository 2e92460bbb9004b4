"""The folder of the local environment: what lies where in it. Needs neither moto nor boto3."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import platformdirs

from orderops.errors import OrderopsError
from orderops.local.users import SYSTEM_DIRECTORY, enterable

BACKUP_LAG = "ORDEROPS_LOCAL_BACKUP_LAG"


def data_directory() -> Path:
    """Where the local environment lives; ORDEROPS_LOCAL_DIRECTORY says otherwise."""
    if chosen := os.environ.get("ORDEROPS_LOCAL_DIRECTORY"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return SYSTEM_DIRECTORY / "local"
    return Path(platformdirs.user_data_dir("orderops")) / "local"


@dataclass(frozen=True)
class DataDirectory:
    """The files of one local environment."""

    directory: Path

    def create(self) -> None:
        """Make the folder, for nobody else's eyes: passwords are in it. Only root's servers need a way in.

        Raises OrderopsError for a folder that holds other things: a reset would delete them.
        """
        self.directory.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        if any(self.directory.iterdir()) and not (self.directory / "start.lock").exists():
            raise OrderopsError(
                f"{self.directory} holds other things, which a reset would delete",
                "name a new or an empty folder: ORDEROPS_LOCAL_DIRECTORY=DIR",
            )

    @property
    def state(self) -> Path:
        return self.directory / "emulator.state"

    @property
    def log(self) -> Path:
        return self.directory / "daemon.log"

    @property
    def tasks(self) -> Path:
        return self.directory / "tasks"

    @property
    def databases(self) -> Path:
        """Where the servers' data stands, which their user must be able to enter."""
        return enterable(self.directory / "databases")

    @property
    def port(self) -> int | None:
        """The port of the emulator, chosen once and kept."""
        try:
            return int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def keep_port(self, port: int) -> None:
        self._write("port", str(port))

    @property
    def plain(self) -> bool:
        """The emulator takes what AWS refuses, as moto does."""
        return (self.directory / "plain").exists()

    def keep_plain(self, plain: bool) -> None:
        """Remember it for every later start."""
        if plain:
            self._write("plain", "")
        else:
            (self.directory / "plain").unlink(missing_ok=True)

    @property
    def backup_lag(self) -> timedelta:
        """By how much databases cannot be restored up to now, as on AWS; ORDEROPS_LOCAL_BACKUP_LAG says the seconds."""
        told = os.environ.get(BACKUP_LAG, "0")
        if not told.isdecimal():
            raise OrderopsError(
                f"{BACKUP_LAG}={told} is not a number of whole seconds", f"say 300 as on AWS, or unset {BACKUP_LAG}"
            )
        return timedelta(seconds=int(told))

    def announce(self, what: dict[str, Any]) -> None:
        """Say who the daemon is."""
        self._write("daemon.json", json.dumps(what))

    def announced(self) -> dict[str, Any]:
        try:
            found = json.loads((self.directory / "daemon.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def refuse(self, error: OrderopsError) -> None:
        """Leave word for the one who tried to start the daemon."""
        self._write("refusal.json", json.dumps({"message": error.message, "hint": error.hint}))

    def refusal(self) -> OrderopsError | None:
        try:
            found = json.loads((self.directory / "refusal.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return OrderopsError(found["message"], found["hint"])

    def forget_refusal(self) -> None:
        (self.directory / "refusal.json").unlink(missing_ok=True)

    def try_lock(self, name: str) -> IO[str] | None:
        """Hold a lock for as long as the answer is open; None when another process holds it."""
        self.create()
        path = self.directory / f"{name}.lock"
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except OSError:
            pass  # Held by another, or deleted by a reset just now.
        file.close()
        return None

    @contextmanager
    def locked(self, name: str, timeout: float) -> Iterator[None]:
        """Wait for a lock and hold it."""
        deadline = time.monotonic() + timeout
        while (file := self.try_lock(name)) is None:
            if time.monotonic() > deadline:
                raise OrderopsError(
                    f"another command has been starting or stopping the local environment for {timeout:.0f} s",
                    "look at: orderops local logs",
                )
            time.sleep(0.05)
        with file:
            yield

    def _write(self, name: str, text: str) -> None:
        half = self.directory / f".{name}"
        half.write_text(text)
        half.replace(self.directory / name)
