"""The record of a fire drill: written before the alarm is set, and ended once the alarm is set back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket
from orderops.aws.validation import Time
from orderops.frozen import Frozen
from orderops.runs.history import timestamp

# Each drill is read by `alerts check`; an unfinished one is among the newest.
MOST_READ = 20


@dataclass(frozen=True)
class EndReached:
    """An end of a route: a confirmed receiver, or one that has not confirmed."""

    topic: str
    end: str
    confirmed: bool
    accepted_seconds: float | None = None
    """From the change of the alarm until SNS accepted its message, as the alarm's history says."""
    delivered_seconds: float | None = None
    """Until SNS had delivered to every confirmed receiver of the topic, as its metrics say."""

    @property
    def reached(self) -> bool:
        """Whether a message certainly reached it."""
        return self.confirmed and self.delivered_seconds is not None


@dataclass(frozen=True)
class FireDrill:
    """A fire drill; `ended` is None until its alarm is set back."""

    run: str
    priority: str
    alarm: str
    composite: bool
    started: Time
    who: str
    ended: Time | None = None
    ends: tuple[EndReached, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every end was reached."""
        return bool(self.ends) and all(end.reached for end in self.ends)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


def save(bucket: Bucket, environment: str, drill: FireDrill) -> None:
    """Write a drill, over what was written of it before."""
    bucket.put(_key(environment, drill), drill.to_dict())


class FireDrills(Frozen):
    """The last drills, newest first, and the documents among them that are none."""

    drills: tuple[FireDrill, ...] = ()
    unreadable: tuple[BrokenDocument, ...] = ()
    runs: tuple[str, ...] = ()
    """The runs that hold the lease: a drill of one is under way."""

    @property
    def unfinished(self) -> list[FireDrill]:
        """Those whose alarms are not set back."""
        return [drill for drill in self.drills if drill.ended is None]

    @property
    def under_way(self) -> list[FireDrill]:
        """The unfinished ones that still run."""
        return [drill for drill in self.unfinished if drill.run in self.runs]

    @property
    def left(self) -> list[FireDrill]:
        """The unfinished ones that were killed."""
        return [drill for drill in self.unfinished if drill.run not in self.runs]


def fire_drills(bucket: Bucket, environment: str, runs: Iterable[str] = ()) -> FireDrills:
    """Read the last drills. `runs` hold the lease."""
    drills: list[FireDrill] = []
    unreadable: list[BrokenDocument] = []
    for key in reversed(bucket.keys(_prefix(environment))[-MOST_READ:]):
        try:
            if document := bucket.read(key):
                drills.append(document.parsed(FireDrill))
        except BrokenDocument as error:
            unreadable.append(error)
    return FireDrills(tuple(drills), tuple(unreadable), tuple(runs))


def end(bucket: Bucket, environment: str, drill: FireDrill, now: datetime) -> FireDrill:
    """Note that the alarm is set back."""
    ended = replace(drill, ended=timestamp(now))
    save(bucket, environment, ended)
    return ended


def begun(run: str, priority: str, alarm: str, who: str, now: datetime, *, composite: bool) -> FireDrill:
    """A drill that begins now."""
    return FireDrill(run, priority, alarm, composite, timestamp(now), who)


def _prefix(environment: str) -> str:
    return f"{environment}/fire-drills/"


def _key(environment: str, drill: FireDrill) -> str:
    return f"{_prefix(environment)}{drill.started.replace(':', '')}-{drill.run}.json"
