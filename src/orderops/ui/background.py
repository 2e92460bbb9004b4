"""Messages that never wait for their reader: a thread of its own writes them to stderr.

A pager, Ctrl+S or a slow log of a pipeline blocks the writer of a pipe. A session that waits for that with its
transaction open keeps its locks, until the server ends it.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

LIMIT = 4_000_000
"""Characters that wait for the reader at most; about 40,000 lines."""


class BackgroundStream(io.TextIOBase):
    """A stream whose writes return at once; beyond `limit` waiting characters, lines are left out and counted."""

    def __init__(self, stream: TextIO, limit: int = LIMIT) -> None:
        self._stream = stream
        self._limit = limit
        self._waiting: list[str] = []
        self._size = 0
        self._left_out = 0
        self._ended = False
        self._changed = threading.Condition()
        self.failure: OSError | ValueError | None = None
        """Why the stream can no longer be written; everything after it is dropped."""
        self._thread = threading.Thread(target=self._drain, daemon=True, name="output")
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in typeshed, and read only
        """The encoding of the stream, which decides what Rich draws with."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The file descriptor of the stream."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def write(self, text: str) -> int:
        """Hand a text to the thread."""
        with self._changed:
            if self._size + len(text) > self._limit:
                self._left_out += max(1, text.count("\n"))
            else:
                self._waiting += [self._note(), text]
                self._size += len(text)
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Do nothing: a flush would wait for the reader."""

    def finish(self) -> None:
        """Wait until the reader has everything."""
        with self._changed:
            self._waiting.append(self._note())
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _note(self) -> str:
        count, self._left_out = self._left_out, 0
        return f"({count:,} lines were left out: the reader of this output was too slow)\n" if count else ""

    def _drain(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                text, self._size = "".join(self._waiting), 0
                self._waiting.clear()
            self._write(text)

    def _write(self, text: str) -> None:
        if self.failure or not text:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:  # a closed pipe, a full disk; a closed stream
            self.failure = error


@contextmanager
def unblocked_stderr() -> Iterator[None]:
    """Write to stderr in the background inside the `with` block, and wait for its reader at the end.

    If stderr could not be written, the block is completed first; then that error is raised.
    """
    if sys.stderr is None:  # the process began without it
        yield
        return
    stream = BackgroundStream(sys.stderr)
    try:
        with redirect_stderr(stream):
            yield
    finally:
        stream.finish()
    if stream.failure:
        raise stream.failure
