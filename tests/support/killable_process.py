"""`orderops` in processes that tests can kill, forked from a server with all modules loaded.

A run starts within milliseconds, so that a proof can afford thousands.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from orderops.cli import main
from support.fork_server import forked


class Victim:
    """Run of a command that ends by itself or is killed; its output is kept."""

    def __init__(self, *argv: str, **environ: str) -> None:
        self._said = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it is written until the process ends
        self._process: Any = forked(_run, argv, {**os.environ, **environ}, Path(self._said.name))

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


def _run(*argv: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(list(argv))
