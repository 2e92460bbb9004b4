"""A step: what will be or was done to one resource."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from orderops.engine.resource import Effect, PendingChange
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field


class Action(StrEnum):
    """What will be or was done to a resource."""

    CREATE = "create"
    ADOPT = "adopt"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    NO_OP = "no-op"


class Step(Frozen):
    """An action on a resource, the properties it changes (observed, desired), and its effect on the running system."""

    address: str
    action: Action
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    effect: Effect = Effect.SAFE
    error: OrderopsError | None = None
    """Why the step cannot be taken."""
    held_by: str = ""
    """Address of the refused step that this one belongs together with, so that it is not taken either."""
    note: str = ""
    carried: tuple[PendingChange, ...] = ()
    """Pending changes that AWS carries out together with this step; part of its effect."""
    pending: tuple[PendingChange, ...] = ()
    """Pending changes that this step leaves pending."""
    ignored: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Differences that the environment file says to ignore; not among the changes."""

    @property
    def refused(self) -> bool:
        """Whether the step will not be taken, for a reason of its own or of a step that it belongs together with."""
        return bool(self.error or self.held_by)
