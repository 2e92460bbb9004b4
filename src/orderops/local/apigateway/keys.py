"""API keys: who holds one, and how much of its usage plan is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderops.local.apigateway.throttle import Throttle


@dataclass(frozen=True)
class PlanLimits:
    """Limits of each key of a usage plan: requests a second, at once, and in a period."""

    rate: float | None
    burst: int | None
    quota: int | None
    period: str
    """DAY, WEEK or MONTH."""


@dataclass(frozen=True)
class KeyHolder:
    """The holder of a key that belongs to a plan."""

    key: str
    plan: str
    limits: PlanLimits


class KeyUse:
    """Counts the requests of keys; what it has counted ends with the process."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._throttle = Throttle()
        self._used: dict[tuple[str, str], tuple[datetime, int]] = {}

    def refusal(self, holders: Mapping[str, KeyHolder], value: str) -> tuple[int, str] | None:
        """Return status and message if a request with this value is refused; else count it."""
        holder = holders.get(value)
        if holder is None:
            return 403, "Forbidden"
        limits = holder.limits
        if not self._throttle.admits(f"{holder.plan} {holder.key}", limits.rate, limits.burst):
            return 429, "Too Many Requests"
        began = _began(self._now(), limits.period)
        since, count = self._used.get((holder.plan, holder.key), (began, 0))
        count = count if since == began else 0
        if limits.quota is not None and count >= limits.quota:
            return 429, "Limit Exceeded"
        self._used[holder.plan, holder.key] = (began, count + 1)
        return None


def _began(now: datetime, period: str) -> datetime:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "MONTH":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "WEEK" else day
