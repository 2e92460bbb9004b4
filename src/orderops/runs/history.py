"""The record: one document for every run that changed an environment, written at its start and completed at its end.

A run that was killed leaves a document without an end: that is how it is known.
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

from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError

READERS = 16


class RunOutcome(StrEnum):
    """How a run ended, or that it did not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"


@dataclass
class Record:
    """The document of one run; what is noted goes out with `flush`, which never fails."""

    bucket: Bucket
    environment: str
    told: dict[str, Any]
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    _written: int = 0
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> str:
        """Where it lies; keys are in the order in which runs began."""
        return f"{prefix_of(self.environment)}{self.told['started'].replace(':', '')}-{self.told['run']}.json"

    def note(self, **step: Any) -> None:
        """Something was changed."""
        self.steps.append({"at": timestamp(), **step})

    def begin(self) -> None:
        """Write the beginning; what cannot be put on record is not begun."""
        self.bucket.write(self.key, self._value(RunOutcome.RUNNING), over=None)

    def flush(self) -> None:
        """Write what was noted since the last time; the next one has it when this one fails."""
        with self._lock, suppress(OrderopsError):
            if not self._ended and len(self.steps) > self._written:
                self._put(RunOutcome.RUNNING)

    def end(self, outcome: RunOutcome, error: OrderopsError | None = None) -> None:
        """Complete it. The work is done or not, whether that can be written or not."""
        self.told |= {"ended": timestamp(), **({"error": error.message} if error and error.message else {})}
        with self._lock, suppress(OrderopsError):
            self._ended = True
            self._put(outcome)

    def _put(self, outcome: RunOutcome) -> None:
        value = self._value(outcome)
        self.bucket.put(self.key, value)
        self._written = len(value["steps"])

    def _value(self, outcome: RunOutcome) -> dict[str, Any]:
        return {**self.told, "outcome": str(outcome), "steps": list(self.steps)}


def runs(bucket: Bucket, environment: str, *, last: int, alive: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """The last runs, newest first; one without an end that is none of `alive` was killed."""
    keys = list(bucket.keys(prefix_of(environment)))[-last:] if last else []
    with ThreadPoolExecutor(READERS) as pool:
        for document in pool.map(bucket.read, reversed(keys)):
            if document is not None:
                told = dict(document.value)
                if told["outcome"] == RunOutcome.RUNNING and told["run"] not in alive:
                    told["outcome"] = str(RunOutcome.KILLED)
                    told["last_seen"] = document.written.strftime("%Y-%m-%dT%H:%M:%SZ")
                yield told


def prefix_of(environment: str) -> str:
    """Where the record of an environment lies."""
    return f"{environment}/runs/"


def timestamp() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
