"""The record: one document for every run that changes an environment, written at its start and completed at its end.

A killed run leaves a document without an end, and is recognized by that.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket, Document
from orderops.aws.validation import Time
from orderops.errors import OrderopsError

READERS = 16
MAX_SEARCHED = 300
"""Number of runs among which the newest migration is looked for."""
# A baseline notes no migration, and may have marked all as applied.
MIGRATING = ("migrate apply", "migrate baseline")


class RunOutcome(StrEnum):
    """How a run ended; RUNNING until then."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    UNREADABLE = "unreadable"
    """The object in the bucket is not the record of a run, or not of this version."""


@dataclass(frozen=True)
class StepShape:
    """What readers of the history use of a step."""

    address: str = ""
    action: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OvertakenShape:
    """The run whose expired lease a run took over, and its last heartbeat."""

    run: str
    last_seen: Time


@dataclass(frozen=True)
class RecordShape:
    """What readers of the history use of a record, to validate a document with."""

    run: str
    command: str
    who: str
    host: str
    started: Time
    outcome: str
    steps: tuple[StepShape, ...]
    ended: Time | None = None
    error: str = ""
    overtaken: OvertakenShape | None = None


@dataclass
class Record:
    """The document of one run. Steps are noted at once and written with the next `flush`, which never raises."""

    bucket: Bucket
    environment: str
    run: dict[str, Any]
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    _written: int = 0
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> str:
        """Its S3 key. Keys sort in the order in which runs began."""
        return f"{prefix_of(self.environment)}{self.run['started'].replace(':', '')}-{self.run['run']}.json"

    def note(self, **step: Any) -> None:
        """Note a change, with the time."""
        self.steps.append({"at": timestamp(), **step})

    def begin(self) -> None:
        """Write the start. Raises OrderopsError if that fails: a run that cannot be recorded does not begin."""
        self.bucket.write(self.key, self._value(RunOutcome.RUNNING), over=None)

    def flush(self) -> None:
        """Write the steps noted since the last time. A failed write is made up for by the next."""
        with self._lock, suppress(OrderopsError):
            if not self._ended and len(self.steps) > self._written:
                self._put(RunOutcome.RUNNING)

    def end(self, outcome: RunOutcome, error: OrderopsError | None = None) -> None:
        """Write the end. Does not raise: the changes are made, whether or not that can be recorded."""
        self.run |= {"ended": timestamp(), **({"error": error.message} if error and error.message else {})}
        with self._lock, suppress(OrderopsError):
            self._ended = True
            self._put(outcome)

    def _put(self, outcome: RunOutcome) -> None:
        value = self._value(outcome)
        self.bucket.put(self.key, value)
        self._written = len(value["steps"])

    def _value(self, outcome: RunOutcome) -> dict[str, Any]:
        return {**self.run, "outcome": str(outcome), "steps": list(self.steps)}


def runs(
    bucket: Bucket,
    environment: str,
    *,
    last: int,
    alive: Collection[str] = (),
    beats: Mapping[str, datetime] | None = None,
) -> Iterator[dict[str, Any]]:
    """The last runs, newest first; one whose record is broken is among them, with the outcome UNREADABLE.

    A run without an end that is not in `alive` was killed. `beats` has the last heartbeat of runs, where it is known.
    """
    keys = list(bucket.keys(prefix_of(environment)))[-last:] if last else []
    keys.reverse()
    seen = dict(beats or {})
    with ThreadPoolExecutor(READERS) as pool:
        # In parts, since a caller may stop at the first run that answers its question.
        for start in range(0, len(keys), READERS):
            for document in pool.map(bucket.read, keys[start : start + READERS]):
                if document is not None:
                    yield _run(document, alive, seen)


def _run(document: Document, alive: Collection[str], seen: MutableMapping[str, datetime]) -> dict[str, Any]:
    try:
        document.parsed(RecordShape)
    except BrokenDocument as error:
        return _unreadable(document, error)
    run = dict(document.value)
    if overtaken := run.get("overtaken"):
        seen[overtaken["run"]] = datetime.fromisoformat(overtaken["last_seen"])
    if run["outcome"] == RunOutcome.RUNNING and run["run"] not in alive:
        run["outcome"] = str(RunOutcome.KILLED)
        # A record is written with each change, and the lease every few seconds.
        run["last_seen"] = in_seconds(max(document.written, seen.get(run["run"], document.written)))
    return run


def _unreadable(document: Document, error: BrokenDocument) -> dict[str, Any]:
    """A line of the history for a broken record, with every key that readers of the history rely on."""
    return {
        "run": "",
        "command": "",
        "who": "",
        "host": "",
        "started": in_seconds(document.written),
        "outcome": str(RunOutcome.UNREADABLE),
        "steps": [],
        "document": document.uri,
        "error": error.message,
        "hint": error.hint,
    }


def migrated_since_created(bucket: Bucket, environment: str, database: str) -> bool:
    """Whether a run migrated the database since the newest one that created it; True if none did."""
    for run in runs(bucket, environment, last=MAX_SEARCHED):
        if run["outcome"] == RunOutcome.DONE and str(run.get("command", "")).startswith(MIGRATING):
            return True
        for step in reversed(run["steps"]):
            if "migration" in step:
                return True
            if step.get("address") == database and step.get("action") == "create":
                return False
    # An adopted database was not created by a run, and other tools may have migrated it.
    return True


def prefix_of(environment: str) -> str:
    """The S3 prefix of an environment's record."""
    return f"{environment}/runs/"


def timestamp(moment: datetime | None = None) -> str:
    """A time in UTC, in milliseconds; the current one by default."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def in_seconds(moment: datetime) -> str:
    """A time in UTC, in whole seconds as S3 gives them."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
