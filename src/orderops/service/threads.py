"""Threads for questions to dependencies, which block; nobody waits for one of them without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from orderops.service.circuit import Unusable

Result = TypeVar("Result")


class Threads:
    """At most `size` questions are asked at a time. One that waits for `wait_seconds` is refused, and never asked.

    Under more load than a dependency carries, a refusal at once is worth more to a client than an answer that comes
    after it has given up, and the questions that are asked stay as fast as before.
    """

    def __init__(self, size: int, *, wait_seconds: float = 1.0) -> None:
        self._size = size
        self._wait_seconds = wait_seconds
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="work")

    async def answer(self, question: Callable[[], Result]) -> Result:
        """Return the answer. Raises what the question raises, and Unusable if it was not asked."""
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def ask() -> Result:
            loop.call_soon_threadsafe(begun.set)
            return question()

        # The context has the request's id for the log.
        work = self._pool.submit(copy_context().run, ask)
        try:
            await asyncio.wait_for(begun.wait(), self._wait_seconds)
        except TimeoutError:
            # It cannot be cancelled any more if a thread has just begun it: then its answer counts.
            if work.cancel():
                reason = f"all {self._size} threads of this task were busy for {self._wait_seconds:g} s"
                raise Unusable(reason, "too many requests at once") from None
        except asyncio.CancelledError:
            work.cancel()
            raise
        return await asyncio.wrap_future(work)
