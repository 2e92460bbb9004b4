"""The lines of an errand as they stand in its log: two streams in one, each line with a mark, its end in the last.

A log keeps no empty line, none of any length, and does not say which stream a line was for. So each begins with a
mark, and a long one goes in pieces. What has no mark was written by something else, as an interpreter that dies.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PIECE = 4000
"""Characters of one line of a log: of four bytes each at most, and a log driver breaks lines at 16 KiB."""
WHOLE, MORE = "| ", "+ "


class Mark(StrEnum):
    """What a line is for."""

    BEGIN = "beg"
    OUT = "out"
    ERR = "err"
    END = "end"


@dataclass(frozen=True)
class OutputLine:
    """A line, or a piece of one: then `ends` is false, and the next piece goes on."""

    mark: Mark
    text: str
    ends: bool = True

    @property
    def document(self) -> dict[str, Any]:
        """What a line of the errand's own says."""
        told: dict[str, Any] = json.loads(self.text)
        return told


def pieces(mark: Mark, text: str, *, ends: bool = True) -> Iterator[str]:
    """A line as it is written into a log."""
    parts = [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]
    for part in parts[:-1]:
        yield f"{mark}{MORE}{part}"
    yield f"{mark}{WHOLE if ends else MORE}{parts[-1]}"


def parse_line(line: str) -> OutputLine:
    """A line of a log; one without a mark is meant for whoever reads along."""
    mark, sign, text = line[:3], line[3:5], line[5:]
    if sign.strip() in ("|", "+") and mark in [*Mark]:
        return OutputLine(Mark(mark), text, sign != MORE)
    return OutputLine(Mark.ERR, line)


class MarkedStream(io.TextIOBase):
    """A stream that writes whole lines, marked; half a line waits for its end."""

    encoding = "utf-8"

    def __init__(self, mark: Mark, write: Callable[[str], None], lock: threading.RLock) -> None:
        self._mark = mark
        self._write = write
        self._lock = lock
        self._half = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Write what is whole."""
        with self._lock:
            *lines, self._half = (self._half + text).split("\n")
            for line in lines:
                self._pass_on(line, ends=True)
        return len(text)

    def finish(self) -> None:
        """Write what has no end."""
        with self._lock:
            if self._half:
                self._pass_on(self._half, ends=False)
            self._half = ""

    def _pass_on(self, line: str, *, ends: bool) -> None:
        for piece in pieces(self._mark, line.rstrip("\r"), ends=ends):
            self._write(piece)
