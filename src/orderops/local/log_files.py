"""Log files of the local environment, merged into one stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from orderops.local.directories import DataDirectory

# Seconds. Short enough for an operator who reads along.
POLL_SECONDS = 0.3


def lines(files: DataDirectory, *, follow: bool) -> Iterator[str]:
    """Yield every line, file by file; with `follow`, keep yielding new lines."""
    positions: dict[Path, int] = {}
    while True:
        for name, path in _files(files):
            yield from _new_lines(name, path, positions)
        if not follow:
            return
        time.sleep(POLL_SECONDS)


def _files(files: DataDirectory) -> Iterator[tuple[str, Path]]:
    yield "local", files.log
    for path in sorted(files.tasks.glob("*/*.log")):
        yield f"{path.stem} {path.parent.name[:8]}", path
    for path in sorted(files.databases.glob("*/server/postgres.log")):
        yield "postgres", path


def _new_lines(name: str, path: Path, positions: dict[Path, int]) -> Iterator[str]:
    """Yield complete lines only; a partial line is read once its end is written."""
    try:
        with path.open("rb") as file:
            file.seek(positions.get(path, 0))
            complete, _, _ = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return
    if complete:
        positions[path] = positions.get(path, 0) + len(complete) + 1
        for line in complete.decode(errors="replace").split("\n"):
            yield f"{name}: {line}"
