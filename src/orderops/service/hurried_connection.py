"""Connection to PostgreSQL that is given up at a moment of its borrower's choice.

The limits of the server do not help against a server that is frozen, and the kernel's do not see it: its side of the
connection still acknowledges what is sent.
"""

from __future__ import annotations

import time
from math import ceil
from select import POLLIN, POLLOUT, poll
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

Result = TypeVar("Result")

_EVENTS = {Wait.R: POLLIN, Wait.W: POLLOUT, Wait.RW: POLLIN | POLLOUT}


class NotInTime(psycopg.OperationalError):
    """The deadline passed; the connection is of no use any more."""


class HurriedConnection(psycopg.Connection[Any]):
    """Connection whose questions raise NotInTime once `deadline` has passed."""

    deadline: float = float("inf")
    """A time of time.monotonic()."""

    def wait(self, gen: PQGen[Result], interval: float = 0.0, timeout: float | None = None) -> Result:
        """Wait for the server, as psycopg does for every question; older versions of psycopg know no limit."""
        events = poll()
        descriptor = self.pgconn.socket
        try:
            events.register(descriptor, _EVENTS[next(gen)])
            while True:
                left = self.deadline - time.monotonic()
                found = events.poll(None if left == float("inf") else max(0, ceil(left * 1000)))
                if not found:
                    raise NotInTime("no answer in time")
                events.modify(descriptor, _EVENTS[gen.send(_ready(found[0][1]))])
        except StopIteration as end:
            result: Result = end.value
            return result


def _ready(event: int) -> Ready:
    ready = (Ready.R if event & POLLIN else 0) | (Ready.W if event & POLLOUT else 0)
    # Of a connection that is broken, either says what is wrong.
    return Ready(ready or Ready.RW)
