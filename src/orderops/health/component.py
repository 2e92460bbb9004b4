"""A component of an environment, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orderops.engine.resource import PendingChange


class ComponentState(StrEnum):
    """The state of one component."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """Cannot be seen from here, which makes nothing unhealthy."""


@dataclass(frozen=True)
class ComponentStatus:
    """One part of the system; `next_command` is what to type if it is not OK."""

    name: str
    state: ComponentState
    detail: str
    next_command: str = ""
    pending: tuple[PendingChange, ...] = ()
    """What AWS holds back; no fault, but it may interrupt."""
