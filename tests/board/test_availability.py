"""Availability by day, from samples at uneven distances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from orderops.board.availability import DayShare, available, in_percent, shares
from orderops.board.samples import HealthSample

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def day_of(*samples: tuple[float, str], now: float = 60, days: int = 1) -> Sequence[DayShare]:
    """The days of samples, given as minutes after noon and the state of orders."""
    kept = [HealthSample(NOON + minutes * MINUTE, "healthy", {"orders": state}, {}) for minutes, state in samples]
    return shares(kept, lambda sample: sample.parts["orders"], NOON + now * MINUTE, days)


def test_a_sample_speaks_for_the_time_until_the_next() -> None:
    [day] = day_of((0, "ok"), (5, "down"), (7, "delayed"), (10, "ok"), now=15)

    assert (day.well, day.down, day.impaired) == (10 * MINUTE, 2 * MINUTE, 3 * MINUTE)
    assert (day.state, day.seen) == ("down", 15 * MINUTE)


def test_a_sample_speaks_for_at_most_ten_minutes() -> None:
    [day] = day_of((0, "down"), (300, "ok"), now=600)

    assert (day.down, day.well) == (10 * MINUTE, 10 * MINUTE)
    assert available([day]) == 0.5


def test_the_newest_sample_speaks_at_once() -> None:
    [day] = day_of((0, "down"), now=0)

    assert (day.state, available([day])) == ("down", 0.0)


def test_a_day_without_samples_has_no_state_and_takes_no_part() -> None:
    yesterday, today = day_of((0, "ok"), days=2)

    assert (yesterday.state, yesterday.seen, today.state) == ("", timedelta(), "ok")
    assert available([yesterday, today]) == 1.0
    assert available([yesterday]) is None


def test_a_delay_is_no_outage() -> None:
    assert available(day_of((0, "delayed"), (5, "ok"))) == 1.0


def test_what_was_not_known_counts_neither_way() -> None:
    [day] = day_of((0, "unknown"), (5, "ok"), now=10)

    assert (day.seen, day.state) == (5 * MINUTE, "ok")


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50.00 %"), (0.999, "99.90 %"), (0.0, "0.00 %")]
)
def test_no_outage_is_rounded_away(share: float, words: str) -> None:
    assert in_percent(share) == words
