"""Samples of the health of an environment, one document for each day in the account's bucket, kept for 90 days."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from orderops.aws.documents import BrokenDocument, Bucket, Document, DocumentChanged
from orderops.errors import OrderopsError

DAYS = 90
READERS = 16
# Of several writers, one succeeds in every round.
TRIES = 20
REPEATED = timedelta(seconds=60)
"""Time within which an equal sample says nothing new."""
LETTERS: Mapping[str, str] = {
    "ok": "o",
    "healthy": "h",
    "delayed": "l",
    "starting": "s",
    "degraded": "d",
    "down": "x",
    "absent": "a",
    "unknown": "u",
}
STATES = {letter: state for state, letter in LETTERS.items()}
UNSEEN = "-"
"""A component that the sample does not have."""
PARTS = ("orders", "pages")
LINE = re.compile(r"(\d\d:\d\d:\d\d) ([a-z]) ([a-z]{2}) ([a-z-]*)")


@dataclass(frozen=True)
class HealthSample:
    """The states of an environment at one time."""

    at: datetime
    verdict: str
    parts: Mapping[str, str]
    """What customers use, by its name: PARTS."""
    components: Mapping[str, str]

    @property
    def states(self) -> tuple[object, ...]:
        """All but the time."""
        return self.verdict, dict(self.parts), dict(self.components)


@dataclass(frozen=True)
class DayShape:
    """The document of a day: a line for each sample, with a letter for each component in their order."""

    day: str
    components: tuple[str, ...]
    samples: tuple[str, ...]


@dataclass(frozen=True)
class KeptSamples:
    """The samples of the last 90 days in the order of their times, and the days that cannot be read."""

    samples: tuple[HealthSample, ...] = ()
    unreadable: tuple[BrokenDocument, ...] = ()


Days = MutableMapping[str, tuple[HealthSample, ...]]


def keep_sample(bucket: Bucket, environment: str, sample: HealthSample) -> bool:
    """Add a sample to its day, also while others add theirs. Returns whether it is the first of the day."""
    day = sample.at.astimezone(UTC).date()
    key = f"{prefix_of(environment)}{day.isoformat()}.json"
    for _ in range(TRIES):
        found = bucket.read(key)
        before = _samples(found) if found else ()
        if any(_repeats(sample, earlier) for earlier in before):
            return False
        try:
            bucket.write(key, _document(day, (*before, sample)), over=found)
        except DocumentChanged:
            continue
        return found is None
    raise OrderopsError(f"{bucket.uri(key)} was changed {TRIES} times meanwhile", "the next sample is kept as usual")


def delete_older(bucket: Bucket, environment: str, today: date) -> None:
    """Delete the samples of more than 90 days ago."""
    first = _first_day(today).isoformat()
    for key in bucket.keys(prefix_of(environment)):
        if _day_of(key) < first:
            bucket.remove(key)


def kept_samples(bucket: Bucket, environment: str, now: datetime, known: Days | None = None) -> KeptSamples:
    """The samples of the last 90 days. `known` keeps days that are over, which need not be read again."""
    known = {} if known is None else known
    first, today = _first_day(now.date()).isoformat(), now.date().isoformat()
    keys = {key: _day_of(key) for key in bucket.keys(prefix_of(environment)) if first <= _day_of(key) <= today}
    unread = [key for key, day in keys.items() if day not in known]
    read: dict[str, tuple[HealthSample, ...]] = {}
    unreadable = []
    with ThreadPoolExecutor(READERS) as pool:
        for key, document in zip(unread, pool.map(bucket.read, unread), strict=True):
            try:
                read[keys[key]] = _samples(document) if document else ()
            except BrokenDocument as error:
                unreadable.append(error)
    whole = {day: known.get(day, read.get(day, ())) for day in keys.values()}
    # A writer whose clock is behind may still add to yesterday.
    closed = (now - timedelta(days=1)).date().isoformat()
    known.update({day: samples for day, samples in read.items() if day < closed})
    return KeptSamples(tuple(sample for day in sorted(whole) for sample in whole[day]), tuple(unreadable))


def prefix_of(environment: str) -> str:
    """The S3 prefix of an environment's samples."""
    return f"{environment}/board/samples/"


def _repeats(sample: HealthSample, earlier: HealthSample) -> bool:
    return timedelta() <= sample.at - earlier.at < REPEATED and sample.states == earlier.states


def _first_day(today: date) -> date:
    return today - timedelta(days=DAYS - 1)


def _day_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _document(day: date, samples: tuple[HealthSample, ...]) -> dict[str, object]:
    names = list(dict.fromkeys(name for sample in samples for name in sample.components))
    lines = sorted(_line(sample, names) for sample in samples)
    return {"form": 1, "day": day.isoformat(), "components": names, "samples": lines}


def _line(sample: HealthSample, names: list[str]) -> str:
    parts = "".join(_letter(sample.parts.get(part, "unknown")) for part in PARTS)
    components = "".join(_letter(sample.components[n]) if n in sample.components else UNSEEN for n in names)
    return f"{sample.at.astimezone(UTC):%H:%M:%S} {_letter(sample.verdict)} {parts} {components}"


def _letter(state: str) -> str:
    return LETTERS.get(state, LETTERS["unknown"])


def _samples(document: Document) -> tuple[HealthSample, ...]:
    shape = document.parsed(DayShape)
    try:
        day = date.fromisoformat(shape.day)
        return tuple(_sample(day, line, shape.components) for line in shape.samples)
    except ValueError:
        raise BrokenDocument(document.uri, "has a day or a sample that orderops does not write") from None


def _sample(day: date, line: str, names: tuple[str, ...]) -> HealthSample:
    match = LINE.fullmatch(line)
    if match is None or len(match[4]) != len(names):
        raise ValueError(line)
    at = datetime.combine(day, time.fromisoformat(match[1]), UTC)
    seen = zip(names, match[4], strict=True)
    return HealthSample(
        at,
        _state(match[2]),
        {part: _state(letter) for part, letter in zip(PARTS, match[3], strict=True)},
        {name: _state(letter) for name, letter in seen if letter != UNSEEN},
    )


def _state(letter: str) -> str:
    # A newer orderops may know more states.
    return STATES.get(letter, "unknown")
