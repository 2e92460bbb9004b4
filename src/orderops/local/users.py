"""Which system user PostgreSQL runs as, and which folders that user can get into.

PostgreSQL refuses to run as root, and CI containers are root: there its servers run as `nobody`, who may enter
neither a home with mode 0700 nor pytest's temporary folders.
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
    """The user a server runs as."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Every folder on the way to this one, itself included, lets the user pass."""
        folder = folder.resolve()
        return all(self._may(step, stat.S_IXUSR) for step in (folder, *folder.parents) if step.exists())

    def may_read(self, folder: Path) -> bool:
        """The user may enter this folder and read it."""
        return self.may_enter(folder) and self._may(folder.resolve(), stat.S_IRUSR)

    def owns(self, path: Path) -> None:
        """Make the user the owner of a file, or of a folder and all that is in it."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            for inner in path.iterdir():
                self.owns(inner)

    def _may(self, path: Path, owner_bit: int) -> bool:
        found = path.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & owner_bit)
        if found.st_gid == self.gid:
            return bool(found.st_mode & (owner_bit >> 3))
        return bool(found.st_mode & (owner_bit >> 6))


def server_account() -> Account | None:
    """The user to drop to, or None when we are not root and need not."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "daemon"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return Account(found.pw_uid, found.pw_gid)
    raise OrderopsError(
        "PostgreSQL does not run as root, and there is no user 'nobody' to run it as",
        "run orderops as a user other than root",
    )


def enterable(folder: Path) -> Path:
    """The folder itself where servers can get into it, otherwise one that stands for it under /var/lib/orderops."""
    account = server_account()
    if account is None or account.may_enter(folder):
        return folder
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return SYSTEM_DIRECTORY / "sheltered" / f"{folder.name}-{digest}"


@contextmanager
def scratch(prefix: str = "orderops-") -> Iterator[Path]:
    """A temporary folder that servers can get into, gone afterwards."""
    account = server_account()
    place = Path(tempfile.gettempdir())
    if account and not account.may_enter(place):
        place = SYSTEM_DIRECTORY / "scratch"
        place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
