"""Terms of a run: what it may do with single resources, beyond what is declared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orderops.errors import OrderopsError


@dataclass(frozen=True)
class Terms:
    """Addresses with terms of their own."""

    adopt: Collection[str] = ()
    """Resources without an owner that may be taken over."""
    widen: Collection[str] = ()
    """Resources that may allow more and not yet less, since others still use what they allow."""
    refused: Mapping[str, OrderopsError] = field(default_factory=dict)
    """Resources that must not be touched, with the reason: a change refused, or held back with a refused one."""
