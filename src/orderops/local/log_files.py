"""The log files of the local environment, read as one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from orderops.local.directories import DataDirectory

EVERY = 0.3


def lines(place: DataDirectory, *, follow: bool) -> Iterator[str]:
    """Every line there is, file by file, and with `follow` each new one as it comes."""
    read: dict[Path, int] = {}
    while True:
        for name, path in _files(place):
            yield from _new(name, path, read)
        if not follow:
            return
        time.sleep(EVERY)


def _files(place: DataDirectory) -> Iterator[tuple[str, Path]]:
    yield "local", place.log
    for path in sorted(place.tasks.glob("*/*.log")):
        yield f"{path.stem} {path.parent.name[:8]}", path
    for path in sorted(place.databases.glob("*/server/postgres.log")):
        yield "postgres", path


def _new(name: str, path: Path, read: dict[Path, int]) -> Iterator[str]:
    """Whole lines only: half a line is read when its end is there."""
    try:
        with path.open("rb") as file:
            file.seek(read.get(path, 0))
            whole, _, _ = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return
    if whole:
        read[path] = read.get(path, 0) + len(whole) + 1
        for line in whole.decode(errors="replace").split("\n"):
            yield f"{name}: {line}"
