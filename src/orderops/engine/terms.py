"""Terms of a run: what it may do with single resources, beyond what is declared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field


def _ignores_nothing(address: str, key: str) -> bool:
    return False


class Terms(Frozen):
    """Addresses with terms of their own."""

    adopt: Collection[str] = ()
    """Resources without an owner that may be taken over."""
    widen: Collection[str] = ()
    """Resources that may allow more and not yet less, since others still use what they allow."""
    refused: Mapping[str, OrderopsError] = field(default_factory=dict)
    """Resources that must not be touched, with the reason: a change refused, or held back with a refused one."""
    ignores: Callable[[str, str], bool] = _ignores_nothing
    """Whether a property, by the address of its resource and its key, stays as it is observed."""

    def left_alone(
        self, address: str, observed: Mapping[str, Any], desired: Mapping[str, Any]
    ) -> dict[str, tuple[Any, Any]]:
        """The differences (observed, desired) of a resource that are ignored."""
        pairs = {key: (observed.get(key), value) for key, value in desired.items()}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and self.ignores(address, key)}
