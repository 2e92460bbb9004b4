"""A finding about alarms."""

from __future__ import annotations

from orderops.frozen import Frozen


class AlertFinding(Frozen):
    """What is wrong with an alarm or a topic, and the next step."""

    name: str
    what: str
    next: str
