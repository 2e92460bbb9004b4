"""SQS of the laptop in this process, with a clock that tests turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from support.sqs_calls import Clock, SqsCalls, SqsRefusal, forget_queues

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sqs(clock: Clock) -> Iterator[SqsCalls]:
    forget_queues()
    yield SqsCalls(clock)
    forget_queues()


@pytest.fixture
def refused() -> Refused:
    """`with refused("OverLimit"):` expects an error with this code in its block."""

    @contextmanager
    def expect(code: str) -> Iterator[None]:
        with pytest.raises(SqsRefusal) as caught:
            yield
        assert caught.value.code == code

    return expect
