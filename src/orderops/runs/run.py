"""A run: what changes an environment, one at a time and on record, and nothing outside of one."""

from __future__ import annotations

import getpass
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orderops import __version__
from orderops.aws.client import Aws
from orderops.aws.documents import Bucket, Document
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.errors import Interrupted, OrderopsError
from orderops.runs.history import Record, RunOutcome, runs, timestamp
from orderops.runs.lease import USUAL, Lease, LeaseHolder, OnLeaseWait, Timing, key_of


class ChangeGuard:
    """Stands before every call that changes something; closed but for the time of a run."""

    def __init__(self) -> None:
        self._check: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Refuse a change outside of a run; inside, ask whether its lease still holds."""
        if self._check is None:
            raise RuntimeError("a change outside of a run")
        self._check()

    @contextmanager
    def opened(self, check: Callable[[], None]) -> Iterator[None]:
        """Let changes through while `check` agrees."""
        self._check = check
        try:
            yield
        finally:
            self._check = None


@dataclass(frozen=True)
class Run:
    """What a run is told while it goes on."""

    record: Record
    recent_writes: RecentWrites
    undisturbed: bool
    """Whether nobody held the lease since it was first looked at, so that what was seen then still holds."""

    def done(self, step: Step) -> None:
        """Note a step that changed something."""
        if step.action not in (Action.NO_OP, Action.KEEP):
            changes = {key: {"live": live, "desired": desired} for key, (live, desired) in step.changes.items()}
            told = {"changes": changes} if changes and step.action is not Action.CREATE else {}
            self.record.note(address=step.address, action=str(step.action), **told)


COPIES = "copies"
"""The part of an environment that stands beside it; it has a lease of its own."""


class Runs:
    """How an environment, or a part of it, is changed: one run at a time, each on record."""

    def __init__(
        self, aws: Aws, environment: str, gate: ChangeGuard, timing: Timing = USUAL, *, part: str = ""
    ) -> None:
        self._aws = aws.guarded(lambda: None)  # the lease is taken outside of what it guards
        self._environment = environment
        self._leased = f"{environment}/{part}" if part else environment
        self._gate = gate
        self._timing = timing

    def peek(self) -> Document | None:
        """The lease as it is, to be looked at before a plan is made."""
        return Bucket(self._aws).read(key_of(self._leased))

    def history(self, *, last: int) -> Iterator[dict[str, Any]]:
        """The last runs on record, newest first."""
        bucket = Bucket(self._aws)
        return runs(bucket, self._environment, last=last, alive=self._alive(bucket))

    def holder(self) -> str:
        """Who is at it now, and with which command; nobody where nobody is."""
        lease = self.peek()
        if not lease or lease.value.get("released") or lease.age >= self._timing.silent_for:
            return ""
        return f"{lease.value['who']} on {lease.value['host']}, `{lease.value['command']}`"

    def _alive(self, bucket: Bucket) -> set[str]:
        """The runs that hold a lease of this environment."""
        leases = [bucket.read(key_of(leased)) for leased in (self._environment, f"{self._environment}/{COPIES}")]
        held = [lease for lease in leases if lease and lease.age < self._timing.silent_for]
        return {lease.value["run"] for lease in held if not lease.value.get("released")}

    @contextmanager
    def begun(self, command: str, known: Document | None, *, wait: timedelta, waiting: OnLeaseWait) -> Iterator[Run]:
        """Take the lease, open the gate and begin the record; the end is put on record however it comes."""
        bucket = Bucket(self._aws)
        holder = LeaseHolder(uuid.uuid4().hex[:8], self._aws.caller, socket.gethostname(), command, timestamp())
        lease = Lease(bucket, self._leased, holder, self._timing)
        undisturbed = lease.take(known, wait=wait, waiting=waiting)
        record = Record(bucket, self._environment, _beginning(self._environment, holder))
        lease.on_beat = record.flush
        run = Run(record, RecentWrites(unconfirmed=lease.doubtful), undisturbed)
        try:
            record.begin()
            with self._gate.opened(lease.check):
                yield run
            record.end(RunOutcome.DONE)
        except OrderopsError as error:
            record.end(RunOutcome.INTERRUPTED if isinstance(error, Interrupted) else RunOutcome.FAILED, error)
            raise
        except BaseException as error:
            record.end(RunOutcome.INTERRUPTED if isinstance(error, KeyboardInterrupt) else RunOutcome.FAILED)
            raise
        finally:
            lease.release(run.recent_writes.within(self._timing.lag))


def _beginning(environment: str, holder: LeaseHolder) -> dict[str, str]:
    return {
        "run": holder.run,
        "environment": environment,
        "command": holder.command,
        "who": holder.who,
        "user": _user(),
        "host": holder.host,
        "version": __version__,
        "started": holder.since,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
