"""One operator at a time: a document that only one can write, kept alive while its holder lives.

A holder says every few seconds that it is there. One that could not say so for a while must say so again before it
changes anything, and finds out whether somebody else holds the lease now. One that was silent for longer is dead, and
whoever asks takes the lease over: nobody ever unlocks anything by hand. All ages are told by the clock of S3, and all
waiting is measured by a clock that goes on while a machine sleeps, so that no two clocks are ever compared.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from orderops.aws.documents import Bucket, Document, DocumentChanged
from orderops.errors import AwsError, OrderopsError

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

OnLeaseWait = Callable[[str, timedelta], None]
"""Told who holds the lease, and how long ago that one was last seen."""


@dataclass(frozen=True)
class Timing:
    """How often a holder says that it is there, for how long that is good, and after what silence it is dead.

    Between the end of what is good and that silence lies more than AWS's reads may lag: who takes over sees all that
    the dead one did. What was read while the last one was at it, or less than `quiet` before, may be old.
    """

    beat: timedelta = timedelta(seconds=3)
    good_for: timedelta = timedelta(seconds=12)
    silent_for: timedelta = timedelta(seconds=45)
    lag: timedelta = timedelta(seconds=30)
    quiet: timedelta = timedelta(seconds=5)


USUAL = Timing()


@dataclass(frozen=True)
class LeaseHolder:
    """Who holds or wants the lease."""

    run: str
    who: str
    host: str
    command: str
    since: str


class Held(OrderopsError):
    """Somebody else works on the environment."""


class LeaseLost(OrderopsError):
    """Somebody else holds the lease that was ours; nothing more may be changed."""

    stops_everything = True


class Lease:
    """The lease of one environment, seen from one run."""

    def __init__(self, bucket: Bucket, environment: str, holder: LeaseHolder, timing: Timing = USUAL) -> None:
        self._bucket = bucket
        self._environment = environment
        self._holder = holder
        self._timing = timing
        self._lock = threading.Lock()
        self._document: Document | None = None
        self._good_until = 0.0
        self._lost = ""
        self._done = threading.Event()
        self._beats = 0
        self._heart = threading.Thread(target=self._live, name="lease", daemon=True)
        self.on_beat: Callable[[], None] = lambda: None
        self.doubtful: dict[str, float] = {}
        """What the last holder made at its end, with the seconds for which reads may not tell it yet."""

    def take(self, known: Document | None, *, wait: timedelta, waiting: OnLeaseWait) -> bool:
        """Hold it, at once or when it is free; answers whether what was seen since `known` was asked for still holds.

        It does when nobody held the lease since, nor shortly before. Raises Held when it is not free in time.
        """
        until = _now() + wait.total_seconds()
        first = True
        while True:
            if known is None or self._is_free(known):
                try:
                    self._hold(known)
                    return first and (known is None or known.age >= self._timing.quiet)
                except DocumentChanged:
                    first = False
            else:
                first = False
                told = self._told(known)
                if _now() >= until:
                    raise Held(
                        f"{self._environment} is {told}",
                        f"wait for it: --wait 15m; one that died is overtaken {_s(self._timing.silent_for)} after its "
                        "last sign of life, by itself",
                    )
                waiting(told, known.age)
                time.sleep(self._timing.beat.total_seconds() * random.uniform(0.3, 0.5))
            known = self._bucket.read(key_of(self._environment))

    def check(self) -> None:
        """Refuse to go on without the lease; asked before every change."""
        if self._lost:
            raise self._refusal()
        if _now() > self._good_until:
            self._renew(only_if_over=True)

    def release(self, made: Collection[str] = ()) -> None:
        """Let the next one in; `made` was made lately. Never fails: a lease not given back runs out."""
        self._done.set()
        if self._document is None or self._lost or not self._lock.acquire(timeout=10):
            return
        with suppress(OrderopsError):  # then it runs out
            self._write({"released": True, "made": sorted(made)})
        self._lock.release()

    def _is_free(self, known: Document) -> bool:
        if known.value.get("run") == self._holder.run:  # written by a call whose answer was lost
            return True
        if known.value.get("released"):
            left = (self._timing.lag - known.age).total_seconds()
            self.doubtful = dict.fromkeys(known.value.get("made", ()), left) if left > 0 else {}
            return True
        self.doubtful = {}
        return known.age >= self._timing.silent_for

    def _hold(self, over: Document | None) -> None:
        with self._lock:
            self._document = over
            self._write({})
        self._heart.start()

    def _renew(self, *, only_if_over: bool = False) -> None:
        with self._lock:
            if self._lost:
                raise self._refusal()
            if only_if_over and _now() <= self._good_until:  # another thread has just said that we are there
                return
            with suppress(DocumentChanged):
                self._write({})
                return
            found = self._bucket.read(key_of(self._environment))
            if found and found.value.get("run") != self._holder.run:
                self._lost = self._told(found)
                raise self._refusal()
            self._document = found  # written by a call of ours whose answer was lost, or deleted
            self._write({})

    def _write(self, more: dict[str, Any]) -> None:
        sent = _now()
        self._beats += 1
        value = {**asdict(self._holder), "beat": self._beats, "released": False, **more}
        self._document = self._bucket.write(key_of(self._environment), value, over=self._document)
        self._good_until = sent + self._timing.good_for.total_seconds()

    def _live(self) -> None:
        while not self._done.wait(self._timing.beat.total_seconds()):
            try:
                self._renew()
                self.on_beat()
            except LeaseLost:
                return
            except AwsError:
                pass  # the next beat tries again; meanwhile what is good runs out

    def _refusal(self) -> LeaseLost:
        return LeaseLost(
            f"the lease of {self._environment} ran out while this machine was asleep or cut off; it is {self._lost}",
            "nothing was changed since; the same command goes on from what is there",
        )

    def _told(self, document: Document) -> str:
        told = document.value
        if told.get("released"):
            return f"free again: {told['who']} was done {_s(document.age)} ago"
        return (
            f"held by {told['who']} on {told['host']} since {told['since']}, `{told['command']}`, "
            f"last seen {_s(document.age)} ago"
        )


def key_of(environment: str) -> str:
    """Where the lease of an environment lies."""
    return f"{environment}/lease.json"


def _now() -> float:
    return time.clock_gettime(CLOCK)


def _s(duration: timedelta) -> str:
    return f"{max(0, round(duration.total_seconds()))} s"
