"""Data directory of the local environment and the files in it. Imports neither moto nor boto3."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import platformdirs

from orderops.errors import OrderopsError
from orderops.local.keys import AccessKey, new_key
from orderops.local.users import SYSTEM_DIRECTORY, close_to_others, enterable, open_to_servers, system_directory

Shape = Mapping[str, type | tuple[type, ...]]
"""The keys that a JSON object must have, and the types of their values."""
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
        """Create the directory, closed to other users: it holds passwords, orders and the key of the emulator.

        Raises OrderopsError for a directory with other files, which a reset would delete, and for one that belongs to
        another user, who could exchange the files.
        """
        if not self.directory.exists():
            if self.directory.is_relative_to(SYSTEM_DIRECTORY):
                system_directory("")
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            open_to_servers(self.directory)
        if self.directory.stat().st_uid != os.geteuid():
            raise OrderopsError(
                f"{self.directory} belongs to another user",
                "choose a directory of your own: ORDEROPS_LOCAL_DIRECTORY=DIR",
            )
        if any(self.directory.iterdir()) and not (self.directory / "start.lock").exists():
            raise OrderopsError(
                f"{self.directory} contains other files, which a reset would delete",
                "choose a new or empty directory: ORDEROPS_LOCAL_DIRECTORY=DIR",
            )
        close_to_others(self.directory)

    @property
    def state(self) -> Path:
        return self.directory / "emulator.state"

    @property
    def messages(self) -> Path:
        return self.directory / "messages.sqlite"

    @property
    def log(self) -> Path:
        return self.directory / "daemon.log"

    @property
    def key(self) -> AccessKey | None:
        """Key of the operator's requests to the emulator; None before the first start."""
        # Another user, who cannot read it, sees an environment that does not run.
        document = stored_object(self.directory / "key.json", {"access_key_id": str, "secret_access_key": str})
        return AccessKey(document["access_key_id"], document["secret_access_key"]) if document else None

    def keep_key(self) -> AccessKey:
        """Return the key, made at the first start and then kept. A key that others could read is replaced."""
        path = self.directory / "key.json"
        if (key := self.key) and not path.stat().st_mode & 0o077:
            return key
        key = new_key()
        self._write(path.name, json.dumps({"access_key_id": key.id, "secret_access_key": key.secret}))
        return key

    @property
    def tasks(self) -> Path:
        return self.directory / "tasks"

    @property
    def databases(self) -> Path:
        """Directory of the servers' data; their system user must be able to enter it."""
        return enterable(self.directory / "databases")

    def create_databases(self) -> Path:
        """Create the directory of the servers' data, closed to all but their system user; return its path."""
        folder = self.databases
        if folder.is_relative_to(SYSTEM_DIRECTORY / "sheltered"):
            system_directory("sheltered")
        folder.mkdir(mode=0o700, exist_ok=True)
        open_to_servers(folder)
        return folder

    @property
    def port(self) -> int | None:
        """Port of the emulator, chosen at the first start and then kept."""
        try:
            port = int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return port if 0 < port < 1 << 16 else None

    def keep_port(self, port: int) -> None:
        self._write("port", str(port))

    @property
    def plain(self) -> bool:
        """True when the emulator accepts what AWS rejects, as moto does."""
        try:
            return (self.directory / "plain").exists()
        except PermissionError:
            return False

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
        shape: Shape = {"pid": int, "created": (int, float), "url": str, "region": str}
        return stored_object(self.directory / "daemon.json", shape) or {}

    def record_start_error(self, error: OrderopsError) -> None:
        """Record why the daemon did not start, for the client that started it."""
        self._write("start_error.json", json.dumps({"message": error.message, "hint": error.hint}))

    def start_error(self) -> OrderopsError | None:
        document = stored_object(self.directory / "start_error.json", {"message": str, "hint": str})
        return OrderopsError(document["message"], document["hint"]) if document else None

    def record_last_save(self, report: dict[str, Any]) -> None:
        """Record how the last save of a daemon that ends went, for the client that stops it."""
        self._write("last_save.json", json.dumps(report))

    def last_save(self) -> dict[str, Any] | None:
        """Return how the last save went; None when the daemon was killed or could not write it."""
        return stored_object(self.directory / "last_save.json", {"problem": str, "left_out": list})

    def clear_last_save(self) -> None:
        (self.directory / "last_save.json").unlink(missing_ok=True)

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
        temporary.unlink(missing_ok=True)
        # Replaced atomically, so that a reader never sees a part of the file.
        with open(temporary, "w", opener=_open_private) as file:
            file.write(text)
        temporary.replace(self.directory / name)


def stored_object(path: Path, shape: Shape) -> dict[str, Any] | None:
    """Return the JSON object in a file; None for a file that is missing, broken, or lacks a key of this type."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    # Any other failure, such as a file in place of the directory, is for the operator to fix.
    except (FileNotFoundError, PermissionError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or any(not isinstance(document.get(key), kind) for key, kind in shape.items()):
        return None
    return document


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, 0o600)
