"""The traffic as the rehearsal sees it: started, listened to, ended; and what each family waited when."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from orderops.database.connection import Login
from orderops.errors import OrderopsError
from orderops.rehearsal.workload import QueryGroup

PATIENCE = 30.0
"""Seconds until the traffic must have begun."""
EVERY = 0.02


@dataclass(frozen=True)
class SlowQuery:
    """One call that took long, or after which a family began to fail or to go well again."""

    family: int
    due: float
    answered: float
    state: str
    """The server's code for an error; nothing where it went well."""
    message: str

    @property
    def seconds(self) -> float:
        """How long it was waited for, from when it was due."""
        return self.answered - self.due


class LoadProcess:
    """Calls of all families, for as long as the block lasts."""

    def __init__(self, to: Login, families: Sequence[QueryGroup]) -> None:
        self._to = to
        self.families = families
        self.calls: list[SlowQuery] = []
        """In the order in which they were answered, nearly."""
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
        self._listener = threading.Thread(target=self._listen, daemon=True, name="listens to the traffic")
        self._listener.start()
        try:
            self._send(self._plan())
            if not self._ready.wait(PATIENCE):
                raise OrderopsError(f"the traffic did not begin within {PATIENCE:.0f} s", "is this machine busy?")
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
        """Raise OrderopsError where nobody asks any more."""
        if self._lost or self._process.poll() is not None:
            why = self._lost or f"its process ended with {self._process.poll()}"
            raise OrderopsError(f"the traffic on the copy ended: {why}", "is the copy still there? Then rehearse again")

    def catch_up(self, within: float = 10.0) -> float:
        """Come back when every family was asked once more and what it answered is known; answers when that was said.

        A family that waits for longer than `within` is waited for no more.
        """
        now = time.monotonic()
        while self._through < now and self.families:
            self.check()
            if time.monotonic() - now > within:
                break
            time.sleep(EVERY)
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

    def _send(self, told: dict[str, Any]) -> None:
        assert self._process.stdin, "asked for"
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout, "asked for"
        for line in self._process.stdout:
            told = json.loads(line)
            if "ready" in told:
                self.pids = told["ready"]
            self._lost = told.get("lost", self._lost)
            self.calls += [SlowQuery(*sample) for sample in told.get("samples", ())]
            self._through = told.get("through", self._through)
            if "ready" in told or self._lost:
                self._ready.set()
        self._ready.set()

    def _end(self) -> None:
        """The server ends the calls under way when their connections go."""
        with suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
