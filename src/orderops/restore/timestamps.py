"""Which moment an operator means: a time with a zone, so long ago, before a migration, or the latest there is.

A moment is a whole second in UTC, as RDS restores to whole seconds. What could mean two moments is refused with both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orderops.errors import UsageError

AGO = re.compile(r"-\s*((?:\d+\s*(?:d|h|m|min|s)\s*)+)")
PART = re.compile(r"(\d+)\s*(d|h|min|m|s)")
BEFORE = re.compile(r"before\s+v?0*(\d+)", re.IGNORECASE)
NAMED_ZONE = re.compile(r"(.*\S)\s*(?:\[([A-Za-z_+\-/0-9]+)\]|\s([A-Z][A-Za-z_]*(?:/[A-Za-z_+\-0-9]+)+|UTC|GMT))")
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}
LONGEST = timedelta(days=35)
YEARS = range(1970, 9999)
"""Of these every clock on earth can tell the time; the last one of the calendar has moments that some cannot."""
READ, QUOTED = 100, 60
"""Characters that are read, and that a refusal repeats."""
FORMS = 'write --at 2026-11-10T08:00:00Z, --at "-15m", --at "before V7" or --at latest'


class TimestampForm(StrEnum):
    """How a moment was said."""

    TIME = "time"
    AGO = "ago"
    BEFORE = "before"
    LATEST = "latest"


@dataclass(frozen=True)
class RestoreTarget:
    """What was asked for, before any database was looked at."""

    text: str
    form: TimestampForm
    time: datetime | None = None
    ago: timedelta = timedelta()
    version: int = 0


def parse_timestamp(text: str, *, zone: tzinfo | None = None) -> RestoreTarget:
    """What `--at` says; `zone` is the operator's own, which only helps to explain a refusal.

    Raises UsageError for what names no moment, or more than one.
    """
    words = " ".join(text.split())
    if not words:
        raise UsageError("--at is empty", FORMS)
    if len(words) > READ or not words.isascii():  # other alphabets have digits as well
        raise UsageError(f"--at {_quoted(words)} is no moment", FORMS)
    if words.lower() == "latest":
        return RestoreTarget("latest", TimestampForm.LATEST)
    if told := AGO.fullmatch(words):
        seconds = sum(int(count) * UNITS[unit] for count, unit in PART.findall(told[1]))
        if seconds > LONGEST.total_seconds():
            raise UsageError(f"--at {_quoted(words)} is longer ago than RDS keeps backups: {LONGEST.days} days", FORMS)
        return RestoreTarget(words, TimestampForm.AGO, ago=timedelta(seconds=seconds))
    if told := BEFORE.fullmatch(words):
        return RestoreTarget(f"before V{int(told[1])}", TimestampForm.BEFORE, version=int(told[1]))
    return RestoreTarget(words, TimestampForm.TIME, time=_time(words, zone))


def utc_and_local(moment: datetime, zone: tzinfo | None = None) -> str:
    """A moment in UTC and by the operator's own clock."""
    local = moment.astimezone(zone)
    if local.utcoffset() == timedelta():
        return utc(moment)
    return f"{utc(moment)} ({local:%Y-%m-%d %H:%M:%S} {_zone_name(local)})"


def utc(moment: datetime) -> str:
    """A moment as a command takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(words: str, zone: tzinfo | None) -> datetime:
    named = NAMED_ZONE.fullmatch(words)
    text, name = (named[1], named[2] or named[3]) if named else (words, "")
    if text.isdigit() or not re.search(r"\d[T ]\d", text):
        what = "has no time of day" if re.fullmatch(r"\d{4}-?\d\d-?\d\d", text) else "is no moment"
        raise UsageError(f"--at {_quoted(words)} {what}", FORMS)
    try:
        told = datetime.fromisoformat(text.replace(" ", "T", 1))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--at {_quoted(words)} is no moment: {_why(error)}", FORMS) from None
    if told.year not in YEARS:
        raise UsageError(f"--at {_quoted(words)} is no moment: no database is of the year {told.year}", FORMS)
    if name:
        told = _in_zone(words, told, name)
    if told.tzinfo is None:
        raise _without_zone(words, told, zone)
    return _whole(words, told.astimezone(UTC))


def _quoted(words: str) -> str:
    """What was typed, as a refusal repeats it: not for ever, and without what a terminal would obey."""
    plain = "".join(each if each.isprintable() else "?" for each in words)
    return plain if len(plain) <= QUOTED else plain[: QUOTED - 1] + "…"


def _why(error: Exception) -> str:
    said = str(error)
    if "offset" in said:
        return "an offset is of less than 24 hours"
    return "it is not written as ISO 8601" if said.startswith("Invalid isoformat") else said


def _in_zone(words: str, told: datetime, name: str) -> datetime:
    if told.tzinfo is not None:
        raise UsageError(f"--at {_quoted(words)} has two zones", FORMS)
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last for America alone, which is a folder
        what = f"no zone is named {_quoted(name)}"
        raise UsageError(f"--at {_quoted(words)}: {what}", "write its offset: +11:00, or Z for UTC") from None
    readings = _readings(told, zone)
    if len(readings) != 1:
        raise _ambiguous(words, readings, name)
    return readings[0]


def _without_zone(words: str, told: datetime, zone: tzinfo | None) -> UsageError:
    """Both readings: in UTC, and by the clock of whoever typed it."""
    local = _readings(told, zone)
    lines = [f"in UTC: --at {told:%Y-%m-%dT%H:%M:%S}Z"]
    lines += [
        f"by the clock here: --at {_offset_form(reading)}, which is {utc(reading)}"
        for reading in local
        if reading.utcoffset() != timedelta()
    ]
    if not local:
        lines.append("by the clock here there is no such time: the hour was left out")
    return UsageError(f"--at {_quoted(words)} has no zone", "\n".join(lines))


def _ambiguous(words: str, readings: list[datetime], name: str) -> UsageError:
    if not readings:
        return UsageError(f"--at {_quoted(words)}: in {name} there was no such time, the hour was left out", FORMS)
    lines = [f"--at {_offset_form(reading)}, which is {utc(reading)}" for reading in readings]
    return UsageError(f"--at {_quoted(words)} was twice in {name}, when the clocks went back", "\n".join(lines))


def _readings(told: datetime, zone: tzinfo | None) -> list[datetime]:
    """The moments at which a clock in that zone showed this: one, two in an hour that came twice, or none."""
    found: list[datetime] = []
    for fold in (0, 1):
        naive = told.replace(fold=fold)
        local = naive.replace(tzinfo=zone) if zone else naive.astimezone()
        fixed = local.astimezone(UTC).astimezone(zone)
        if fixed.replace(tzinfo=None, fold=0) == told.replace(fold=0) and fixed.astimezone(UTC) not in found:
            found.append(fixed.astimezone(UTC))
    return [each.astimezone(zone) for each in found]


def _whole(words: str, moment: datetime) -> datetime:
    if not moment.microsecond:
        return moment
    before = moment.replace(microsecond=0)
    raise UsageError(
        f"--at {_quoted(words)} has a fraction of a second, and RDS restores to whole seconds",
        f"with less: --at {utc(before)}; with more: --at {utc(before + timedelta(seconds=1))}",
    )


def _offset_form(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _zone_name(local: datetime) -> str:
    name = local.tzname() or ""
    return name if name.isalpha() else local.strftime("%z")
