"""The value of `--at`: a time with a zone, a duration ago, the second before a migration, or the latest possible time.

All times become whole seconds in UTC, because RDS restores to whole seconds. A time that can be read in two ways is an
error that shows both readings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orderops.aws.validation import YEARS
from orderops.errors import UsageError
from orderops.frozen import Frozen

AGO = re.compile(r"-\s*((?:\d+\s*(?:d|h|m|min|s)\s*)+)")
PART = re.compile(r"(\d+)\s*(d|h|min|m|s)")
BEFORE = re.compile(r"before\s+v?0*(\d+)", re.IGNORECASE)
NAMED_ZONE = re.compile(r"(.*\S)\s*(?:\[([A-Za-z_+\-/0-9]+)\]|\s([A-Z][A-Za-z_]*(?:/[A-Za-z_+\-0-9]+)+|UTC|GMT))")
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}
# The longest BackupRetentionPeriod that RDS accepts.
MAX_AGO = timedelta(days=35)
MAX_LENGTH, MAX_QUOTED = 100, 60
"""Characters that are parsed, and that an error repeats."""
FORMS = 'pass --at 2026-11-10T08:00:00Z, --at "-15m", --at "before V7" or --at latest'


class TimestampForm(StrEnum):
    """The form in which `--at` was given."""

    TIME = "time"
    AGO = "ago"
    BEFORE = "before"
    LATEST = "latest"


class RestoreTarget(Frozen):
    """The parsed `--at`. The forms other than TIME become a time only once the database is known."""

    text: str
    form: TimestampForm
    time: datetime | None = None
    ago: timedelta = timedelta()
    version: int = 0


def parse_timestamp(text: str, *, zone: tzinfo | None = None) -> RestoreTarget:
    """Parse the value of `--at`. `zone` is the operator's time zone, used only to explain errors.

    Raises UsageError for text that is not a time, or that can mean two.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("--at is empty", FORMS)
    # Regular expressions and int() also accept the digits of other alphabets.
    if len(text) > MAX_LENGTH or not text.isascii():
        raise UsageError(f"--at {_quoted(text)} is not a time", FORMS)
    if text.lower() == "latest":
        return RestoreTarget("latest", TimestampForm.LATEST)
    if match := AGO.fullmatch(text):
        seconds = sum(int(count) * UNITS[unit] for count, unit in PART.findall(match[1]))
        if seconds > MAX_AGO.total_seconds():
            raise UsageError(
                f"--at {_quoted(text)} is further back than the {MAX_AGO.days} days that RDS keeps backups", FORMS
            )
        return RestoreTarget(text, TimestampForm.AGO, ago=timedelta(seconds=seconds))
    if match := BEFORE.fullmatch(text):
        return RestoreTarget(f"before V{int(match[1])}", TimestampForm.BEFORE, version=int(match[1]))
    return RestoreTarget(text, TimestampForm.TIME, time=_time(text, zone))


def utc_and_local(moment: datetime, zone: tzinfo | None = None) -> str:
    """Return a time in UTC and, if it differs, in the operator's zone."""
    local = moment.astimezone(zone)
    if local.utcoffset() == timedelta():
        return utc(moment)
    return f"{utc(moment)} ({local:%Y-%m-%d %H:%M:%S} {_zone_name(local)})"


def utc(moment: datetime) -> str:
    """Return a time in the form that `--at` accepts."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str, zone: tzinfo | None) -> datetime:
    with_zone_name = NAMED_ZONE.fullmatch(text)
    bare, zone_name = (with_zone_name[1], with_zone_name[2] or with_zone_name[3]) if with_zone_name else (text, "")
    # fromisoformat accepts a date alone, as midnight, which the operator may not mean.
    if bare.isdigit() or not re.search(r"\d[T ]\d", bare):
        problem = "has no time of day" if re.fullmatch(r"\d{4}-?\d\d-?\d\d", bare) else "is not a time"
        raise UsageError(f"--at {_quoted(text)} {problem}", FORMS)
    try:
        moment = datetime.fromisoformat(bare.replace(" ", "T", 1))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--at {_quoted(text)} is not a time: {_reason(error)}", FORMS) from None
    if moment.year not in YEARS:
        raise UsageError(
            f"--at {_quoted(text)} is not a time: the year {moment.year} is out of range",
            FORMS,
        )
    if zone_name:
        moment = _in_zone(text, moment, zone_name)
    if moment.tzinfo is None:
        raise _missing_zone(text, moment, zone)
    return _whole_second(text, moment.astimezone(UTC))


def _quoted(text: str) -> str:
    """Shorten the operator's text for an error, and replace control characters, which a terminal would execute."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= MAX_QUOTED else plain[: MAX_QUOTED - 1] + "…"


def _reason(error: Exception) -> str:
    message = str(error)
    if "offset" in message:
        return "an offset must be less than 24 hours"
    return "it is not in ISO 8601 format" if message.startswith("Invalid isoformat") else message


def _in_zone(text: str, moment: datetime, name: str) -> datetime:
    if moment.tzinfo is not None:
        raise UsageError(f"--at {_quoted(text)} has two zones", FORMS)
    try:
        zone = ZoneInfo(name)
    # OSError for a name such as America, which is a folder of the zone database.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"there is no zone named {_quoted(name)}"
        raise UsageError(f"--at {_quoted(text)}: {problem}", "give its offset, as +11:00, or Z for UTC") from None
    readings = _readings(moment, zone)
    if len(readings) != 1:
        raise _ambiguous(text, readings, name)
    return readings[0]


def _missing_zone(text: str, moment: datetime, zone: tzinfo | None) -> UsageError:
    """Return the error that shows both readings: in UTC and in the operator's zone."""
    local_readings = _readings(moment, zone)
    lines = [f"in UTC: --at {moment:%Y-%m-%dT%H:%M:%S}Z"]
    lines += [
        f"in local time: --at {_with_offset(reading)}, which is {utc(reading)}"
        for reading in local_readings
        if reading.utcoffset() != timedelta()
    ]
    if not local_readings:
        lines.append("in local time it does not exist: the clocks skipped that hour")
    return UsageError(f"--at {_quoted(text)} has no zone", "\n".join(lines))


def _ambiguous(text: str, readings: list[datetime], name: str) -> UsageError:
    if not readings:
        return UsageError(f"--at {_quoted(text)} does not exist: the clocks of {name} skipped that hour", FORMS)
    lines = [f"--at {_with_offset(reading)}, which is {utc(reading)}" for reading in readings]
    return UsageError(f"--at {_quoted(text)} occurred twice in {name}, when the clocks went back", "\n".join(lines))


def _readings(moment: datetime, zone: tzinfo | None) -> list[datetime]:
    """Return when clocks in a zone showed a local time: once, twice in a repeated hour, or never in a skipped one."""
    found: list[datetime] = []
    # `fold` selects the first or the second of two equal local times.
    for fold in (0, 1):
        naive = moment.replace(fold=fold)
        local = naive.replace(tzinfo=zone) if zone else naive.astimezone()
        # A skipped local time comes back from UTC as another one.
        fixed = local.astimezone(UTC).astimezone(zone)
        if fixed.replace(tzinfo=None, fold=0) == moment.replace(fold=0) and fixed.astimezone(UTC) not in found:
            found.append(fixed.astimezone(UTC))
    return [reading.astimezone(zone) for reading in found]


def _whole_second(text: str, moment: datetime) -> datetime:
    if not moment.microsecond:
        return moment
    before = moment.replace(microsecond=0)
    raise UsageError(
        f"--at {_quoted(text)} has a fraction of a second, and RDS restores to whole seconds",
        f"the second before: --at {utc(before)}; the second after: --at {utc(before + timedelta(seconds=1))}",
    )


def _with_offset(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _zone_name(local: datetime) -> str:
    # Zones without an abbreviation have a number as their name, as "+03".
    name = local.tzname() or ""
    return name if name.isalpha() else local.strftime("%z")
