"""The load client, a process of its own: `python -m orderops.rehearsal.load_client`, controlled through its stdin.

It is a process of its own so that nothing which the rehearsal computes is taken for a stall of the database. Each
family has a connection and a thread, and a call is due at fixed times: what cannot begin in time counts from when it
was due. It ends when its standard input does, and so with whoever started it.
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
from orderops.rehearsal.queries import said

if TYPE_CHECKING:
    from psycopg import Connection

NOTABLE = 0.004
"""Seconds: what was answered sooner is not told one by one."""
EVERY = 0.02
"""Seconds between two words to who listens."""
BROKEN_EVERY = 0.25
"""Seconds between two calls of a query that fails."""
WELL = ""
PASSING = ("40P01", "40001", "55P03", "57014")
"""Errors after which the same call may go well."""
ENDED = ("08", "57P")


def main() -> None:
    """Read the plan, be ready, and ask until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the rehearsal, which then closes our input
    plan = json.loads(sys.stdin.readline())
    told: deque[list[Any]] = deque()
    families = [_Family(number, each, told) for number, each in enumerate(plan["families"])]
    to = Login(**plan["login"])
    threads = [threading.Thread(target=group.run, args=(to,), daemon=True) for group in families]
    for thread in threads:
        thread.start()
    threading.Thread(target=_leave_with_input, daemon=True).start()
    _write({"ready": [pid for group in families for pid in group.wait_until_ready()]})
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection takes as long as a small stall
    begin = time.monotonic() + 2 * EVERY
    for number, each in enumerate(families):
        each.begin(begin + number * each.interval / len(families))
    while True:
        time.sleep(EVERY)
        through = min(group.through for group in families) if families else time.monotonic()
        samples = [told.popleft() for _ in range(len(told))]
        _write({"through": through, "samples": samples})


class _Family:
    """One kind of query, asked again and again."""

    def __init__(self, number: int, plan: dict[str, Any], told: deque[list[Any]]) -> None:
        self.number = number
        self.text = plan["text"].encode()
        self.rows = cycle(plan["rows"])
        self.interval: float = 1 / plan["rate"]
        self.rolled_back = plan["rolled_back"]
        self.through = 0.0
        """When the last call was due that is answered."""
        self._told = told
        self._ready = threading.Event()
        self._go = threading.Event()
        self._due = 0.0
        self._pid = 0
        self._state = WELL
        self._took: deque[float] = deque(maxlen=5)

    def wait_until_ready(self) -> list[int]:
        self._ready.wait()
        return [self._pid]

    def begin(self, at: float) -> None:
        self._due = at
        self._go.set()

    def run(self, to: Login) -> None:
        try:
            with connect(to, name="orderops rehearsal traffic") as connection:
                self._pid = connection.info.backend_pid
                _as_always(connection)
                self._ready.set()
                self._go.wait()
                self._ask_for_ever(connection)
        except OrderopsError as error:
            _write({"lost": error.message})
            os._exit(1)

    def _ask_for_ever(self, connection: Connection) -> None:
        from psycopg import Error, RawCursor

        cursor = RawCursor(connection)
        while True:
            early = self._due - time.monotonic()
            if early > 0:
                time.sleep(early)
            sent = time.monotonic()
            state, message = WELL, ""
            try:
                self._ask(connection, cursor)
            except Error as error:
                state, message = error.sqlstate or "", said(error)
                if connection.closed or not state or state.startswith(ENDED):
                    raise
            answered = time.monotonic()
            self._tell(answered, state, message)
            self.through = self._due
            if state not in (WELL, *PASSING):
                with suppress(Error):
                    connection.execute("deallocate all")  # what was prepared for what was there before
            self._took.append(answered - sent)
            pace = self._pace() if state in (WELL, *PASSING) else BROKEN_EVERY
            self._due += pace * max(1, int((answered - self._due) / pace))

    def _pace(self) -> float:
        """Seconds from one call to the next: at least as long a rest as a call takes that nobody holds up."""
        return max(self.interval, 2 * min(self._took, default=0.0))

    def _ask(self, connection: Connection, cursor: Any) -> None:
        if self.rolled_back:
            with connection.transaction(force_rollback=True):
                cursor.execute(self.text, next(self.rows))
        else:
            cursor.execute(self.text, next(self.rows))

    def _tell(self, answered: float, state: str, message: str) -> None:
        """What took long, and where it began to fail or to go well again."""
        changed = state != self._state and state not in PASSING
        if changed:
            self._state = state
        if changed or state in PASSING or answered - self._due > NOTABLE:
            self._told.append([self.number, self._due, answered, state, message])


def _as_always(connection: Connection) -> None:
    """No limit of ours or of the role's ends a call that waits: how long it waits is the question."""
    connection.execute("set client_connection_check_interval = 1000")  # a call that waits when we are gone ends
    for setting in ("statement_timeout", "lock_timeout", "idle_session_timeout"):
        connection.execute(f"set {setting} = 0".encode())


def _leave_with_input() -> None:
    with suppress(OSError, ValueError):
        sys.stdin.read()
    os._exit(0)


_WRITING = threading.Lock()


def _write(told: dict[str, Any]) -> None:
    with _WRITING, suppress(BrokenPipeError, ValueError):
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
