"""What the two boards show, as plain data: one for customers, and one with details for engineers.

The view for customers is made of states, shares, titles and texts that operators wrote for customers, and of nothing
else. Whatever names a part of the system belongs into the view for engineers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from orderops.board.availability import DayShare, available, in_percent, shares
from orderops.board.charts import KINDS, ChartView, chart, hour_labels
from orderops.board.customer import part_words, state_of, words_of
from orderops.board.incidents import FoundIncidents, Incident
from orderops.board.reading import BoardReading
from orderops.board.samples import DAYS, PARTS, HealthSample
from orderops.frozen import Frozen
from orderops.runs.history import in_seconds
from orderops.text.durations import in_words
from orderops.text.lists import counted
from orderops.text.outside import plain

LONGEST = 600
SAFE = ("http://", "https://")
TITLES: Mapping[str, str] = {"orders": "Orders", "pages": "Pages", "everything": "Orders and pages"}
STATES: Mapping[str, str] = {"healthy": "ok", "degraded": "delayed", "down": "down", "absent": "absent"}
BAR = 100
SMALLEST = 18
"""Height in percent of what lasted shortest, so that an outage of a minute can be seen."""


class BarView(Frozen):
    """A day: the heights of its outage and its delay from below, in percent, and the day in words."""

    x: str
    state: str
    down: int
    impaired: int
    title: str


class PartView(Frozen):
    """What customers use: its state now, and its last 90 days."""

    key: str
    name: str
    state: str
    words: str
    available: str
    summary: str
    bars: tuple[BarView, ...]
    faults: tuple[str, ...]


class UpdateView(Frozen):
    """A text of an incident."""

    at: str
    paragraphs: tuple[str, ...]


class IncidentView(Frozen):
    """An incident, its newest text first."""

    title: str
    affects: str
    open: bool
    when: str
    updates: tuple[UpdateView, ...]


class CustomerBoard(Frozen):
    """The board for customers."""

    title: str
    state: str
    words: str
    at: str
    at_iso: str
    parts: tuple[PartView, ...]
    incidents: tuple[IncidentView, ...]
    no_incident: str
    """What is said where none is shown."""


class ComponentView(Frozen):
    """A component, with its availability."""

    name: str
    state: str
    detail: str
    waits_on: str
    priority: str
    available: str
    is_cause: bool


class ServiceCharts(Frozen):
    """The charts of a service."""

    service: str
    charts: tuple[ChartView, ...]


class EngineerBoard(Frozen):
    """The details for engineers."""

    environment: str
    verdict: str
    state: str
    cause: str
    facts: tuple[tuple[str, str], ...]
    """Pairs of a name and a text."""
    urls: tuple[tuple[str, str], ...]
    components: tuple[ComponentView, ...]
    whole: PartView
    services: tuple[ServiceCharts, ...]
    hours: tuple[tuple[str, str], ...]
    marks: tuple[tuple[str, str, str, str], ...]
    """Time, kind, what and by whom."""
    problems: tuple[str, ...]


def customer_view(reading: BoardReading) -> CustomerBoard:
    """The board for customers."""
    parts, found = reading.parts, reading.incidents or FoundIncidents()
    is_open = bool(found.open)
    return CustomerBoard(
        title=plain(reading.title),
        state=state_of(parts, incident=is_open),
        words=words_of(parts, incident=is_open),
        at=_moment(reading.at),
        at_iso=in_seconds(reading.at),
        parts=tuple(_part(reading, part, parts[part]) for part in PARTS),
        incidents=tuple(_incident(incident) for incident in found.shown(reading.at)),
        no_incident=_no_incident(reading),
    )


def engineer_view(reading: BoardReading) -> EngineerBoard:
    """The details for engineers."""
    health: Mapping[str, Any] = reading.health or {}
    verdict = str(health.get("verdict", "not known"))
    day = reading.series
    days = shares(reading.kept.samples, lambda sample: sample.verdict, reading.at, DAYS)
    return EngineerBoard(
        environment=plain(reading.environment),
        verdict=verdict,
        state=STATES.get(verdict, "unknown"),
        cause=_text(health.get("cause")),
        facts=tuple(_facts(health, reading.at)),
        urls=tuple((_text(name), _text(url)) for name, url in health.get("urls", {}).items() if url.startswith(SAFE)),
        components=tuple(_components(reading, health)),
        whole=_days_view("environment", "Environment", STATES.get(verdict, "unknown"), verdict, days),
        services=tuple(_charts(reading)),
        hours=tuple(hour_labels(day)) if day else (),
        marks=tuple(
            (
                f"{mark.at.astimezone(UTC):%H:%M}",
                mark.kind,
                _text(mark.what),
                _text(f"{_short(mark.who)}, {mark.outcome}"),
            )
            for mark in reversed(reading.marks)
        ),
        problems=tuple(_text(problem) for problem in reading.problems),
    )


def _part(reading: BoardReading, part: str, state: str) -> PartView:
    days = shares(reading.kept.samples, lambda sample: sample.parts.get(part), reading.at, DAYS)
    return _days_view(part, TITLES[part], state, part_words(part, state), days)


def _days_view(key: str, name: str, state: str, words: str, days: Sequence[DayShare]) -> PartView:
    share = available(days)
    faults = tuple(f"{_day(day.day)}: {_day_words(day)}" for day in reversed(days) if day.impaired or day.down)
    return PartView(
        key=key,
        name=name,
        state=state,
        words=words,
        available=_available(days, share),
        summary=_summary(days, share),
        bars=tuple(_bar(index, day, len(days)) for index, day in enumerate(days)),
        faults=faults,
    )


def _available(days: Sequence[DayShare], share: float | None) -> str:
    """The share for the page, with the number of days that it is of, unless it is of all."""
    if share is None:
        return ""
    seen = sum(bool(day.state) for day in days)
    return f"{in_percent(share)} available" + (f", {counted(seen, 'day')} recorded" if seen < len(days) else "")


def _summary(days: Sequence[DayShare], share: float | None) -> str:
    """The bars in a sentence."""
    seen = [day for day in days if day.state]
    if share is None:
        return f"Nothing was recorded in the last {len(days)} days."
    faulty = [day for day in seen if day.state != "ok"]
    faults = f"faults on {counted(len(faulty), 'day')}" if faulty else "no fault"
    recorded = "" if len(seen) == len(days) else f" Recorded on {len(seen)} of these days."
    return f"{in_percent(share)} available in the last {len(days)} days, {faults}.{recorded}"


def _bar(index: int, day: DayShare, count: int) -> BarView:
    down = _height(day.down / day.seen if day.seen else 0.0)
    impaired = min(BAR - down, _height(day.impaired / day.seen if day.seen else 0.0))
    return BarView(
        f"{100 * index / count:.3f}%", day.state or "none", down, impaired, f"{_day(day.day)}: {_day_words(day)}"
    )


def _height(share: float) -> int:
    return max(SMALLEST, round(BAR * share)) if share else 0


def _day_words(day: DayShare) -> str:
    if not day.state:
        return "no data"
    lasted = [("not available", day.down), ("delayed", day.impaired)]
    return ", ".join(f"{what} for {in_words(time)}" for what, time in lasted if time) or "no fault"


def _no_incident(reading: BoardReading) -> str:
    if reading.incidents is None:
        return "Incidents are not known at the moment."
    last = next((datetime.fromisoformat(it.closed) for it in reading.incidents.incidents if it.closed), None)
    return "No incident in the last 14 days." + (f" The last one ended on {_day(last)}." if last else "")


def _incident(incident: Incident) -> IncidentView:
    began = _moment(datetime.fromisoformat(incident.opened))
    until = f" to {_moment(datetime.fromisoformat(incident.closed))}" if incident.closed else ""
    return IncidentView(
        title=plain(incident.title),
        affects=TITLES.get(incident.affects, TITLES["everything"]),
        open=not incident.closed,
        when=f"{began}{until}" if until else f"since {began}",
        updates=tuple(
            UpdateView(
                _moment(datetime.fromisoformat(update.at)),
                tuple(plain(line, 2000) for line in update.text.split("\n") if line.strip()),
            )
            for update in reversed(incident.updates)
        ),
    )


def _facts(health: Mapping[str, Any], now: datetime) -> Iterable[tuple[str, str]]:
    """What an engineer wants to know beside the cause; keys that this health does not have are left out."""
    if health.get("priority"):
        yield "Priority", _text(health["priority"])
    if since := health.get("since"):
        moment = datetime.fromisoformat(since)
        yield "Since", f"{_moment(moment)}, {in_words(max(now - moment, timedelta()))} ago"
    if change := health.get("last_change"):
        tool = f" with {change['tool']}" if change.get("tool") else ""
        yield "Last change before", _text(f"{change.get('at')}: {change.get('what')}, by {change.get('who')}{tool}")
    if health.get("next"):
        yield "Next", _text(health["next"])
    for run in health.get("runs", ()):
        yield "Under way", _text(f"{run['command']}, by {run['who']} on {run['host']}")
    for release in health.get("releases", ()):
        name = release.get("version") or release.get("digest") or release.get("image")
        yield f"Release of {plain(release['service'])}", _text(f"{name}, revision {release['revision']}")
    for change in health.get("pending", ()):
        yield f"Pending at {plain(change['name'])}", _text(f"{change['what']}, waits for {change['until']}")
    for note in health.get("notes", ()):
        yield f"To do, {plain(note['priority'])}", _text(f"{note['what']}; {note['next']}")
    if health.get("denied"):
        yield "Not allowed to read", _text(", ".join(health["denied"]))


def _components(reading: BoardReading, health: Mapping[str, Any]) -> Iterable[ComponentView]:
    cause = health.get("cause_component")
    for part in health.get("components", ()):
        name = str(part["name"])
        share = available(shares(reading.kept.samples, partial(_component_state, name=name), reading.at, DAYS))
        yield ComponentView(
            plain(name),
            str(part["state"]),
            _text(part["detail"]),
            _text(part.get("waits_on")),
            _text(part.get("priority")),
            in_percent(share) if share is not None else "",
            name == cause,
        )


def _component_state(sample: HealthSample, name: str) -> str | None:
    return sample.components.get(name)


def _charts(reading: BoardReading) -> Iterable[ServiceCharts]:
    for service in reading.series.services if reading.series else ():
        charts = [
            chart(kind, service.service, values, service.values.get(kind.with_limit), reading.series, reading.marks)
            for kind in KINDS
            if reading.series and (values := service.values.get(kind.metric)) is not None
        ]
        yield ServiceCharts(plain(service.service), tuple(charts))


def _short(who: str) -> str:
    """The name at the end of an ARN."""
    return who.rpartition("/")[2] or who


def _text(value: object) -> str:
    return "" if value is None else plain(str(value), LONGEST)


def _moment(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{_day(at)}, {at:%H:%M} UTC"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
