"""Files in the user's cache directory that save work and are never needed: a file that is missing is made again.

What cannot be trusted, read or written is treated as missing, and is no error: files of another user, files that others
may write, and damaged ones.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from orderops.errors import OrderopsError

UNUSED_AFTER = 30 * 24 * 3600
"""Seconds after which a directory beside the one in use is deleted: it belongs to a version that was replaced."""
PRIVATE = os.O_CLOEXEC | os.O_NOFOLLOW


class PrivateCache:
    """The files of one directory below the user's cache directory, which only this user can enter."""

    def __init__(self, kind: str, version: str) -> None:
        self._kind = kind
        self._version = version

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it is missing, damaged, or another user may have written it."""
        try:
            with self._directory() as directory, os.fdopen(_opened(name, os.O_RDONLY, directory), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or not _private(found):
                    return None
                checksum, content = file.readline(), file.read()
        except (OSError, OrderopsError):
            return None
        return content if checksum == _checksum(content) else None

    def write(self, name: str, content: bytes) -> None:
        """Write a file at once: a reader finds the whole of it or of an earlier one. Does nothing if it cannot."""
        temporary = f".{name}.{secrets.token_hex(4)}"
        with suppress(OSError, OrderopsError):
            self._create()
            with self._directory() as directory:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                try:
                    with os.fdopen(_opened(temporary, flags, directory), "wb") as file:
                        file.write(_checksum(content) + content)
                    os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
                except OSError:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=directory)
                    raise

    @cached_property
    def _path(self) -> Path:
        import platformdirs

        from orderops.aws.user_directory import user_directory

        return user_directory(platformdirs.user_cache_dir("orderops")) / self._kind / self._version

    @contextmanager
    def _directory(self) -> Iterator[int]:
        """Open the directory, so that what was checked is what is used. Raises PermissionError if it is not private."""
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | PRIVATE)
        try:
            if not _private(os.fstat(directory)):
                raise PermissionError
            yield directory
        finally:
            os.close(directory)

    def _create(self) -> None:
        path = self._path
        if path.is_dir():
            return
        existing = next(folder for folder in path.parents if folder.exists())
        # Under sudo, HOME may still be another user's, who could not use what root creates there.
        if existing.stat().st_uid != os.getuid():
            raise PermissionError
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in path.parent.iterdir():
            if other != path and time.time() - other.stat().st_mtime > UNUSED_AFTER:
                shutil.rmtree(other, ignore_errors=True)


def _opened(name: str, flags: int, directory: int) -> int:
    return os.open(name, flags | PRIVATE, 0o600, dir_fd=directory)


def _private(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def _checksum(content: bytes) -> bytes:
    """Return the first line of a file: a file that was cut off or changed on the disk is found by it."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
