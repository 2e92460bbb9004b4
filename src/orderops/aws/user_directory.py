"""Where files of the user go if the user has no home, as in a container: a directory in the temporary one."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from orderops.errors import OrderopsError


def user_directory(preferred: str) -> Path:
    """Return `preferred`, or a private directory below the temporary one for a user who cannot create `preferred`.

    Raises OrderopsError if the private directory cannot be created or another user could have written in it.
    """
    path = Path(preferred)
    # Without a home, the path is relative, as "~/.local", or leads to "/", which only root may write.
    if path.is_absolute() and _creatable(path):
        return path
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError as error:
        raise OrderopsError(
            error.strerror or str(error), "set TMPDIR to a directory that this user can write to"
        ) from None
    return _private_directory(temporary / f"orderops-{os.getuid()}")


def _creatable(path: Path) -> bool:
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    return not existing.is_dir() or os.access(existing, os.W_OK | os.X_OK)


def _private_directory(path: Path) -> Path:
    # All users share the temporary directory: one of them may have created this name first, also as a link.
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise _unusable(path, (error.strerror or str(error)).lower()) from None
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(path, "not a directory")
    if found.st_uid != os.getuid():
        raise _unusable(path, f"belongs to another user (uid {found.st_uid})")
    if found.st_mode & 0o077:
        raise _unusable(path, f"open to other users (mode {found.st_mode & 0o777:04o})")
    return path


def _unusable(path: Path, why: str) -> OrderopsError:
    return OrderopsError(f"{path}: {why}", f"delete {path}, or set HOME to a directory that this user can write to")
