"""`orderops` in processes that tests can kill, forked from a server with all modules loaded.

A run starts within milliseconds, so that a proof can afford thousands.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from orderops.cli import main

# At exit, Python waits for a process that waits for the fork server, which waits for our exit.
atexit.register(lambda: forkserver._forkserver._stop())  # type: ignore[attr-defined]  # no public API


class Victim:
    """Run of a command that ends by itself or is killed; its output is kept."""

    def __init__(self, *argv: str, **environ: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["support.preloaded_worker", __name__])
        self._said = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it is written until the process ends
        self._process: Any = context.Process(
            target=_run, args=(argv, {**os.environ, **environ}, self._said.name), daemon=True
        )
        with _nameless_main():
            self._process.start()

    def kill(self) -> None:
        """Kill the process and wait until it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
            while True:  # until the fork server has reaped it
                time.sleep(0.001)
                os.kill(self._process.pid, 0)

    @property
    def alive(self) -> bool:
        """True until the process has ended."""
        return bool(self._process.is_alive())

    def wait(self, seconds: float) -> None:
        """Wait up to this many seconds for the end."""
        self._process.join(seconds)

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl+C does."""
        os.kill(self._process.pid, signal.SIGINT)

    def ended(self, within: float = 300) -> int:
        """Wait for the end and return the exit code."""
        self._process.join(within)
        if self._process.exitcode is None:
            self.kill()
            raise TimeoutError(f"did not end within {within} s:\n{self.said}")
        return int(self._process.exitcode)

    def says(self, argv: str, within: float = 120) -> bool:
        """Tell whether the process prints these words before it ends or the time is over."""
        deadline = time.monotonic() + within
        while self.alive and argv not in self.said and time.monotonic() < deadline:
            self.wait(0.05)
        return argv in self.said

    @property
    def said(self) -> str:
        """Output on both streams so far."""
        return Path(self._said.name).read_text()


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the main module: a child imports it if it has a file, and ours is slow to import."""
    main_module = vars(sys.modules["__main__"])
    hidden = {name: main_module.pop(name, None) for name in ("__file__", "__spec__")}
    main_module["__spec__"] = None
    try:
        yield
    finally:
        main_module.update(hidden)


def _run(argv: tuple[str, ...], environ: Mapping[str, str], said: str) -> None:
    # The fork server has the environment of the test that started it.
    os.environ.clear()
    os.environ.update(environ)
    file = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the life of the process
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(list(argv))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
