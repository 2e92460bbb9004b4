"""A run: the only way to change an environment, one at a time and on record."""

from __future__ import annotations

import getpass
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from orderops import __version__
from orderops.aws.client import Aws
from orderops.aws.documents import BrokenDocument, Bucket, Document
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.errors import Interrupted, OrderopsError
from orderops.frozen import Frozen
from orderops.runs.change_guard import ChangeGuard
from orderops.runs.history import Record, RunOutcome, in_seconds, migrated_since_created, runs, timestamp
from orderops.runs.lease import USUAL, FoundLease, Lease, LeaseHolder, OnLeaseWait, Overtaken, Timing, key_of, lease_in


class Run(Frozen):
    """A run in progress."""

    record: Record
    recent_writes: RecentWrites
    undisturbed: bool
    """Whether no other run has held the lease since it was first read, so that what was read then is current."""

    def done(self, step: Step) -> None:
        """Record a step that changed something."""
        if step.action not in (Action.NO_OP, Action.KEEP):
            changes = {key: {"live": observed, "desired": desired} for key, (observed, desired) in step.changes.items()}
            details = {"changes": changes} if changes and step.action is not Action.CREATE else {}
            self.record.note(address=step.address, action=str(step.action), **details)


class RunsUnderWay(Frozen):
    """The holders of leases, and the leases that cannot be read and so may be held."""

    holders: tuple[LeaseHolder, ...] = ()
    unreadable: tuple[BrokenDocument, ...] = ()


COPIES = "copies"
"""The part of an environment that consists of its restored instances; it has a lease of its own."""


ANSWERS = "answers"
"""The part that consists of answers to a release under way, whose run has the lease of the environment."""


BOARD = "board"
"""The part that consists of the incidents on the board, which must not wait for a release to end."""


class Runs:
    """Runs that change an environment, or a part of it: one at a time, each on record."""

    def __init__(
        self, aws: Aws, environment: str, gate: ChangeGuard, timing: Timing = USUAL, *, part: str = "", file: str = ""
    ) -> None:
        """Open the runs of an environment, or of a part; `file` is the digest of the file that they apply."""
        # Not guarded: the lease and the record are written outside of the run that they guard.
        self._aws = aws.guarded(lambda: None)
        self._environment = environment
        self._leased = f"{environment}/{part}" if part else environment
        self._parts = (environment, f"{environment}/{COPIES}", f"{environment}/{ANSWERS}", f"{environment}/{BOARD}")
        self._gate = gate
        self._timing = timing
        self._file = file

    def peek(self) -> Document | None:
        """Read the lease, before a plan is made."""
        return Bucket(self._aws).read(key_of(self._leased))

    def migrated(self, database: str) -> bool:
        """Whether a run migrated the database with this address since a run created it; True if no run created it.

        The answer comes from the record, since the database itself may be out of reach from this machine.
        """
        return migrated_since_created(Bucket(self._aws), self._environment, database)

    def history(self, *, last: int) -> Iterator[dict[str, Any]]:
        """The last recorded runs, newest first."""
        bucket = Bucket(self._aws)
        leases = self._leases(bucket)
        beats: dict[str, datetime] = {lease.run: lease.written for lease in leases if lease.run}
        alive = {lease.run for lease in leases if self._is_held(lease)}
        return runs(bucket, self._environment, last=last, alive=alive, beats=beats)

    def current_holder(self) -> str:
        """The operator that holds the lease, with host and command; "" if it is free."""
        document = self.peek()
        lease = lease_in(document) if document else None
        if lease is None or not self._is_held(lease):
            return ""
        state = lease.state
        return f"{state.who} on {state.host}, `{state.command}`" if state else lease.describe()

    def under_way(self) -> RunsUnderWay:
        """The runs that hold a lease of this environment or of its restored instances."""
        leases = [lease for lease in self._leases(Bucket(self._aws)) if self._is_held(lease)]
        return RunsUnderWay(
            tuple(lease.holder for lease in leases if lease.holder),
            tuple(lease.broken for lease in leases if lease.broken),
        )

    def _leases(self, bucket: Bucket) -> list[FoundLease]:
        with ThreadPoolExecutor(len(self._parts)) as pool:
            documents = list(pool.map(lambda leased: bucket.read(key_of(leased)), self._parts))
        return [lease_in(document) for document in documents if document]

    def _is_held(self, lease: FoundLease) -> bool:
        return not lease.released and lease.age < self._timing.silent_for

    @contextmanager
    def begun(self, command: str, known: Document | None, *, wait: timedelta, waiting: OnLeaseWait) -> Iterator[Run]:
        """Take the lease, allow changes and begin the record; the end is recorded in any case."""
        bucket = Bucket(self._aws)
        holder = LeaseHolder(uuid.uuid4().hex[:8], self._aws.caller, socket.gethostname(), command, timestamp())
        lease = Lease(bucket, self._leased, holder, self._timing)
        undisturbed = lease.take(known, wait=wait, waiting=waiting)
        record = Record(bucket, self._environment, _beginning(self._environment, holder, lease.overtaken, self._file))
        lease.on_beat = record.flush
        run = Run(record, RecentWrites(unconfirmed=lease.unconfirmed), undisturbed)
        try:
            record.begin()
            with self._gate.allowing(lease.check), self._aws.marked(holder.run):
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


def _beginning(environment: str, holder: LeaseHolder, overtaken: Overtaken | None, file: str) -> dict[str, Any]:
    return {
        "run": holder.run,
        "environment": environment,
        "command": holder.command,
        "who": holder.who,
        "user": _user(),
        "host": holder.host,
        "version": __version__,
        "started": holder.since,
        **({"file": file} if file else {}),
        # The lease now has this run's heartbeats, so the last one of the other is kept here.
        **({"overtaken": {"run": overtaken.run, "last_seen": in_seconds(overtaken.last_seen)}} if overtaken else {}),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
