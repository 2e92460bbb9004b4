"""Files that are replaced as a whole: a reader, or a killed run, never leaves or sees half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def replace_file(file: Path, text: str, *, mode: int | None = None) -> None:
    """Replace the content of a file at once; a link stays one. Raises OSError, and leaves the file as it was.

    Without a `mode`, the file keeps its permissions. Line ends are written as they are.
    """
    target = file.resolve()
    # In the same folder, as a rename stays inside a file system; hidden, as every other *.toml is an environment.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
        if mode is None:
            shutil.copymode(target, name)
        else:
            Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def create_file(file: Path, text: str) -> None:
    """Write a new file. Raises FileExistsError if there is one, other OSErrors without leaving a part of it."""
    with file.open("x", encoding="utf-8", newline="") as out:
        try:
            out.write(text)
            out.flush()
        except OSError:
            file.unlink(missing_ok=True)
            raise
