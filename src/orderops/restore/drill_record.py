"""Drills: restores made only to prove that restoring works, each stored with its measurements."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import Bucket


@dataclass(frozen=True)
class Drill:
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
    def from_dict(cls, document: dict[str, Any]) -> Drill:
        """Read a document that `to_dict` wrote; raises KeyError, TypeError or ValueError for any other document."""
        return cls(
            datetime.fromisoformat(document["started"]),
            datetime.fromisoformat(document["moment"]),
            timedelta(seconds=document["recovery_seconds"]),
            timedelta(seconds=document["lost_seconds"]),
            document["source"],
            document["who"],
            document["tables"],
            document["rows"],
            tuple(document["findings"]),
        )


def save_drill(bucket: Bucket, environment: str, drill: Drill) -> None:
    """Store a drill in the environment's bucket."""
    bucket.put(f"{prefix_of(environment)}{drill.started.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.json", drill.to_dict())


def last_drill(bucket: Bucket, environment: str) -> Drill | None:
    """Return the newest readable drill, or None."""
    # Keys begin with the time, so the newest are last. Reading at most five keeps `status` fast
    # where someone has put other documents under the same prefix.
    for key in reversed(bucket.keys(prefix_of(environment))[-5:]):
        with suppress(KeyError, TypeError, ValueError):
            if document := bucket.read(key):
                return Drill.from_dict(document.value)
    return None


def prefix_of(environment: str) -> str:
    """Return the S3 prefix of an environment's drills."""
    return f"{environment}/drills/"
