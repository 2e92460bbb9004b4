"""Whether the service can do its work now, and if not, why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from orderops.service.circuit import Unavailable

CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """What asking one dependency came to."""

    ok: bool
    detail: str


@dataclass(frozen=True)
class Readiness:
    """What asking each dependency came to."""

    checks: dict[str, Check]

    @property
    def ready(self) -> bool:
        """Whether every dependency answers."""
        return all(check.ok for check in self.checks.values())


async def readiness(questions: dict[str, Callable[[], None]]) -> Readiness:
    """Ask all dependencies beside one another, none for longer than two seconds."""
    answers = await asyncio.gather(*(_ask(question) for question in questions.values()))
    return Readiness(dict(zip(questions, answers, strict=True)))


async def _ask(question: Callable[[], None]) -> Check:
    try:
        await asyncio.wait_for(asyncio.to_thread(question), CHECK_SECONDS)
    except TimeoutError:
        return Check(False, f"no answer within {CHECK_SECONDS:g} s")
    except Unavailable as error:
        return Check(False, str(error))
    return Check(True, "answers")
