"""The lease: one operator at a time, by an S3 object that is written conditionally and kept alive by its holder.

The holder writes a heartbeat every few seconds. A holder that could not for a while has to write one again before its
next change, and so learns whether another run holds the lease now. A holder that was silent for longer is taken for
dead, and the next run takes the lease over; nothing is ever unlocked by hand. Ages use the clock of S3, and waits a
clock that keeps running while the machine sleeps, so clocks of different machines are never compared.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket, Document, DocumentChanged
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.text.durations import in_words

# CLOCK_MONOTONIC stops while a laptop sleeps; a lease held through a sleep would look fresh.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

OnLeaseWait = Callable[[str, timedelta], None]
"""Called with a description of the holder and the time since its last heartbeat."""


class Timing(Frozen):
    """Heartbeats and their limits."""

    beat: timedelta = timedelta(seconds=3)
    """Between two heartbeats."""
    # Four heartbeats, so that a slow request or two do not stop a run.
    good_for: timedelta = timedelta(seconds=12)
    """After a heartbeat, how long changes may be made."""
    # 33 s more than good_for: longer than AWS's reads may lag, so the next holder sees everything the last one did.
    silent_for: timedelta = timedelta(seconds=45)
    """After a heartbeat, when the holder counts as dead."""
    lag: timedelta = timedelta(seconds=30)
    """How long AWS's reads may lag."""
    quiet: timedelta = timedelta(seconds=5)
    """After a release, when what was read since is current."""


USUAL = Timing()


@dataclass(frozen=True)
class LeaseHolder:
    """The run that holds or wants the lease."""

    run: str
    who: str
    host: str
    command: str
    since: str


@dataclass(frozen=True)
class LeaseState(LeaseHolder):
    """What a lease says: its holder, or the last one if it is released."""

    released: bool = False
    made: tuple[str, ...] = ()
    """What the holder created shortly before it released the lease."""


class FoundLease(Frozen):
    """A lease as read: what it says, or why that cannot be read."""

    state: LeaseState | None
    age: timedelta
    written: datetime
    broken: BrokenDocument | None = None

    @property
    def run(self) -> str:
        """The run that holds it, or held it last; "" if that cannot be read."""
        return self.state.run if self.state else ""

    @property
    def holder(self) -> LeaseHolder | None:
        """The run that holds it, or held it last; None if that cannot be read."""
        return self.state and LeaseHolder(*(getattr(self.state, known.name) for known in fields(LeaseHolder)))

    @property
    def released(self) -> bool:
        """Whether its holder gave it back."""
        return bool(self.state and self.state.released)

    def describe(self) -> str:
        """Say who holds it, as the end of a sentence."""
        seen = f"last seen {in_words(self.age)} ago"
        if self.broken:
            return f"held by an unknown run: {self.broken.message}; {seen}"
        state = self.state
        assert state, "a lease that is not broken has a state"
        if state.released:
            return f"free again: {state.who} released it {in_words(self.age)} ago"
        return f"held by {state.who} on {state.host} since {state.since}, `{state.command}`, {seen}"


def lease_in(document: Document) -> FoundLease:
    """Read a lease. A broken one is no error: it counts as held, and is taken over after the usual silence."""
    try:
        return FoundLease(document.parsed(LeaseState), document.age, document.written)
    except BrokenDocument as error:
        return FoundLease(None, document.age, document.written, error)


class Overtaken(Frozen):
    """A run whose lease expired, and its last sign of life."""

    run: str
    last_seen: datetime


class Held(OrderopsError):
    """Another run changes the environment."""


class LeaseLost(OrderopsError):
    """Another run has taken the lease over; nothing more may be changed."""

    stops_everything = True


class Lease:
    """The lease of one environment, from the view of one run."""

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
        self.unconfirmed: dict[str, float] = {}
        """What the last holder created shortly before its end, with the seconds for which reads may not show it."""
        self.overtaken: Overtaken | None = None
        """The run whose lease had expired when this one took it."""

    def take(self, known: Document | None, *, wait: timedelta, waiting: OnLeaseWait) -> bool:
        """Take the lease, at once or when it is free; return whether what was read since `known` is still current.

        It is if no run has held the lease since, nor shortly before. Raises Held if the lease is not free in time.
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
                lease = lease_in(known)
                holder = lease.describe()
                if _now() >= until:
                    raise Held(f"{self._environment} is {holder}", self._hint(lease))
                waiting(holder, known.age)
                # A random share of a heartbeat, so that two waiting runs do not ask at the same moments.
                time.sleep(self._timing.beat.total_seconds() * random.uniform(0.3, 0.5))
            known = self._bucket.read(key_of(self._environment))

    def check(self) -> None:
        """Raise LeaseLost if another run holds the lease; called before every change."""
        if self._lost:
            raise self._lost_error()
        if _now() > self._good_until:
            self._renew(only_if_over=True)

    def release(self, made: Collection[str] = ()) -> None:
        """Free the lease for the next run; `made` are the addresses created recently. Never raises."""
        self._done.set()
        if self._document is None or self._lost or not self._lock.acquire(timeout=10):
            return
        # A lease that cannot be freed expires.
        with suppress(OrderopsError):
            self._write({"released": True, "made": sorted(made)})
        self._lock.release()

    def _is_free(self, known: Document) -> bool:
        lease = lease_in(known)
        self.unconfirmed, self.overtaken = {}, None
        if lease.run == self._holder.run:
            # Written by a request of ours whose answer was lost.
            return True
        if lease.state and lease.released:
            left = (self._timing.lag - lease.age).total_seconds()
            self.unconfirmed = dict.fromkeys(lease.state.made, left) if left > 0 else {}
            return True
        if lease.run:
            self.overtaken = Overtaken(lease.run, lease.written)
        return lease.age >= self._timing.silent_for

    def _hint(self, lease: FoundLease) -> str:
        after = f"{in_words(self._timing.silent_for)} after its last heartbeat"
        wait = f"wait longer: --wait 15m; the lease of a dead run expires by itself, {after}"
        # Not to be set aside: a run of a newer orderops may hold it.
        return f"{wait}\n{lease.broken.show}" if lease.broken else wait

    def _hold(self, over: Document | None) -> None:
        with self._lock:
            self._document = over
            self._write({})
        self._heart.start()

    def _renew(self, *, only_if_over: bool = False) -> None:
        with self._lock:
            if self._lost:
                raise self._lost_error()
            if only_if_over and _now() <= self._good_until:
                # Another thread has written a heartbeat meanwhile.
                return
            with suppress(DocumentChanged):
                self._write({})
                return
            found = self._bucket.read(key_of(self._environment))
            if found and (lease := lease_in(found)).run != self._holder.run:
                self._lost = lease.describe()
                raise self._lost_error()
            # Written by a request of ours whose answer was lost, or deleted.
            self._document = found
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
            except OrderopsError:
                # The next heartbeat tries again; until one succeeds, `check` stops changes after `good_for`.
                pass

    def _lost_error(self) -> LeaseLost:
        return LeaseLost(
            f"the lease of {self._environment} expired while this machine was asleep or offline; it is {self._lost}",
            "nothing was changed since; re-running this command continues from here",
        )


def key_of(environment: str) -> str:
    """The S3 key of an environment's lease."""
    return f"{environment}/lease.json"


def _now() -> float:
    return time.clock_gettime(CLOCK)
