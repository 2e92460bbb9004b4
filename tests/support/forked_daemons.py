"""Daemons of the laptop that start within milliseconds, as children of `daemon_server`."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from orderops.local import client
from orderops.local.directories import DataDirectory
from support.repository import ROOT

AS_AN_OPERATOR = client._spawn
"""How orderops starts a daemon itself."""


class _Server:
    def __init__(self) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.daemon_server"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._end)

    def __call__(self, **request: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def _end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


@dataclass(frozen=True)
class ForkedDaemon:
    """What `orderops.local.client` asks of a process that it has started."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        code: int | None = _server()(poll=self.pid)
        return code


def spawn(files: DataDirectory, region: str) -> ForkedDaemon:
    """Start a daemon as `orderops.local.client` does, without its imports."""
    argv = ["--directory", str(files.directory), "--region", region]
    return ForkedDaemon(_server()(argv=argv, cwd=str(files.directory), log=str(files.log), environ={**os.environ}))
