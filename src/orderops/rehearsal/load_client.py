"""The load client, a process of its own: `python -m orderops.rehearsal.load_client`, controlled through its stdin.

A process of its own, so that computation in the rehearsal does not look like a stall of the database. Each query group
has a connection and a thread. A query is due at fixed times, and its wait counts from then, even if it starts late. The
process exits when its stdin closes, and so with the process that started it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Any

from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.rehearsal.queries import error_text

if TYPE_CHECKING:
    from psycopg import Connection

# Seconds. Faster queries are not reported one by one.
REPORTED_FROM = 0.004
# Seconds between two reports on stdout.
REPORT_INTERVAL = 0.02
# Seconds between two runs of a query that fails.
FAILING_INTERVAL = 0.25
SUCCESS = ""
# Deadlock, serialization failure, lock timeout, cancellation: the same query may succeed next time.
RETRYABLE_STATES = ("40P01", "40001", "55P03", "57014")
# SQLSTATE classes: connection exception, operator intervention (shutdown).
CONNECTION_LOST_STATES = ("08", "57P")


def main() -> None:
    """Read the plan from stdin, connect, and run queries until stdin closes."""
    # Ctrl+C reaches the whole process group; the rehearsal handles it and then closes our stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = json.loads(sys.stdin.readline())
    samples: deque[list[Any]] = deque()
    families = [_GroupClient(number, group, samples) for number, group in enumerate(plan["families"])]
    to = Login(**plan["login"])
    threads = [threading.Thread(target=group.run, args=(to,), daemon=True) for group in families]
    for thread in threads:
        thread.start()
    # Ends the load even if the rehearsal was killed and could not stop it.
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    _write({"ready": [pid for group in families for pid in group.wait_until_ready()]})
    gc.collect()
    gc.freeze()
    # A garbage collection takes as long as a small stall.
    gc.disable()
    begin = time.monotonic() + 2 * REPORT_INTERVAL
    for number, group in enumerate(families):
        # Staggered, so that the groups do not all send at the same moment.
        group.begin(begin + number * group.interval / len(families))
    while True:
        time.sleep(REPORT_INTERVAL)
        through = min(group.through for group in families) if families else time.monotonic()
        _write({"through": through, "samples": [samples.popleft() for _ in range(len(samples))]})


class _GroupClient:
    """Runs the queries of one group on a connection of its own."""

    def __init__(self, number: int, plan: dict[str, Any], samples: deque[list[Any]]) -> None:
        self.number = number
        self.text = plan["text"].encode()
        self.rows = cycle(plan["rows"])
        self.interval: float = 1 / plan["rate"]
        self.rolled_back = plan["rolled_back"]
        self.through = 0.0
        """When the last answered query was due (monotonic)."""
        self._samples = samples
        self._ready = threading.Event()
        self._go = threading.Event()
        self._due = 0.0
        self._pid = 0
        self._state = SUCCESS
        self._took: deque[float] = deque(maxlen=5)

    def wait_until_ready(self) -> list[int]:
        self._ready.wait()
        return [self._pid]

    def begin(self, at: float) -> None:
        self._due = at
        self._go.set()

    def run(self, to: Login) -> None:
        try:
            with connect(to, name="orderops rehearsal load") as connection:
                self._pid = connection.info.backend_pid
                _disable_timeouts(connection)
                self._ready.set()
                self._go.wait()
                self._run_queries(connection)
        except OrderopsError as error:
            _write({"lost": error.message})
            os._exit(1)

    def _run_queries(self, connection: Connection) -> None:
        from psycopg import Error, RawCursor

        cursor = RawCursor(connection)
        while True:
            early = self._due - time.monotonic()
            if early > 0:
                time.sleep(early)
            sent = time.monotonic()
            state, message = SUCCESS, ""
            try:
                self._run_query(connection, cursor)
            except Error as error:
                state, message = error.sqlstate or "", error_text(error)
                if connection.closed or not state or state.startswith(CONNECTION_LOST_STATES):
                    raise
            answered = time.monotonic()
            self._report(answered, state, message)
            self.through = self._due
            if state not in (SUCCESS, *RETRYABLE_STATES):
                with suppress(Error):
                    # A statement prepared before the migration would fail forever; a new session would not have it.
                    connection.execute("deallocate all")
            self._took.append(answered - sent)
            pace = self._pace() if state in (SUCCESS, *RETRYABLE_STATES) else FAILING_INTERVAL
            # Due times that passed meanwhile are skipped: a burst after every stall would be a load of its own.
            self._due += pace * max(1, int((answered - self._due) / pace))

    def _pace(self) -> float:
        """Seconds between two queries: at least twice the fastest recent duration, so that the group rests as long."""
        return max(self.interval, 2 * min(self._took, default=0.0))

    def _run_query(self, connection: Connection, cursor: Any) -> None:
        if self.rolled_back:
            with connection.transaction(force_rollback=True):
                cursor.execute(self.text, next(self.rows))
        else:
            cursor.execute(self.text, next(self.rows))

    def _report(self, answered: float, state: str, message: str) -> None:
        """Report a query that was slow, or after which the group began to fail or to succeed."""
        changed = state != self._state and state not in RETRYABLE_STATES
        if changed:
            self._state = state
        if changed or state in RETRYABLE_STATES or answered - self._due > REPORTED_FROM:
            self._samples.append([self.number, self._due, answered, state, message])


def _disable_timeouts(connection: Connection) -> None:
    """Remove every timeout of the role, since the length of a wait is what is measured."""
    # A query that waits for a lock ends when this process is gone.
    connection.execute("set client_connection_check_interval = 1000")
    for setting in ("statement_timeout", "lock_timeout", "idle_session_timeout"):
        connection.execute(f"set {setting} = 0".encode())


def _exit_with_stdin() -> None:
    with suppress(OSError, ValueError):
        sys.stdin.read()
    os._exit(0)


_WRITING = threading.Lock()


def _write(message: dict[str, Any]) -> None:
    with _WRITING, suppress(BrokenPipeError, ValueError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
