"""The value of `--at` is one time, or an error that shows its readings."""

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
def test_a_time_with_a_zone_is_read(text: str) -> None:
    target = parse_timestamp(text)

    assert target.form is TimestampForm.TIME
    assert target.time == datetime(2026, 11, 10, 8, tzinfo=UTC)


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
def test_a_duration_ago_is_read(text: str, ago: timedelta) -> None:
    target = parse_timestamp(text)

    assert (target.form, target.ago) == (TimestampForm.AGO, ago)


@pytest.mark.parametrize("text", ["before V7", "before v007", "before 7", "Before  V7"])
def test_before_a_migration_is_read_in_any_spelling(text: str) -> None:
    assert parse_timestamp(text).version == 7
    assert parse_timestamp(text).text == "before V7"


def test_latest_is_read() -> None:
    assert parse_timestamp("latest").form is TimestampForm.LATEST


def error_of(text: str, zone: ZoneInfo | None = None) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        parse_timestamp(text, zone=zone)
    return caught.value.message, caught.value.hint


def test_a_time_without_a_zone_is_an_error_with_both_readings() -> None:
    message, hint = error_of("2026-11-10T08:00:00", SYDNEY)

    assert message == "--at 2026-11-10T08:00:00 has no zone"
    assert hint.splitlines() == [
        "in UTC: --at 2026-11-10T08:00:00Z",
        "in local time: --at 2026-11-10T08:00:00+11:00, which is 2026-11-09T21:00:00Z",
    ]


def test_a_time_without_a_zone_has_one_reading_where_local_time_is_utc() -> None:
    assert error_of("2026-11-10T08:00", ZoneInfo("UTC"))[1] == "in UTC: --at 2026-11-10T08:00:00Z"


def test_a_repeated_hour_is_an_error_with_both_readings() -> None:
    message, hint = error_of("2026-04-05T02:30:00[Australia/Sydney]")

    assert (
        message
        == "--at 2026-04-05T02:30:00[Australia/Sydney] occurred twice in Australia/Sydney, when the clocks went back"
    )
    assert hint.splitlines() == [
        "--at 2026-04-05T02:30:00+11:00, which is 2026-04-04T15:30:00Z",
        "--at 2026-04-05T02:30:00+10:00, which is 2026-04-04T16:30:00Z",
    ]
    assert len(error_of("2026-04-05T02:30:00", SYDNEY)[1].splitlines()) == 3


def test_a_skipped_hour_is_an_error() -> None:
    assert (
        "does not exist: the clocks of Australia/Sydney skipped" in error_of("2026-10-04T02:30:00[Australia/Sydney]")[0]
    )
    assert "in local time it does not exist" in error_of("2026-10-04T02:30:00", SYDNEY)[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "--at is empty"),
        (" \t ", "--at is empty"),
        ("yesterday", "is not a time"),
        ("1762761600", "is not a time"),
        ("08:00Z", "is not a time"),
        ("2026-11-10", "has no time of day"),
        ("2026-13-10T08:00:00Z", "is not a time: month must be in 1..12"),
        ("2026-02-30T08:00:00Z", "is not a time: day is out of range for month"),
        ("2026-11-10T25:00:00Z", "is not a time: hour must be in 0..23"),
        ("2026-11-10T08:00:00+25:00", "is not a time: an offset must be less than 24 hours"),
        ("2026-11-10T08:00:00 CET", "is not a time: it is not in ISO 8601 format"),
        ("2026-11-10T08:00:00[Mars/Olympus]", "there is no zone named Mars/Olympus"),
        ("2026-11-10T08:00:00Z[Europe/Paris]", "has two zones"),
        ("0001-01-01T00:00:00+14:00", "is not a time"),
        ("10/11/2026 08:00Z", "is not a time"),
        ("before the migration", "is not a time"),
        ("-", "is not a time"),
        ("-\u0665m", "is not a time"),
        ("before V\u0662", "is not a time"),
        ("\u0662\u0660\u0662\u0666-11-10T08:00:00Z", "is not a time"),
        ("2026-11-10T08:00:00[America]", "there is no zone named America"),
        ("0001-01-01 00:00 Australia/Sydney", "is not a time: the year 1 is out of range"),
        ("9999-12-31 23:59 America/New_York", "is not a time: the year 9999 is out of range"),
        ("-99999999999999d", "is further back than the 35 days that RDS keeps backups"),
    ],
)
def test_text_that_is_not_a_time_is_an_error(text: str, problem: str) -> None:
    message, hint = error_of(text)

    assert problem in message
    assert "--at" in hint or "offset" in hint


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"])
@pytest.mark.parametrize("zone", ["Australia/Sydney", "America/New_York"])
def test_the_ends_of_the_calendar_are_errors_in_every_zone(text: str, zone: str) -> None:
    assert error_of(text, ZoneInfo(zone))[0].startswith(f"--at {text} is not a time: the year ")


@pytest.mark.parametrize("text", ["9" * 3000, "before V" + "9" * 5000, "-" + "1s" * 1000, "2026-11-10T08:00Z " * 9])
def test_an_error_shortens_long_text(text: str) -> None:
    assert error_of(text)[0] == f"--at {text[:59]}… is not a time"


def test_an_error_replaces_control_characters() -> None:
    assert error_of("\x1b[2Jnow")[0] == "--at ?[2Jnow is not a time"


def test_a_fraction_of_a_second_is_an_error_with_the_seconds_around_it() -> None:
    message, hint = error_of("2026-11-10T08:00:00.7Z")

    assert message.endswith("has a fraction of a second, and RDS restores to whole seconds")
    assert hint == "the second before: --at 2026-11-10T08:00:00Z; the second after: --at 2026-11-10T08:00:01Z"


def test_a_time_is_shown_in_utc_and_local_time() -> None:
    moment = datetime(2026, 11, 10, 8, tzinfo=UTC)

    assert utc_and_local(moment, SYDNEY) == "2026-11-10T08:00:00Z (2026-11-10 19:00:00 AEDT)"
    assert utc_and_local(moment, ZoneInfo("UTC")) == "2026-11-10T08:00:00Z"


@pytest.mark.parametrize(
    "text", ["2026-11-10T08:00:00", "2026-11-10", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "soon", ""]
)
def test_a_tag_without_a_readable_time_counts_as_missing(text: str) -> None:
    good = "2026-11-10T08:00:00Z"
    tags = {RESTORED_TO: good, STARTED: good, READY_AT: good}

    for key in tags:
        instance = Instance(Observed("shop-r1", tags=tags | {key: text}))
        assert (instance.moment is None) == (key == RESTORED_TO)
        assert instance.duration == (timedelta() if key == RESTORED_TO else None)
