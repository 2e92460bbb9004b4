"""Traces of requests and orders: what the service calls, and what happens while tracing is off, which is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar

from starlette.types import Scope

from orderops.service.inbox import Message


class RequestSpan:
    """Span of a request; this one is kept nowhere."""

    trace_id = ""

    def answered(self, scope: Scope, status: int) -> None:
        """Record how the request ended; 0 is no answer."""


class DeliverySpans:
    """Spans of the messages of one receive; these are kept nowhere."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = list(messages)
        """The messages, each with the id of its trace."""

    def failed(self, message: Message, reason: str) -> None:
        """Record why the order of a message was not written. The reason must be one of a few, without values."""

    def end(self, message: Message) -> None:
        """End the span of a message."""


class Tracing:
    """Tracing that is off."""

    def request(self, scope: Scope) -> AbstractContextManager[RequestSpan]:
        """Trace a request, as part of the trace that its headers name."""
        return nullcontext(RequestSpan())

    def sending(self) -> AbstractContextManager[dict[str, str]]:
        """Trace the sending of a message, and yield the attributes that carry the trace to its receiver."""
        return nullcontext({})

    def delivery(self, messages: Sequence[Message]) -> AbstractContextManager[DeliverySpans]:
        """Trace the messages of one receive."""
        return nullcontext(DeliverySpans(messages))

    def asking(self, server: str) -> AbstractContextManager[None]:
        """Trace a question to the `primary` or a `replica` of the database, as part of what is traced now."""
        return nullcontext()

    def stop(self) -> None:
        """Send what is left, for a second at most."""


OFF = Tracing()
current: ContextVar[Tracing] = ContextVar("tracing", default=OFF)
"""What traces the request or the messages that this thread works on; tracing that is off where it works on none."""
