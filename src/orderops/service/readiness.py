"""Readiness: whether the service can do its work, and if not, why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from orderops.service.circuit import Unavailable

log = logging.getLogger(__name__)

# Seconds. A client that polls /ready waits for the slowest dependency.
CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """Result of checking one dependency."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Readiness:
    """Results of checking all dependencies."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """True when every dependency answers."""
        return all(check.ok for check in self.checks.values())


async def readiness(checks: dict[str, Callable[[], None]]) -> Readiness:
    """Check all dependencies concurrently, each for at most two seconds."""
    results = await asyncio.gather(*(_check(name, check) for name, check in checks.items()))
    return Readiness(dict(zip(checks, results, strict=True)))


async def _check(name: str, check: Callable[[], None]) -> Check:
    try:
        await asyncio.wait_for(asyncio.to_thread(check), CHECK_SECONDS)
    except TimeoutError:
        return Check(False, f"no answer within {CHECK_SECONDS:g} s")
    except Unavailable as error:
        # The whole reason is for the log: anybody may ask.
        log.warning("the %s is not ready: %s", name, error)
        return Check(False, error.public)
    return Check(True, "answers")
