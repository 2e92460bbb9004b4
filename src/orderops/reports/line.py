"""A line of the report: a fact, a verdict, and the next step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class LineVerdict(StrEnum):
    """Whether a line needs attention; UNKNOWN where there is no data to judge."""

    FINE = "fine"
    LOOK = "look"
    UNKNOWN = "no data"


@dataclass(frozen=True)
class ReportLine:
    """One subject of the week."""

    subject: str
    fact: str
    verdict: LineVerdict
    next: str = ""
    """The command for a closer look."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


def judged(subject: str, fact: str, next_: str, *, look: bool) -> ReportLine:
    """A line with data."""
    return ReportLine(subject, fact, LineVerdict.LOOK if look else LineVerdict.FINE, next_)


def unknown(subject: str, next_: str, fact: str = "no data") -> ReportLine:
    """A line without data."""
    return ReportLine(subject, fact, LineVerdict.UNKNOWN, next_)
