"""Processes that stand for containers: started, found again by number and birth, ended; and what they print."""

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

if TYPE_CHECKING:
    from orderops.local.ecs.records import ContainerProcess

LONGEST_READ = 256_000
LONGEST_LINE = 64_000


class Processes:
    """The processes of this machine's tasks; what an earlier daemon started is found again."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, run: ContainerProcess, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a container's process; it lives on when we die."""
        path = Path(run.log)
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
        run.pid = child.pid
        run.created = psutil.Process(child.pid).create_time()
        # Beside the log, too: the memory is written a moment later, and a kill in between must not lose the process.
        _note(path).write_text(json.dumps({"pid": run.pid, "created": run.created}))
        self._children[child.pid] = child

    def ended(self, run: ContainerProcess) -> bool:
        """The process is over; its exit code is known when it was our own child."""
        if run.ended or run.pid is None:
            return True
        child = self._children.get(run.pid)
        if child is not None:
            code = child.poll()
            if code is None:
                return False
            del self._children[run.pid]
            # As a container runtime tells it: 128 and the signal's number.
            run.exit_code = code if code >= 0 else 128 - code
        elif find(run.pid, run.created):
            return False
        else:
            run.reason = run.reason or "the process ended while nobody watched, its exit code is not known"
        run.ended = True
        return True

    def terminate(self, run: ContainerProcess) -> None:
        self._signal(run, signal.SIGTERM)

    def kill(self, run: ContainerProcess) -> None:
        self._signal(run, signal.SIGKILL)

    def _signal(self, run: ContainerProcess, number: signal.Signals) -> None:
        if run.pid is None or self.ended(run):
            return
        with suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(run.pid, number)
            else:
                os.kill(run.pid, number)


def kill_orphans(tasks_folder: Path, known: Collection[int] = ()) -> None:
    """End what an earlier daemon started and nobody remembers; and nobody else's."""
    for note in tasks_folder.glob("*/*.process"):
        try:
            told = json.loads(note.read_text())
        except (OSError, ValueError):
            continue
        if told["pid"] not in known and find(told["pid"], told["created"]):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(told["pid"], signal.SIGKILL)


def _note(log: Path) -> Path:
    return log.with_suffix(".process")


def new_lines(run: ContainerProcess, *, to_the_end: bool) -> list[str]:
    """What the process has printed since the last time; half a line waits for its end, unless none will come."""
    try:
        with Path(run.log).open("rb") as log:
            log.seek(run.log_read)
            text = log.read(LONGEST_READ)
    except FileNotFoundError:
        return []
    whole = text if to_the_end or (len(text) == LONGEST_READ and b"\n" not in text) else text[: text.rfind(b"\n") + 1]
    run.log_read += len(whole)
    lines = whole.decode(errors="replace").splitlines()
    return [line[:LONGEST_LINE] for line in lines if line.strip()]


def find(pid: int, created: float) -> psutil.Process | None:
    """The process with this number, if it is still the one that was started: numbers are used again."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 0.05
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
