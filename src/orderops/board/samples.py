"""Samples of the health of an environment: a document for each of the last 90 days in the account's bucket."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from orderops.aws.documents import BrokenDocument, Bucket, Document, DocumentChanged
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

DAYS = 90
ROUND = DAYS + 1
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


class HealthSample(Frozen):
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


class KeptSamples(Frozen):
    """The samples of the last 90 days in the order of their times, and the days that cannot be read."""

    samples: tuple[HealthSample, ...] = ()
    unreadable: tuple[BrokenDocument, ...] = ()


class DaySamples(Frozen):
    """The samples of one day; None for a day that nothing is known of."""

    day: date | None = None
    samples: tuple[HealthSample, ...] = ()


NOTHING = DaySamples()
Days = MutableMapping[date, tuple[HealthSample, ...]]


def keep_sample(bucket: Bucket, environment: str, sample: HealthSample) -> None:
    """Add a sample to its day, also while others add theirs. Replaces the day that is too old by now."""
    day = sample.at.astimezone(UTC).date()
    key = key_of(environment, day)
    for _ in range(TRIES):
        found = bucket.read(key)
        kept = _read(found) if found else NOTHING
        before = kept.samples if kept.day == day else ()
        if any(_repeats(sample, earlier) for earlier in before):
            return
        try:
            bucket.write(key, _document(day, (*before, sample)), over=found)
        except DocumentChanged:
            continue
        return
    raise OrderopsError(f"{bucket.uri(key)} was changed {TRIES} times meanwhile", "the next sample is kept as usual")


def kept_samples(bucket: Bucket, environment: str, now: datetime, known: Days | None = None) -> KeptSamples:
    """The samples of the last 90 days. `known` keeps days that are over, which need not be read again."""
    known = {} if known is None else known
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    there = set(bucket.keys(prefix_of(environment)))
    unread = [day for day in days if day not in known and key_of(environment, day) in there]
    read: dict[date, tuple[HealthSample, ...]] = {}
    unreadable = []
    with ThreadPoolExecutor(READERS) as pool:
        documents = pool.map(bucket.read, [key_of(environment, day) for day in unread])
        for day, document in zip(unread, documents, strict=True):
            try:
                kept = _read(document) if document else NOTHING
            except BrokenDocument as error:
                unreadable.append(error)
            else:
                # Any other is left from a round before.
                read[day] = kept.samples if kept.day == day else ()
    samples = tuple(sample for day in days for sample in known.get(day, read.get(day, ())))
    # A writer whose clock is behind may still add to yesterday.
    known.update({day: found for day, found in read.items() if day < today - timedelta(days=1)})
    return KeptSamples(samples, tuple(unreadable))


def key_of(environment: str, day: date) -> str:
    """The S3 key of a day. Days 91 days apart have the same, so that the new one replaces the old one.

    Nothing has to be deleted, which a pipeline may not.
    """
    return f"{prefix_of(environment)}{day.toordinal() % ROUND:02}.json"


def prefix_of(environment: str) -> str:
    """The S3 prefix of an environment's samples."""
    return f"{environment}/board/samples/"


def _repeats(sample: HealthSample, earlier: HealthSample) -> bool:
    return timedelta() <= sample.at - earlier.at < REPEATED and sample.states == earlier.states


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


def _read(document: Document) -> DaySamples:
    shape = document.parsed(DayShape)
    try:
        day = date.fromisoformat(shape.day)
        return DaySamples(day, tuple(_sample(day, line, shape.components) for line in shape.samples))
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
