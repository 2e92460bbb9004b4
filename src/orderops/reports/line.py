"""A line of the report: a fact, a verdict, and the next step."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from orderops.frozen import Frozen, as_dict


class LineVerdict(StrEnum):
    """Whether a line needs attention; UNKNOWN where there is no data to judge."""

    FINE = "fine"
    LOOK = "look"
    UNKNOWN = "no data"


class ReportLine(Frozen):
    """One subject of the week."""

    subject: str
    fact: str
    verdict: LineVerdict
    next: str = ""
    """The command for a closer look."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return as_dict(self)


def judged(subject: str, fact: str, next_: str, *, look: bool) -> ReportLine:
    """A line with data."""
    return ReportLine(subject, fact, LineVerdict.LOOK if look else LineVerdict.FINE, next_)


def unknown(subject: str, next_: str, fact: str = "no data") -> ReportLine:
    """A line without data."""
    return ReportLine(subject, fact, LineVerdict.UNKNOWN, next_)
