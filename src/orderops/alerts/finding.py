"""A finding about alarms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AlertFinding:
    """What is wrong with an alarm or a topic, and the next step."""

    name: str
    what: str
    next: str
