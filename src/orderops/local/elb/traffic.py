"""Requests by minute, as the metrics of a load balancer and of AWS WAF count them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

# CloudWatch keeps data points of a minute for 15 days; what a laptop's service did hours ago interests nobody.
MINUTES_KEPT = 180


class MinuteCounts:
    """Counts by what is counted, metric and minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, Counter[tuple[str, str]]] = {}

    def add(self, now: float, counted: Mapping[tuple[str, str], int]) -> None:
        """Count at a time in seconds since 1970."""
        minute = int(now // 60)
        with self._lock:
            self._counts.setdefault(minute, Counter()).update(counted)
            for old in [known for known in self._counts if known <= minute - MINUTES_KEPT]:
                del self._counts[old]

    def by_minute(self) -> Iterator[tuple[datetime, str, str, int]]:
        """Yield minute, what was counted, metric and count."""
        with self._lock:
            known = {minute: dict(counts) for minute, counts in self._counts.items()}
        for minute, counts in known.items():
            for (group, metric), count in counts.items():
                yield datetime.fromtimestamp(minute * 60, UTC), group, metric, count


class TrafficCounts(MinuteCounts):
    """Counts of answers, by target group and minute."""

    def answered(self, group: str, status: int, *, by_target: bool) -> None:
        """Count an answer of a target, or of the balancer in its place."""
        counted = {(group, "RequestCount"): int(by_target)}
        if status >= 200:
            counted[group, f"HTTPCode_{'Target' if by_target else 'ELB'}_{status // 100}XX_Count"] = 1
        self.add(time.time(), counted)
