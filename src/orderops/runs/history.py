"""The record: one document for every run that changes an environment, written at its start and completed at its end.

A killed run leaves a document without an end, and is recognized by that.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orderops.aws.documents import Bucket, Document
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


def runs(bucket: Bucket, environment: str, *, last: int, alive: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """The last runs, newest first. One without an end that is not in `alive` was killed."""
    keys = list(bucket.keys(prefix_of(environment)))[-last:] if last else []
    keys.reverse()
    with ThreadPoolExecutor(READERS) as pool:
        # In parts, since a caller may stop at the first run that answers its question.
        for start in range(0, len(keys), READERS):
            for document in pool.map(bucket.read, keys[start : start + READERS]):
                if document is not None:
                    yield _run(document, alive)


def _run(document: Document, alive: Collection[str]) -> dict[str, Any]:
    run = dict(document.value)
    if run["outcome"] == RunOutcome.RUNNING and run["run"] not in alive:
        run["outcome"] = str(RunOutcome.KILLED)
        run["last_seen"] = document.written.strftime("%Y-%m-%dT%H:%M:%SZ")
    return run


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


def timestamp() -> str:
    """The current time in UTC, in milliseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
