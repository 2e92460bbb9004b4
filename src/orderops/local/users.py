"""System user that PostgreSQL runs as, and directories that this user can enter.

PostgreSQL refuses to run as root, and CI containers run as root. The servers then run as `nobody`, who can enter
neither a home directory with mode 0700 nor pytest's temporary directories. Other programs run as `nobody` too: a group
that only the servers have keeps them out of the servers' directories, and out of their memory.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orderops.errors import OrderopsError

SYSTEM_DIRECTORY = Path("/var/lib/orderops")
# Without a name and unused everywhere: systemd (UIDS-GIDS) and Debian (policy 9.2.2) reserve 65520 to 65533, Alpine has
# 65533, and a rootless container maps no higher ones.
SERVER_GROUP = 65525


@dataclass(frozen=True)
class Account:
    """System user of a server process."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Tell whether the user has the execute bit on this directory and all its parents."""
        folder = folder.resolve()
        return all(self._may(step, stat.S_IXUSR) for step in (folder, *folder.parents) if step.exists())

    def may_read(self, folder: Path) -> bool:
        """Tell whether the user can enter and list this directory."""
        return self.may_enter(folder) and self._may(folder.resolve(), stat.S_IRUSR)

    def chown(self, path: Path) -> None:
        """Make the user the owner of a file, or of a directory and its contents."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            for entry in path.iterdir():
                self.chown(entry)

    def _may(self, path: Path, owner_bit: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & owner_bit)
        if status.st_gid == self.gid:
            return bool(status.st_mode & (owner_bit >> 3))
        return bool(status.st_mode & (owner_bit >> 6))


def server_account() -> Account | None:
    """Return the user that servers run as, or None when this process is not root."""
    if os.geteuid() != 0:
        return None
    # Both exist on Debian, Red Hat and Alpine images; some images lack one of them.
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, SERVER_GROUP)
    raise OrderopsError(
        "PostgreSQL does not run as root, and this machine has no user 'nobody' to run it as",
        "run orderops as a user other than root",
    )


def enterable(folder: Path) -> Path:
    """Return the directory, or a substitute under /var/lib/orderops when servers cannot enter it."""
    account = server_account()
    if account is None or account.may_enter(folder):
        return folder
    # The name is derived from the path, so that the same directory always has the same substitute.
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return SYSTEM_DIRECTORY / "sheltered" / f"{folder.name}-{digest}"


def system_directory(name: str) -> Path:
    """Create a directory in /var/lib/orderops that every user can enter, whatever the umask; return its path."""
    folder = SYSTEM_DIRECTORY / name
    for part in (SYSTEM_DIRECTORY, folder):
        part.mkdir(parents=True, exist_ok=True)
        if part.stat().st_mode & 0o055 != 0o055:
            part.chmod(0o755)
    return folder


def close_to_others(folder: Path) -> None:
    """Withdraw all rights of other users to a directory, but not those of the servers' user."""
    account, status = server_account(), folder.stat()
    # A directory that is private already may be closed to the servers too: they then use a substitute.
    if status.st_mode & 0o077 and (stat.S_IMODE(status.st_mode), status.st_gid) != (0o710, account and account.gid):
        open_to_servers(folder)


def open_to_servers(folder: Path) -> None:
    """Let only the owner and the servers' user enter a directory."""
    account = server_account()
    if account:
        os.chown(folder, -1, account.gid)
    folder.chmod(0o710 if account else 0o700)


@contextmanager
def scratch(prefix: str = "orderops-") -> Iterator[Path]:
    """Create a temporary directory that servers can enter, and delete it afterwards."""
    account = server_account()
    parent = Path(tempfile.gettempdir())
    if account and not account.may_enter(parent):
        parent = system_directory("scratch")
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
