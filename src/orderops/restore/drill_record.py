"""Drills: restores made only to prove that restoring works, each stored with its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket, Document
from orderops.aws.validation import Time
from orderops.frozen import Frozen


class Drill(Frozen):
    """A successful drill: the restored instance was opened, compared with the live database and deleted."""

    started: datetime
    moment: datetime
    """The point in time that was restored."""
    recovery: timedelta
    """Recovery time: from the command until the restored database was opened and compared."""
    lost: timedelta
    """Recovery point: how far the latest restorable time was behind the start of the drill."""
    source: str
    who: str
    tables: int
    rows: int
    findings: tuple[str, ...] = ()
    """Differences from the live database that writes since `moment` do not explain."""

    def to_dict(self) -> dict[str, Any]:
        """Return the drill as a JSON document, for `--json` and for the bucket."""
        return {
            "started": self.started.astimezone(UTC).isoformat(),
            "moment": self.moment.astimezone(UTC).isoformat(),
            "recovery_seconds": round(self.recovery.total_seconds(), 3),
            "lost_seconds": round(self.lost.total_seconds(), 3),
            "source": self.source,
            "who": self.who,
            "tables": self.tables,
            "rows": self.rows,
            "findings": list(self.findings),
        }

    @classmethod
    def from_document(cls, document: Document) -> Drill:
        """Read a document that `to_dict` wrote; raises BrokenDocument for any other document."""
        shape = document.parsed(DrillShape)
        try:
            recovery, lost = timedelta(seconds=shape.recovery_seconds), timedelta(seconds=shape.lost_seconds)
        except (OverflowError, ValueError):
            raise BrokenDocument(document.uri, "has durations that no drill takes") from None
        return cls(
            datetime.fromisoformat(shape.started),
            datetime.fromisoformat(shape.moment),
            recovery,
            lost,
            shape.source,
            shape.who,
            shape.tables,
            shape.rows,
            shape.findings,
        )


@dataclass(frozen=True)
class DrillShape:
    """The document of a drill, to validate it with."""

    started: Time
    moment: Time
    recovery_seconds: float
    lost_seconds: float
    source: str
    who: str
    tables: int
    rows: int
    findings: tuple[str, ...]


class Drills(Frozen):
    """The newest readable drill, and the newer documents that are no drill."""

    last: Drill | None = None
    unreadable: tuple[BrokenDocument, ...] = ()


def save_drill(bucket: Bucket, environment: str, drill: Drill) -> None:
    """Store a drill in the environment's bucket."""
    bucket.put(f"{prefix_of(environment)}{drill.started.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.json", drill.to_dict())


def drills(bucket: Bucket, environment: str) -> Drills:
    """Return the newest readable drill, and what hides whether there is a newer one."""
    unreadable: list[BrokenDocument] = []
    # Keys begin with the time, so the newest are last. Reading at most five keeps `status` fast
    # where someone has put other documents under the same prefix.
    for key in reversed(bucket.keys(prefix_of(environment))[-5:]):
        try:
            if document := bucket.read(key):
                return Drills(Drill.from_document(document), tuple(unreadable))
        except BrokenDocument as error:
            unreadable.append(error)
    return Drills(None, tuple(unreadable))


def prefix_of(environment: str) -> str:
    """Return the S3 prefix of an environment's drills."""
    return f"{environment}/drills/"
