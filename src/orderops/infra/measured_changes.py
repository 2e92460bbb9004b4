"""How long changes of the database took here before: a document in the bucket for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket
from orderops.aws.validation import Time

READ = 10
"""Documents that are read, the newest first: `--dry-run` must not wait for years of history."""


class ChangeKind(StrEnum):
    """What was changed."""

    CLASS = "class"
    VERSION = "version"
    SWITCHOVER = "switchover"
    """Another version by a blue/green deployment."""
    REHEARSAL = "rehearsal"
    """The upgrade of a copy."""


@dataclass(frozen=True)
class MeasuredChange:
    """A change that a run made from its beginning to its end."""

    kind: str
    at: Time
    """When it began."""
    instance: str
    before: str
    after: str
    multi_az: bool
    seconds: float
    """From the call until everything was in force."""
    away_seconds: float | None = None
    """How long the database was away; None if nothing could see that."""
    seen_by: str = ""
    """What saw it."""
    who: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


def save(bucket: Bucket, environment: str, change: MeasuredChange) -> None:
    """Keep a measurement."""
    moment = datetime.fromisoformat(change.at).astimezone(UTC)
    bucket.put(f"{_prefix(environment)}{moment:%Y-%m-%dT%H%M%SZ}-{change.kind}.json", change.to_dict())


def measured(bucket: Bucket, environment: str) -> Iterator[MeasuredChange]:
    """The newest measurements, the newest first. Documents that are none are left out."""
    for key in reversed(bucket.keys(_prefix(environment))[-READ:]):
        try:
            if document := bucket.read(key):
                yield document.parsed(MeasuredChange)
        except BrokenDocument:
            continue


def newest(bucket: Bucket, environment: str, kind: ChangeKind, *, multi_az: bool) -> MeasuredChange | None:
    """The newest measurement of such a change, with a standby or without."""
    found = measured(bucket, environment)
    return next((change for change in found if (change.kind, change.multi_az) == (kind, multi_az)), None)


def _prefix(environment: str) -> str:
    return f"{environment}/database-changes/"
