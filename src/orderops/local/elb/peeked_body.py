"""A request's body, whose beginning can be looked at before it is passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request


class PeekedBody:
    """Reads as much as somebody asks for, and yields everything in the end."""

    def __init__(self, incoming: Request) -> None:
        self._stream = incoming.stream()
        self._length = incoming.headers.get("content-length", "")
        self._read: list[bytes] = []

    async def size(self, limit: int) -> int:
        """Return its size in bytes; of a body without a length no more than what exceeds the limit is read."""
        if self._length.isdigit():
            return int(self._length)
        async for part in self._stream:
            self._read.append(part)
            if sum(map(len, self._read)) > limit:
                break
        return sum(map(len, self._read))

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the whole body."""
        for part in self._read:
            yield part
        async for part in self._stream:
            yield part
