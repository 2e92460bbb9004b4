"""A component of an environment, and how it is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from orderops.engine.resource import PendingChange
from orderops.frozen import Frozen
from orderops.infra.alert_rule import Priority


class ComponentState(StrEnum):
    """The state of one component."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """Cannot be seen from here, which makes nothing unhealthy."""


WELL = (ComponentState.OK, ComponentState.UNKNOWN)
GONE = (ComponentState.DOWN, ComponentState.ABSENT)


class ComponentStatus(Frozen):
    """One part of the system; `next_command` is what to type if it is not OK."""

    name: str
    state: ComponentState
    detail: str
    next_command: str = ""
    pending: tuple[PendingChange, ...] = ()
    """What AWS holds back; no fault, but it may interrupt."""
    priority: Priority | None = None
    """How soon to act on its own fault; None where its state says it."""
    since: datetime | None = None
    """When its fault began, as far as AWS says."""
    follows: tuple[str, ...] = ()
    """Components whose fault explains this one."""
    suspicion: str = ""
    """Unusual and no fault by itself: what it explains makes it the cause."""
    denied: str = ""
    """The call that these credentials may not make, so that the component cannot be seen."""

    @property
    def impaired(self) -> bool:
        """Whether it has a fault."""
        return self.state not in WELL

    @property
    def urgency(self) -> Priority | None:
        """How soon to act; None while it only starts."""
        if not self.impaired or self.state is ComponentState.STARTING:
            return None
        return self.priority or (Priority.P0 if self.state in GONE else Priority.P2)
