"""Processes of containers: start them, find them again by pid and creation time, stop them, read their output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from orderops.local.directories import stored_object

if TYPE_CHECKING:
    from orderops.local.ecs.records import ContainerProcess

# Bytes in one step, so that a task that floods its log does not delay the others.
MAX_READ_BYTES = 256_000
# CloudWatch Logs limited an event to 256 KB; a character takes up to 4 bytes.
MAX_LINE_LENGTH = 64_000


class Processes:
    """Processes of this machine's tasks, including those that an earlier daemon started."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, process: ContainerProcess, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a container's process in a session of its own, so that it survives the daemon."""
        path = Path(process.log)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            child = subprocess.Popen(
                arguments,
                env=dict(environment),
                cwd=path.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process.pid = child.pid
        process.created = psutil.Process(child.pid).create_time()
        # The state file is written later. This file lets the next daemon find the process after a kill in between.
        _process_file(path).write_text(json.dumps({"pid": process.pid, "created": process.created}))
        self._children[child.pid] = child

    def ended(self, process: ContainerProcess) -> bool:
        """Tell whether the process has ended; its exit code is known when this daemon started it."""
        if process.ended or process.pid is None:
            return True
        child = self._children.get(process.pid)
        if child is not None:
            code = child.poll()
            if code is None:
                return False
            del self._children[process.pid]
            # Container runtimes report a signal as 128 plus its number.
            process.exit_code = code if code >= 0 else 128 - code
        elif find(process.pid, process.created):
            return False
        else:
            process.reason = (
                process.reason
                or "the process ended while the local environment was not running; its exit code is unknown"
            )
        process.ended = True
        return True

    def memory(self, process: ContainerProcess) -> int:
        """Return the bytes of memory that the process itself uses; 0 if it has ended."""
        found = find(process.pid, process.created) if process.pid else None
        try:
            return int(found.memory_info().rss) if found else 0
        except psutil.Error:
            return 0

    def terminate(self, process: ContainerProcess) -> None:
        self._signal(process, signal.SIGTERM)

    def kill(self, process: ContainerProcess) -> None:
        self._signal(process, signal.SIGKILL)

    def _signal(self, process: ContainerProcess, number: signal.Signals) -> None:
        if process.pid is None or self.ended(process):
            return
        with suppress(ProcessLookupError, PermissionError):
            # ECS sends SIGTERM to the first process only, and SIGKILL to all.
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)


def kill_orphans(tasks_folder: Path, known: Collection[int] = ()) -> None:
    """Kill processes of an earlier daemon that no task in the state file has."""
    for path in tasks_folder.glob("*/*.process"):
        info = stored_object(path, {"pid": int, "created": (int, float)})
        if info and info["pid"] not in known and find(info["pid"], info["created"]):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(info["pid"], signal.SIGKILL)


def _process_file(log: Path) -> Path:
    return log.with_suffix(".process")


def new_lines(process: ContainerProcess, *, to_the_end: bool) -> list[str]:
    """Return the lines printed since the last call; a partial line is returned only with `to_the_end`."""
    try:
        with Path(process.log).open("rb") as log:
            log.seek(process.log_read)
            text = log.read(MAX_READ_BYTES)
    except FileNotFoundError:
        return []
    complete = (
        text if to_the_end or (len(text) == MAX_READ_BYTES and b"\n" not in text) else text[: text.rfind(b"\n") + 1]
    )
    process.log_read += len(complete)
    lines = complete.decode(errors="replace").splitlines()
    return [line[:MAX_LINE_LENGTH] for line in lines if line.strip()]


def find(pid: int, created: float) -> psutil.Process | None:
    """Return the process with this pid, unless the pid has been reused since."""
    try:
        found = psutil.Process(pid)
        same = abs(found.create_time() - created) < 0.05
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
