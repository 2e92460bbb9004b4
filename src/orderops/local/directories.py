"""Data directory of the local environment and the files in it. Imports neither moto nor boto3."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
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

# On AWS, the latest restorable time is about 5 minutes behind; without a lag, tests and drills need not wait.
BACKUP_LAG = "ORDEROPS_LOCAL_BACKUP_LAG"


def data_directory() -> Path:
    """Return the data directory; the environment variable ORDEROPS_LOCAL_DIRECTORY overrides the default."""
    if chosen := os.environ.get("ORDEROPS_LOCAL_DIRECTORY"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return SYSTEM_DIRECTORY / _name_for_root()
    return Path(platformdirs.user_data_dir("orderops")) / "local"


def _name_for_root() -> str:
    """Return a name of its own for each HOME, and `local` for root's own home.

    The directory is not inside of HOME: the system user of the servers could not enter it, and an operator who uses
    sudo would find files of root in the directory of the same environment without sudo.
    """
    own = pwd.getpwuid(0).pw_dir
    home = Path(os.environ.get("HOME") or own).absolute()
    if home == Path(own):
        return "local"
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    return f"local-{home.name}-{digest}" if home.name else f"local-{digest}"


@dataclass(frozen=True)
class DataDirectory:
    """Files of one local environment."""

    directory: Path

    def create(self) -> None:
        """Create the directory with mode 0700, since it holds passwords (0755 for root, whose servers run as `nobody`).

        Raises OrderopsError for a directory with other files: a reset would delete them.
        """
        self.directory.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        if any(self.directory.iterdir()) and not (self.directory / "start.lock").exists():
            raise OrderopsError(
                f"{self.directory} contains other files, which a reset would delete",
                "choose a new or empty directory: ORDEROPS_LOCAL_DIRECTORY=DIR",
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
        """Directory of the servers' data; their system user must be able to enter it."""
        return enterable(self.directory / "databases")

    @property
    def port(self) -> int | None:
        """Port of the emulator, chosen at the first start and then kept."""
        try:
            return int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def keep_port(self, port: int) -> None:
        self._write("port", str(port))

    @property
    def plain(self) -> bool:
        """True when the emulator accepts what AWS rejects, as moto does."""
        return (self.directory / "plain").exists()

    def keep_plain(self, plain: bool) -> None:
        """Remember the mode for later starts."""
        if plain:
            self._write("plain", "")
        else:
            (self.directory / "plain").unlink(missing_ok=True)

    @property
    def backup_lag(self) -> timedelta:
        """How far the latest restorable time is behind the clock; ORDEROPS_LOCAL_BACKUP_LAG sets the seconds."""
        seconds = os.environ.get(BACKUP_LAG, "0")
        if not seconds.isdecimal():
            raise OrderopsError(
                f"{BACKUP_LAG}={seconds} is not a number of whole seconds",
                f"set it to 300, as on AWS, or unset {BACKUP_LAG}",
            )
        return timedelta(seconds=int(seconds))

    def announce(self, info: dict[str, Any]) -> None:
        """Record pid and URL of the running daemon."""
        self._write("daemon.json", json.dumps(info))

    def announced(self) -> dict[str, Any]:
        try:
            document = json.loads((self.directory / "daemon.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def record_start_error(self, error: OrderopsError) -> None:
        """Record why the daemon did not start, for the client that started it."""
        self._write("start_error.json", json.dumps({"message": error.message, "hint": error.hint}))

    def start_error(self) -> OrderopsError | None:
        try:
            document = json.loads((self.directory / "start_error.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return OrderopsError(document["message"], document["hint"])

    def clear_start_error(self) -> None:
        (self.directory / "start_error.json").unlink(missing_ok=True)

    def try_lock(self, name: str) -> IO[str] | None:
        """Take a lock that lasts as long as the returned file is open; None when another process holds it."""
        self.create()
        path = self.directory / f"{name}.lock"
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A reset deletes the file: a lock on a deleted file excludes no other process.
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except OSError:
            # Held by another process, or deleted by a reset a moment ago.
            pass
        file.close()
        return None

    @contextmanager
    def locked(self, name: str, timeout: float) -> Iterator[None]:
        """Hold a lock within a `with` block. Raises OrderopsError after `timeout` seconds of waiting."""
        deadline = time.monotonic() + timeout
        while (file := self.try_lock(name)) is None:
            if time.monotonic() > deadline:
                raise OrderopsError(
                    f"another command has been starting or stopping the local environment for {timeout:.0f} s",
                    "read its log: orderops local logs",
                )
            time.sleep(0.05)
        with file:
            yield

    def _write(self, name: str, text: str) -> None:
        temporary = self.directory / f".{name}"
        # Replaced atomically, so that a reader never sees a part of the file.
        temporary.write_text(text)
        temporary.replace(self.directory / name)
