"""System user that PostgreSQL runs as, and directories that this user can enter.

PostgreSQL refuses to run as root, and CI containers run as root. The servers then run as `nobody`, who can enter
neither a home directory with mode 0700 nor pytest's temporary directories.
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
            return Account(entry.pw_uid, entry.pw_gid)
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


@contextmanager
def scratch(prefix: str = "orderops-") -> Iterator[Path]:
    """Create a temporary directory that servers can enter, and delete it afterwards."""
    account = server_account()
    parent = Path(tempfile.gettempdir())
    if account and not account.may_enter(parent):
        parent = SYSTEM_DIRECTORY / "scratch"
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
