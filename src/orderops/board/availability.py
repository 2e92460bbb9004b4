"""Availability by day: how long each state lasted, from samples taken at any distance from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from orderops.board.samples import HealthSample
from orderops.frozen import Frozen

HOLDS = timedelta(minutes=10)
"""Time for which a sample speaks if no other follows: twice the usual distance of scheduled ones."""
SHORTEST = timedelta(minutes=1)
"""Time for which the newest sample speaks at least."""
DOWN = ("down", "absent")
IMPAIRED = ("delayed", "degraded", "starting")


class DayShare(Frozen):
    """How long something was well, impaired and down on a day; all zero on a day without samples."""

    day: date
    well: timedelta = timedelta()
    impaired: timedelta = timedelta()
    down: timedelta = timedelta()

    @property
    def seen(self) -> timedelta:
        """The time that samples speak for."""
        return self.well + self.impaired + self.down

    @property
    def state(self) -> str:
        """The worst that was seen; "" without samples."""
        if self.down:
            return "down"
        if self.impaired:
            return "delayed"
        return "ok" if self.well else ""


def shares(
    samples: Sequence[HealthSample], state: Callable[[HealthSample], str | None], now: datetime, days: int
) -> tuple[DayShare, ...]:
    """The shares of the last days, oldest first, of what `state` reads from a sample; None is not seen."""
    today = now.astimezone(UTC).date()
    found = {today - timedelta(days=back): [timedelta()] * 3 for back in reversed(range(days))}
    for sample, lasted in _lasting(samples, now):
        times = found.get(sample.at.astimezone(UTC).date())
        what = state(sample)
        if times is not None and what not in (None, "unknown"):
            times[2 if what in DOWN else 1 if what in IMPAIRED else 0] += lasted
    return tuple(DayShare(day, *times) for day, times in found.items())


def available(days: Iterable[DayShare]) -> float | None:
    """The share of the time seen in which something was not down, from 0 to 1; None without samples."""
    whole = list(days)
    seen = sum((day.seen for day in whole), timedelta())
    down = sum((day.down for day in whole), timedelta())
    return 1 - down / seen if seen else None


def in_percent(share: float) -> str:
    """A share in words; 100 % only if nothing is missing, since rounding must hide no outage."""
    percent = 100 * share
    if percent >= 100:
        return "100 %"
    # Cut, not rounded: 99.997 is not 100.
    return f"{int(percent * 100) / 100:.2f} %"


def _lasting(samples: Sequence[HealthSample], now: datetime) -> Iterable[tuple[HealthSample, timedelta]]:
    """Each sample, with the time until the next."""
    for sample, following in pairwise(samples):
        yield sample, min(following.at - sample.at, HOLDS)
    if samples:
        newest = samples[-1]
        yield newest, max(SHORTEST, min(now - newest.at, HOLDS))
