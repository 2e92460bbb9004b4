"""The last changes of a resource, from LookupEvents: management events of 90 days, without a trail and at no cost.

CloudTrail user guide, "Viewing recent management events with the AWS CLI": one attribute a call, two calls a second in
each account and region, and an event appears up to 15 minutes after its call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from orderops.aws.client import Aws
from orderops.errors import AwsError
from orderops.frozen import Frozen
from orderops.trail.calls import AT_HOME, HOME_REGIONS
from orderops.trail.event import TrailEvent, read_event
from orderops.trail.subject import TrailSubject

PAUSE = 0.5
"""Seconds between two calls: AWS allows two a second."""
LOOKUPS = 10
"""Resources that are looked up. The calls for more of them would take a minute."""
PAGES = 2
"""Pages of events of one name that are read, of 50 each."""
DELAY = timedelta(minutes=15)
KEPT = timedelta(days=90)


class TrailState(StrEnum):
    """What became of a lookup."""

    FOUND = "found"
    NOT_YET = "not yet"
    """No event, and one may still come."""
    NONE = "none"
    """No event, and none will come: the change is older than CloudTrail's record, or AWS's own."""
    NOT_ALLOWED = "not allowed"
    UNAVAILABLE = "unavailable"
    MORE = "more"
    """Not looked up, or not to the end: there is more to search than a command searches."""


class TrailAnswer(Frozen):
    """The last changes of a resource, the newest first, and what became of the lookup."""

    state: TrailState
    changes: tuple[TrailEvent, ...] = ()
    problem: str = ""
    """AWS's message, where the lookup failed."""
    certain: bool = True
    """Whether the events name the resource itself; if not, they name its parent."""

    @property
    def last(self) -> TrailEvent | None:
        """The newest change."""
        return self.changes[0] if self.changes else None

    @property
    def words(self) -> str:
        """The answer in words, for the end of a line."""
        match self.state:
            case TrailState.FOUND:
                event = self.changes[0]
                return f"{'' if self.certain else 'perhaps '}{event.by}, {event.event} at {event.time:%Y-%m-%d %H:%MZ}"
            case TrailState.NOT_YET:
                return "no event found yet (CloudTrail takes up to 15 minutes, and keeps 90 days)"
            case TrailState.NONE:
                return "no event in CloudTrail: AWS's own change, or one of more than 90 days ago"
            case TrailState.NOT_ALLOWED:
                return "unknown: these credentials may not call cloudtrail:LookupEvents"
            case TrailState.UNAVAILABLE:
                return f"unknown: {self.problem}"
        return "not looked up: CloudTrail has more events than one command searches"


@dataclass
class Trail:
    """CloudTrail, as one command reads it: what was read is kept, and after an error no more is asked."""

    aws: Aws
    pause: float = PAUSE
    lookups: int = LOOKUPS
    quick: bool = False
    """Whether one call has to do for a resource: events that do not list it are not searched for by their names."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    _read: dict[tuple[str, str, str], _Events] = field(default_factory=dict)
    _failed: TrailAnswer | None = None
    _looked_up: set[tuple[str, ...]] = field(default_factory=set)
    _next: float = 0.0
    _elsewhere: dict[str, Aws] = field(default_factory=dict)

    def last_changes(self, subject: TrailSubject, *, since: datetime | None = None) -> TrailAnswer:
        """Find the newest events that changed a resource. Never raises AwsError.

        With `since`, the change is known to be at least that old: after CloudTrail's delay, no event is an answer.
        """
        if self._failed:
            return self._failed
        resource = (subject.kind, *subject.names, *subject.parents)
        if resource not in self._looked_up and len(self._looked_up) >= self.lookups:
            return TrailAnswer(TrailState.MORE)
        self._looked_up.add(resource)
        try:
            return self._search(subject, since)
        except AwsError as error:
            state = TrailState.NOT_ALLOWED if error.denied else TrailState.UNAVAILABLE
            self._failed = TrailAnswer(state, problem=error.message)
            return self._failed

    def _search(self, subject: TrailSubject, since: datetime | None) -> TrailAnswer:
        for name in subject.listed_as:
            # One page: reads are listed with a resource as well, and may fill any number of them.
            if found := _changing(subject, [self._events(subject, "ResourceName", name, 1)]):
                return TrailAnswer(TrailState.FOUND, found)
            if self.quick:
                return TrailAnswer(TrailState.MORE)
        named = [self._events(subject, "EventName", name, PAGES) for name in subject.events]
        if found := _changing(subject, named):
            return TrailAnswer(TrailState.FOUND, found, certain=bool(subject.names))
        if any(events.cut for events in named):
            return TrailAnswer(TrailState.MORE)
        late = since is not None and self.now() - since > DELAY
        return TrailAnswer(TrailState.NONE if late else TrailState.NOT_YET)

    def _events(self, subject: TrailSubject, key: str, value: str, pages: int) -> _Events:
        region = self._region_of(subject)
        known = self._read.get((region, key, value))
        if known is None:
            known = self._read[region, key, value] = self._lookup(region, key, value, pages)
        return known

    def _lookup(self, region: str, key: str, value: str, pages: int) -> _Events:
        aws = self._aws_in(region)
        parameters: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}],
            "StartTime": self.now() - KEPT,
            "MaxResults": 50,
        }
        events: list[TrailEvent] = []
        for _ in range(pages):
            self._keep_pace()
            page = aws.cloudtrail.lookup_events(**parameters)
            events += [event for raw in page.get("Events") or () if (event := read_event(raw))]
            if not page.get("NextToken"):
                return _Events(events)
            parameters["NextToken"] = page["NextToken"]
        return _Events(events, cut=True)

    def _aws_in(self, region: str) -> Aws:
        if region == self.aws.region:
            return self.aws
        if region not in self._elsewhere:
            self._elsewhere[region] = self.aws.in_region(region)
        return self._elsewhere[region]

    def _keep_pace(self) -> None:
        wait = self._next - time.monotonic()
        if wait > 0:
            self.sleep(wait)
        self._next = time.monotonic() + self.pause

    def _region_of(self, subject: TrailSubject) -> str:
        if subject.kind.partition("-")[0] in AT_HOME:
            return HOME_REGIONS.get(self.aws.partition, self.aws.region)
        return self.aws.region


class _Events(Frozen):
    events: Sequence[TrailEvent]
    cut: bool = False
    """Whether CloudTrail has older ones too."""


def _changing(subject: TrailSubject, read: Iterable[_Events]) -> tuple[TrailEvent, ...]:
    """The events that changed a resource, the newest first."""
    found = {
        event.event_id: event for events in read for event in events.events if subject.is_changed_by(event)
    }.values()
    return tuple(sorted(found, key=lambda event: event.time, reverse=True))
