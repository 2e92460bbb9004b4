"""How long something was away, as a probe beside a change saw it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.readiness import ReadyState, ask_ready

Look = Callable[[], bool | None]
"""Says whether it is there; None if that cannot be seen at the moment."""
READY_EVERY, READY_WITHIN = 0.1, timedelta(seconds=2)
# A service that waits for its database answers late in place of not: a client has seen that, too.
SLOWER = 0.25
"""Seconds by which an answer may be later than the first one."""
STEADY = 2.0
"""Seconds of good looks after which an outage is over: one task may be back, and the next not yet."""
PATIENCE = 30.0
"""Seconds for which that is waited for after a change."""


class Outage(Frozen):
    """A time without it: from the last good look before until the first good look after, in seconds since 1970."""

    since: float
    until: float

    def to_dict(self) -> dict[str, str]:
        """As JSON, with stable keys."""
        return {"since": _iso(self.since), "until": _iso(self.until)}


@dataclass
class Outages:
    """The outages that a row of looks comes to."""

    steady: float = 0.0
    """Seconds between two outages below which they are one."""
    found: list[Outage] = field(default_factory=list)
    _good: float | None = None
    _since: float | None = None
    _good_since: float | None = None

    def saw(self, began: float, ended: float, is_there: bool | None) -> None:
        """Note a look, which took a while. One that saw nothing changes nothing."""
        if is_there is None:
            return
        if not is_there:
            self._begin(self._good or began)
            return
        if self._since is not None:
            self.found.append(Outage(self._since, ended))
        self._good, self._since = began, None
        self._good_since = self._good_since or began

    def _begin(self, since: float) -> None:
        self._good_since = None
        if self._since is not None:
            return
        joins = self.found and since - self.found[-1].until < self.steady
        self._since = self.found.pop().since if joins else since

    def end(self, at: float) -> None:
        """Note that nothing is looked at any more; what is away stays away until then."""
        if self._since is not None:
            self.found.append(Outage(self._since, at))
            self._since = None

    def is_steady(self, now: float) -> bool:
        """Whether it has been there for long enough that the last outage is over."""
        return self._good_since is not None and now - self._good_since >= self.steady

    @property
    def seconds(self) -> float:
        """How long it was away in all."""
        return sum(outage.until - outage.since for outage in self.found)


class OutageProbe:
    """Looks every `pause` seconds, in a thread of its own, while its block runs and until the outage is over."""

    def __init__(self, look: Look, source: str, pause: float, steady: float = 0.0, patience: float = PATIENCE) -> None:
        self.source = source
        """What was looked at, in words."""
        self.outages = Outages(steady)
        self._look = look
        self._pause = pause
        self._patience = patience
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outage probe", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.time() + self._patience
        while kind is None and time.time() < deadline and not self.outages.is_steady(time.time()):
            time.sleep(self._pause)
        self._ended.set()
        self._thread.join()
        self.outages.end(time.time())

    def _run(self) -> None:
        while True:
            began = time.time()
            try:
                is_there = self._look()
            except OrderopsError:
                is_there = None
            self.outages.saw(began, time.time(), is_there)
            if self._ended.wait(self._pause):
                return


def readiness_probe(url: str) -> OutageProbe | None:
    """A probe of the database through the service's /ready; None if that cannot be asked from here, or is not ready."""
    began = time.monotonic()
    if ask_ready(url, within=READY_WITHIN).state is not ReadyState.READY:
        return None
    usual = time.monotonic() - began

    def look() -> bool | None:
        start = time.monotonic()
        answer = ask_ready(url, within=READY_WITHIN)
        if answer.state in (ReadyState.UNREACHABLE, ReadyState.UNKNOWN):
            return None
        return answer.state is ReadyState.READY and time.monotonic() - start < usual + SLOWER

    return OutageProbe(look, "/ready of the service", READY_EVERY, STEADY)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
