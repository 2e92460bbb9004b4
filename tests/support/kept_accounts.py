"""States of emulated accounts, made once in a run: the environment dev takes four seconds to create in one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from support.copied_clusters import FOLDER


def kept_account(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the state that the first worker of this run to ask has made, by its name."""
    folder = Path(os.environ[FOLDER])
    file = folder / f"{name}.account"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.write_bytes(make())
            partial.rename(file)
        return file.read_bytes()
