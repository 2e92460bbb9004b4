"""Threads for questions to dependencies: under too much load a question is refused soon, and never asked later."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from orderops.service.circuit import Unusable
from orderops.service.threads import Threads

NAME: ContextVar[str] = ContextVar("name")


@pytest.fixture
def threads() -> Threads:
    return Threads(2, wait_seconds=0.05)


def test_an_answer_and_an_error_are_passed_on(threads: Threads) -> None:
    def broken() -> None:
        raise ValueError("no")

    assert asyncio.run(threads.answer(lambda: 7)) == 7
    with pytest.raises(ValueError, match="no"):
        asyncio.run(threads.answer(broken))


def test_a_question_is_asked_in_the_context_of_its_request(threads: Threads) -> None:
    async def request() -> str:
        NAME.set("request 1")
        return await threads.answer(NAME.get)

    assert asyncio.run(request()) == "request 1"


def test_a_crowd_is_refused_and_its_questions_are_never_asked(threads: Threads) -> None:
    end, asked = threading.Event(), []

    async def crowd() -> list[object]:
        busy = [asyncio.create_task(threads.answer(end.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        late = await asyncio.gather(
            *(threads.answer(lambda number=number: asked.append(number)) for number in range(300)),  # type: ignore[misc]
            return_exceptions=True,
        )
        end.set()
        assert await asyncio.gather(*busy) == [True, True]
        assert await threads.answer(lambda: "served again") == "served again"
        return list(late)

    refused = asyncio.run(crowd())

    assert {str(error) for error in refused} == {"all 2 threads of this task were busy for 0.05 s"}
    assert {getattr(error, "public", "") for error in refused} == {"too many requests at once"}
    assert all(isinstance(error, Unusable) for error in refused)
    assert asked == []


def test_a_client_that_goes_away_leaves_no_question_behind(threads: Threads) -> None:
    end, asked = threading.Event(), []

    async def leave() -> None:
        busy = [asyncio.create_task(threads.answer(end.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        gone = asyncio.create_task(threads.answer(lambda: asked.append(1)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        end.set()
        await asyncio.gather(*busy)

    asyncio.run(leave())
    asyncio.run(threads.answer(lambda: None))

    assert asked == []
