"""Limits of requests, by a bucket of tokens for each route."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Bucket:
    tokens: float
    at: float


class Throttle:
    """Admits `burst` requests at once, and `rate` more each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def admits(self, route: str, rate: float | None, burst: int | None) -> bool:
        """Take one token of a route, if there is one; a route without limits has no end of them."""
        if rate is None or burst is None:
            return True
        now = self._clock()
        bucket = self._buckets.setdefault(route, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
