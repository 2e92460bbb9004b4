"""Drills: restores made only to prove that they work, each with what it measured."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import Bucket


@dataclass(frozen=True)
class Drill:
    """A restore that was proven: opened, compared with the live database, and thrown away."""

    started: datetime
    moment: datetime
    """As of when the data were."""
    recovery: timedelta
    """From the command until the restored database had answered and was compared: the recovery time."""
    lost: timedelta
    """By how much the latest moment there was to go back to lay behind: the recovery point."""
    source: str
    who: str
    tables: int
    rows: int
    findings: tuple[str, ...] = ()
    """In what the copy was not as the live database, other than by what was written since."""

    def to_dict(self) -> dict[str, Any]:
        """For machines, and for the bucket."""
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
    def from_dict(cls, told: dict[str, Any]) -> Drill:
        """What `told` wrote."""
        return cls(
            datetime.fromisoformat(told["started"]),
            datetime.fromisoformat(told["moment"]),
            timedelta(seconds=told["recovery_seconds"]),
            timedelta(seconds=told["lost_seconds"]),
            told["source"],
            told["who"],
            told["tables"],
            told["rows"],
            tuple(told["findings"]),
        )


def save_drill(bucket: Bucket, environment: str, drill: Drill) -> None:
    """Put it on record."""
    bucket.put(f"{prefix_of(environment)}{drill.started.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.json", drill.to_dict())


def last_drill(bucket: Bucket, environment: str) -> Drill | None:
    """The latest that was proven; none where there never was one. What is no record of a drill is left out."""
    for key in reversed(bucket.keys(prefix_of(environment))[-5:]):
        with suppress(KeyError, TypeError, ValueError):
            if document := bucket.read(key):
                return Drill.from_dict(document.value)
    return None


def prefix_of(environment: str) -> str:
    """Where the drills of an environment lie."""
    return f"{environment}/drills/"
