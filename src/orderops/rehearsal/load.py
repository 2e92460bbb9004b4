"""The load process: started, read from, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any

from orderops.database.connection import Login
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.rehearsal.workload import QueryGroup

# Seconds. On a busy machine Python and its connections take some.
START_TIMEOUT = 30.0
POLL_INTERVAL = 0.02


class SlowQuery(Frozen):
    """A query that was slow, or after which its group began to fail or to succeed again. Times are monotonic."""

    family: int
    due: float
    answered: float
    state: str
    """SQLSTATE of an error; "" for success."""
    message: str

    @property
    def seconds(self) -> float:
        """How long a client waited for it, from when it was due."""
        return self.answered - self.due


class LoadProcess:
    """Runs all query groups for the length of the block."""

    def __init__(self, to: Login, families: Sequence[QueryGroup]) -> None:
        self._to = to
        self.families = families
        self.slow_queries: list[SlowQuery] = []
        """Nearly in the order in which they were answered."""
        self.pids: list[int] = []
        self._through = 0.0
        self._lost = ""
        self._ready = threading.Event()

    def __enter__(self) -> LoadProcess:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orderops.rehearsal.load_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True, name="load listener")
        self._listener.start()
        try:
            self._send(self._plan())
            if not self._ready.wait(START_TIMEOUT):
                raise OrderopsError(
                    f"the load did not start within {START_TIMEOUT:.0f} s",
                    "rehearse again when this machine is less busy",
                )
            self.check()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def check(self) -> None:
        """Raise OrderopsError if the load has stopped."""
        if self._lost or self._process.poll() is not None:
            why = self._lost or f"its process ended with {self._process.poll()}"
            raise OrderopsError(
                f"the load on the copy ended: {why}", "check that the copy is available, then rehearse again"
            )

    def catch_up(self, timeout: float = 10.0) -> float:
        """Wait until every group has run once more and its result is known; return when the wait began.

        A group that takes longer than `timeout` is not waited for.
        """
        now = time.monotonic()
        while self._through < now and self.families:
            self.check()
            if time.monotonic() - now > timeout:
                break
            time.sleep(POLL_INTERVAL)
        return now

    def _plan(self) -> dict[str, Any]:
        families = [
            {
                "text": group.query.text,
                "rows": group.rows,
                "rate": group.rate,
                "rolled_back": group.query.rolled_back,
            }
            for group in self.families
        ]
        return {"login": asdict(self._to), "families": families}

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin, "a pipe was requested"
        # A load process that ended at once is reported by `check`, with its reason.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout, "a pipe was requested"
        for line in self._process.stdout:
            message = json.loads(line)
            if "ready" in message:
                self.pids = message["ready"]
            self._lost = message.get("lost", self._lost)
            self.slow_queries += [SlowQuery(*sample) for sample in message.get("samples", ())]
            self._through = message.get("through", self._through)
            if "ready" in message or self._lost:
                self._ready.set()
        self._ready.set()

    def _end(self) -> None:
        """Close its stdin, on which it exits; the server cancels the queries of lost connections."""
        with suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
