"""A moment is one moment, or it is refused with the readings that it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orderops.engine.resource import Observed
from orderops.errors import UsageError
from orderops.restore.instances import READY_AT, RESTORED_TO, STARTED, Instance
from orderops.restore.timestamps import TimestampForm, parse_timestamp, utc_and_local

SYDNEY = ZoneInfo("Australia/Sydney")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-10T08:00:00Z",
        "2026-11-10T08:00:00+00:00",
        "2026-11-10T19:00:00+11:00",
        "2026-11-10 08:00Z",
        "2026-11-10T08:00Z",
        "20261110T080000Z",
        "2026-11-10T08:00:00.000Z",
        "2026-11-10T19:00:00[Australia/Sydney]",
        "2026-11-10 19:00 Australia/Sydney",
        "2026-11-10 08:00:00 UTC",
        "  2026-11-10T08:00:00Z ",
    ],
)
def test_a_time_with_a_zone_is_that_moment(text: str) -> None:
    asked = parse_timestamp(text)

    assert asked.form is TimestampForm.TIME
    assert asked.time == datetime(2026, 11, 10, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("-15m", timedelta(minutes=15)),
        ("-90s", timedelta(seconds=90)),
        ("-1h30m", timedelta(minutes=90)),
        ("-2 d", timedelta(days=2)),
        ("-5min", timedelta(minutes=5)),
    ],
)
def test_so_long_ago(text: str, ago: timedelta) -> None:
    asked = parse_timestamp(text)

    assert (asked.form, asked.ago) == (TimestampForm.AGO, ago)


@pytest.mark.parametrize("text", ["before V7", "before v007", "before 7", "Before  V7"])
def test_before_a_migration(text: str) -> None:
    assert parse_timestamp(text).version == 7
    assert parse_timestamp(text).text == "before V7"


def test_the_latest() -> None:
    assert parse_timestamp("latest").form is TimestampForm.LATEST


def refusal(text: str, zone: ZoneInfo | None = None) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        parse_timestamp(text, zone=zone)
    return caught.value.message, caught.value.hint


def test_without_a_zone_both_readings_are_shown() -> None:
    message, hint = refusal("2026-11-10T08:00:00", SYDNEY)

    assert message == "--at 2026-11-10T08:00:00 has no zone"
    assert hint.splitlines() == [
        "in UTC: --at 2026-11-10T08:00:00Z",
        "by the clock here: --at 2026-11-10T08:00:00+11:00, which is 2026-11-09T21:00:00Z",
    ]


def test_where_the_clock_is_utc_there_is_one_reading() -> None:
    assert refusal("2026-11-10T08:00", ZoneInfo("UTC"))[1] == "in UTC: --at 2026-11-10T08:00:00Z"


def test_an_hour_that_came_twice_has_both_its_readings() -> None:
    message, hint = refusal("2026-04-05T02:30:00[Australia/Sydney]")

    assert (
        message == "--at 2026-04-05T02:30:00[Australia/Sydney] was twice in Australia/Sydney, when the clocks went back"
    )
    assert hint.splitlines() == [
        "--at 2026-04-05T02:30:00+11:00, which is 2026-04-04T15:30:00Z",
        "--at 2026-04-05T02:30:00+10:00, which is 2026-04-04T16:30:00Z",
    ]
    assert len(refusal("2026-04-05T02:30:00", SYDNEY)[1].splitlines()) == 3


def test_an_hour_that_was_left_out_is_no_moment() -> None:
    assert "no such time" in refusal("2026-10-04T02:30:00[Australia/Sydney]")[0]
    assert "no such time" in refusal("2026-10-04T02:30:00", SYDNEY)[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "--at is empty"),
        (" \t ", "--at is empty"),
        ("yesterday", "is no moment"),
        ("1762761600", "is no moment"),
        ("08:00Z", "is no moment"),
        ("2026-11-10", "has no time of day"),
        ("2026-13-10T08:00:00Z", "is no moment: month must be in 1..12"),
        ("2026-02-30T08:00:00Z", "is no moment: day is out of range for month"),
        ("2026-11-10T25:00:00Z", "is no moment: hour must be in 0..23"),
        ("2026-11-10T08:00:00+25:00", "is no moment: an offset is of less than 24 hours"),
        ("2026-11-10T08:00:00 CET", "is no moment: it is not written as ISO 8601"),
        ("2026-11-10T08:00:00[Mars/Olympus]", "no zone is named Mars/Olympus"),
        ("2026-11-10T08:00:00Z[Europe/Paris]", "has two zones"),
        ("0001-01-01T00:00:00+14:00", "is no moment"),
        ("10/11/2026 08:00Z", "is no moment"),
        ("before the migration", "is no moment"),
        ("-", "is no moment"),
        ("-\u0665m", "is no moment"),
        ("before V\u0662", "is no moment"),
        ("\u0662\u0660\u0662\u0666-11-10T08:00:00Z", "is no moment"),
        ("2026-11-10T08:00:00[America]", "no zone is named America"),
        ("0001-01-01 00:00 Australia/Sydney", "is no moment: no database is of the year 1"),
        ("9999-12-31 23:59 America/New_York", "is no moment: no database is of the year 9999"),
        ("-99999999999999d", "is longer ago than RDS keeps backups: 35 days"),
    ],
)
def test_what_is_no_moment_is_refused(text: str, told: str) -> None:
    message, hint = refusal(text)

    assert told in message
    assert "--at" in hint or "offset" in hint


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"])
@pytest.mark.parametrize("zone", ["Australia/Sydney", "America/New_York"])
def test_the_ends_of_the_calendar_are_refused_by_every_clock(text: str, zone: str) -> None:
    assert refusal(text, ZoneInfo(zone))[0].startswith(f"--at {text} is no moment: no database is of the year")


@pytest.mark.parametrize("text", ["9" * 3000, "before V" + "9" * 5000, "-" + "1s" * 1000, "2026-11-10T08:00Z " * 9])
def test_what_goes_on_for_ever_is_not_repeated(text: str) -> None:
    assert refusal(text)[0] == f"--at {text[:59]}… is no moment"


def test_what_a_terminal_would_obey_is_not_repeated() -> None:
    assert refusal("\x1b[2Jnow")[0] == "--at ?[2Jnow is no moment"


def test_a_fraction_of_a_second_is_refused_with_the_seconds_around_it() -> None:
    message, hint = refusal("2026-11-10T08:00:00.7Z")

    assert message.endswith("has a fraction of a second, and RDS restores to whole seconds")
    assert hint == "with less: --at 2026-11-10T08:00:00Z; with more: --at 2026-11-10T08:00:01Z"


def test_a_moment_is_told_in_utc_and_by_the_clock_here() -> None:
    moment = datetime(2026, 11, 10, 8, tzinfo=UTC)

    assert utc_and_local(moment, SYDNEY) == "2026-11-10T08:00:00Z (2026-11-10 19:00:00 AEDT)"
    assert utc_and_local(moment, ZoneInfo("UTC")) == "2026-11-10T08:00:00Z"


@pytest.mark.parametrize(
    "text", ["2026-11-10T08:00:00", "2026-11-10", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "soon", ""]
)
def test_a_tag_that_tells_no_moment_is_as_if_it_were_not_there(text: str) -> None:
    good = "2026-11-10T08:00:00Z"
    tags = {RESTORED_TO: good, STARTED: good, READY_AT: good}

    for key in tags:
        copy = Instance(Observed("shop-r1", tags=tags | {key: text}))
        assert (copy.moment is None) == (key == RESTORED_TO)
        assert copy.duration == (timedelta() if key == RESTORED_TO else None)
