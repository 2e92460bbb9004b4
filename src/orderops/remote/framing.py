"""The output of a job as lines of its log: stdout and stderr in one stream, with a mark before each line.

CloudWatch Logs drops empty lines, limits their length, and does not record which stream a line came from. Each line
therefore begins with a mark, and long lines are split into pieces. A line without a mark was written by another
program, such as a crashing interpreter.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from orderops.aws.validation import json_object
from orderops.frozen import Frozen

# The log drivers split lines at 16 KiB, and a character takes at most four bytes.
PIECE = 4000
"""Characters of one piece."""
WHOLE, MORE = "| ", "+ "


class Mark(StrEnum):
    """The purpose of a line."""

    BEGIN = "beg"
    OUT = "out"
    ERR = "err"
    END = "end"


class OutputLine(Frozen):
    """A line, or a piece of one: then `ends` is false, and the next piece continues it."""

    mark: Mark
    text: str
    ends: bool = True

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document of a BEGIN or END line. Raises Malformed, a ValueError, if the line has none."""
        return json_object(self.text)


def pieces(mark: Mark, text: str, *, ends: bool = True) -> Iterator[str]:
    """Yield the log lines for a line of output."""
    parts = [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]
    for part in parts[:-1]:
        yield f"{mark}{MORE}{part}"
    yield f"{mark}{WHOLE if ends else MORE}{parts[-1]}"


def parse_line(line: str) -> OutputLine:
    """Parse a log line; one without a mark counts as stderr."""
    mark, sign, text = line[:3], line[3:5], line[5:]
    # Some log drivers strip the trailing space of an empty line.
    if sign.strip() in ("|", "+") and mark in [*Mark]:
        return OutputLine(Mark(mark), text, sign != MORE)
    return OutputLine(Mark.ERR, line)


class MarkedStream(io.TextIOBase):
    """A text stream that writes complete lines with a mark; an incomplete line waits for its end."""

    encoding = "utf-8"

    def __init__(self, mark: Mark, write: Callable[[str], None], lock: threading.RLock) -> None:
        self._mark = mark
        self._write = write
        # Shared by stdout and stderr: a line's pieces must not be mixed with those of another thread.
        self._lock = lock
        self._incomplete = ""

    def writable(self) -> bool:
        """Return True, as `io.TextIOBase` requires of a stream for output."""
        return True

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        with self._lock:
            *lines, self._incomplete = (self._incomplete + text).split("\n")
            for line in lines:
                self._write_line(line, ends=True)
        return len(text)

    def finish(self) -> None:
        """Write the last line, if it has no line break."""
        with self._lock:
            if self._incomplete:
                self._write_line(self._incomplete, ends=False)
            self._incomplete = ""

    def _write_line(self, line: str, *, ends: bool) -> None:
        for piece in pieces(self._mark, line.rstrip("\r"), ends=ends):
            self._write(piece)
